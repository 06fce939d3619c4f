"""What Gmail can start a workflow with."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.providers.gmail import gmail
from integrations.providers.gmail.client import MAX_PAGE, find, message
from integrations.providers.gmail.reading import SAMPLE, Received, arrived, read
from integrations.sdk import Item, JSONValue, Polled, RunContext, polling, ui

# Messages that one poll reads, each a request of its own; the rest follow soon after.
MAX_READ: Final = 25
# How many of those that are there already are shown, and start nothing.
SHOWN: Final = 3
# Gmail finds a message a while after it took it, so that a later one may be found before it.
OVERLAP_SECONDS: Final = 600
# Of ids; of more than these many at once the oldest are passed over.
MAX_PAGES: Final = 10


class NewEmailInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str = Field(
        default="INBOX",
        max_length=200,
        title="Label",
        description="Its id; empty for all that arrives, sorted away or not.",
        examples=["INBOX", "Label_12"],
    )
    query: str = Field(
        default="",
        max_length=2000,
        title="Search",
        description="Only what Gmail's search finds with these words.",
        examples=["from:ada@example.com has:attachment"],
    )
    body: bool = Field(
        default=True,
        title="With text",
        description="Bring the text and the list of attachments along.",
        examples=[True],
        json_schema_extra=ui(advanced=True),
    )


@polling(
    provider=gmail,
    key="gmail.newEmail",
    name="New email",
    auth_type="oauth2",
    input_schema=NewEmailInputs,
    output_schema=Received,
    sample=SAMPLE,
    first_run="skip",
    timeout=60,
    synonyms=("mail", "inbox", "google", "message", "arrives"),
)
async def new_email(ctx: RunContext[NewEmailInputs], cursor: JSONValue) -> Polled:
    """Starts once for each message that arrives, in spam and trash apart. Nothing changes in the mailbox."""
    before = cursor if isinstance(cursor, dict) else None
    if before is None:
        return await _begin(ctx)
    floor, since = _number(before.get("floor")), _number(before.get("since"))
    seen = before.get("seen")
    known = {each for each in seen if isinstance(each, str)} if isinstance(seen, list) else set()
    # A second earlier: it is not said whether the second itself counts.
    start = max(floor, since - OVERLAP_SECONDS * 1000) // 1000 - 1
    listed = await _listed(ctx, f"after:{max(0, start)}")
    fresh = [each for each in listed if each not in known]
    given, rest = fresh[:MAX_READ], fresh[MAX_READ:]
    items = []
    for each in given:
        resource = await message(ctx.http, each, body=ctx.inputs.body)
        if resource is None:
            continue
        taken = arrived(resource)
        since = max(since, taken)
        # What was there before the first poll and only got the label since is not new.
        if taken >= floor:
            items.append(Item(each, read(resource)))
    remembered: list[JSONValue] = [each for each in listed if each in known or each in given]
    return Polled(items=items, cursor={"floor": floor, "since": since, "seen": remembered}, more=bool(rest))


async def _begin(ctx: RunContext[NewEmailInputs]) -> Polled:
    """Remember what is there, by Gmail's clock and not by ours, and show the newest of it."""
    ids, _following = await find(ctx.http, query=_query(ctx, ""), labels=_labels(ctx), most=100)
    shown = [await message(ctx.http, each, body=ctx.inputs.body) for each in ids[:SHOWN]]
    there = [each for each in shown if each is not None]
    newest = max((arrived(each) for each in there), default=0)
    seen: list[JSONValue] = [*ids]
    return Polled(
        items=[Item(each["id"], read(each)) for each in reversed(there)],
        cursor={"floor": newest, "since": newest, "seen": seen},
    )


async def _listed(ctx: RunContext[NewEmailInputs], after: str) -> list[str]:
    """Return the ids since then, the oldest first."""
    found: list[str] = []
    page: str | None = None
    for _turn in range(MAX_PAGES):
        ids, page = await find(ctx.http, query=_query(ctx, after), labels=_labels(ctx), most=MAX_PAGE, page=page)
        found += ids
        if page is None:
            break
    else:
        ctx.log.warning(f"More than {len(found):,} messages arrived at once: the oldest of them are passed over.")
    return list(reversed(dict.fromkeys(found)))


def _query(ctx: RunContext[NewEmailInputs], after: str) -> str:
    given = f"({ctx.inputs.query.strip()})" if ctx.inputs.query.strip() else ""
    arriving = "" if ctx.inputs.label else "-in:sent -in:drafts"
    return " ".join(each for each in (given, arriving, after) if each)


def _labels(ctx: RunContext[NewEmailInputs]) -> list[str]:
    return [ctx.inputs.label] if ctx.inputs.label else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
