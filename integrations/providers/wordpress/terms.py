"""Categories and tags, which posts have by their ids and people know by their names."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Final

from integrations.providers.wordpress.client import MOST, ROOT, call, error_of, refusal
from integrations.sdk import InputError
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

CATEGORIES: Final = "categories"
TAGS: Final = "tags"
_EXISTS: Final = "term_exists"


async def ids_of(http: StepHttp, kind: str, given: Sequence[str]) -> list[int]:
    """Return the ids of categories or tags that are given by id or by name, each once, in their order.

    A tag that the site does not have is made, as its editor does. Raises InputError for a category that it has not.
    """
    found = [int(each) if each.isdigit() else await _by_name(http, kind, each) for each in given]
    return list(dict.fromkeys(found))


async def _by_name(http: StepHttp, kind: str, name: str) -> int:
    # Names are kept and searched as they stand in HTML.
    params = {"search": html.escape(name, quote=False), "per_page": str(MOST)}
    response = await call(http, "GET", kind, params=params)
    rows = response.json()
    if not isinstance(rows, list) or any(not isinstance(row, dict) or not _is_id(row.get("id")) for row in rows):
        raise response.unexpected()
    for row in rows:
        if _is_called(row, name):
            return int(row["id"])
    if kind == TAGS:
        return await _made(http, name)
    raise InputError(
        _("The site has no category called %(name)s.") % {"name": name[:100]},
        field=CATEGORIES,
        hint=_("Make it on the site, or write its name as it is there."),
    )


def _is_called(row: dict[str, Any], name: str) -> bool:
    wanted = name.strip().casefold()
    return wanted in (html.unescape(str(row.get("name") or "")).casefold(), str(row.get("slug") or "").casefold())


async def _made(http: StepHttp, name: str) -> int:
    """Make a tag and return its id; where somebody made it at the same moment, the site says which it is."""
    response = await http.post(f"{ROOT}/{TAGS}", json={"name": name}, idempotent=True, follow_redirects=False)
    if not response.is_success and error_of(response).get("code") != _EXISTS:
        raise refusal(response)
    return _id_in(response)


def _id_in(response: Response) -> int:
    answer = response.json_object()
    data = answer.get("data")
    found = answer.get("id") if response.is_success else data.get("term_id") if isinstance(data, dict) else None
    if not isinstance(found, int) or not _is_id(found):
        raise response.unexpected()
    return found


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
