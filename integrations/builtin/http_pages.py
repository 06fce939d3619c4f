"""The paging of ``http.request``: pages become one list, of which never more than one page is there as objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from integrations.builtin.http_answers import checked
from integrations.builtin.http_bodies import options_of
from integrations.sdk import CursorPaging, LinkPaging, OffsetPaging, PageLimits, PagePaging, RunContext
from integrations.sdk.client import Response
from integrations.sdk.paging import Paging
from orchestrator import jsongate
from orchestrator.large import LARGE_BYTES, RawJSON, take_room
from orchestrator.large.room import COUNTED_BYTES

if TYPE_CHECKING:
    from integrations.builtin.http import RequestInputs

PagingKind: TypeAlias = Literal["none", "link", "cursor", "page", "offset"]
# A step gives 64 MB, and the page that passes this is still taken.
MAX_BYTES: Final = 48 * 1024 * 1024


async def all_pages(ctx: RunContext[RequestInputs]) -> dict[str, Any]:
    """Return the last page's status and headers, all items as the body, their count, and whether a limit cut them."""
    inputs = ctx.inputs
    chunks: list[bytes] = []
    count = pages = uncounted = 0
    found = ctx.http.pages(
        inputs.url,
        method=inputs.method,
        paging=_paging(inputs),
        items=inputs.paging_items,
        limits=PageLimits(pages=inputs.max_pages, items=inputs.max_items, total_bytes=MAX_BYTES),
        check=lambda response: _accepted(response, inputs.accept_status),
        **options_of(inputs),
    )
    async for page in found:
        last = {"status": page.response.status_code, "headers": dict(page.response.headers.items())}
        is_cut, count, pages = page.more, count + len(page.items), pages + 1
        if page.items:
            chunks.append(jsongate.dump_bytes(checked(page.response, list(page.items)))[1:-1])
            uncounted += len(chunks[-1])
        # Not while the next one is waited for.
        del page
        if uncounted >= COUNTED_BYTES:
            await take_room(uncounted)
            uncounted = 0
    return {**last, "body": _joined(chunks), "count": count, "pages": pages, "cut": is_cut}


def _joined(chunks: list[bytes]) -> Any:
    whole = b"[" + b",".join(chunks) + b"]"
    return RawJSON(whole) if len(whole) > LARGE_BYTES else jsongate.parse(whole)


def _accepted(response: Response, accept_status: list[int]) -> Response:
    return response if response.status_code in accept_status else response.raise_for_status()


def _paging(inputs: RequestInputs) -> Paging:
    named: dict[str, Any] = {"into": inputs.paging_in}
    if inputs.paging_parameter:
        named["parameter"] = inputs.paging_parameter
    if inputs.paging == "link":
        return LinkPaging(at=inputs.paging_next)
    if inputs.paging == "cursor":
        return CursorPaging(at=inputs.paging_next, more=inputs.paging_more, **named)
    if inputs.paging_start is not None:
        named["start"] = inputs.paging_start
    made = PagePaging if inputs.paging == "page" else OffsetPaging
    return made(size=inputs.paging_size, more=inputs.paging_more, **named)
