"""What e-mail can start a workflow with."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from pydantic import BaseModel, Field

from integrations.providers.email import email
from integrations.providers.email.client import Mailbox, opened
from integrations.providers.email.message import Message, parse
from integrations.sdk import Item, JSONValue, Polled, RunContext, polling, ui
from integrations.sdk.polling import MAX_ITEMS

# What is read of one message; a larger one comes cut off, so that what it says is there at least.
MAX_MESSAGE_BYTES: Final = 6 * 1024 * 1024
CUT_BYTES: Final = 256 * 1024
# What one poll reads; the rest at the next, soon after.
MAX_POLL_BYTES: Final = 20 * 1024 * 1024
# How many of those that are there already are shown, and start nothing.
SHOWN: Final = 3
_MARK: Final = 16


class NewMessageInputs(BaseModel):
    mailbox: str = Field("INBOX", min_length=1, max_length=200, title="Mailbox", examples=["INBOX"])
    attachments: bool = Field(
        True,
        title="Attachments",
        description="Bring what is attached along, up to 4 MB a message.",
        examples=[True],
        json_schema_extra=ui(advanced=True),
    )
    mark_seen: bool = Field(
        False,
        title="Mark as read",
        description="Else nothing changes in the mailbox.",
        examples=[False],
        json_schema_extra=ui(advanced=True),
    )


SAMPLE: Final[dict[str, JSONValue]] = {
    "id": "<42@example.com>",
    "subject": "An order",
    "from": {"name": "Ada Fox", "address": "ada@example.com"},
    "to": [{"name": "", "address": "orders@example.com"}],
    "cc": [],
    "reply_to": [],
    "date": "2026-05-04T07:00:00+00:00",
    "text": "Two of the blue ones, please.",
    "html": "",
    "attachments": [],
    "in_reply_to": "",
    "mailbox": "INBOX",
    "uid": 42,
    "truncated": False,
}


@polling(
    provider=email,
    key="email.newMessage",
    name="New message in a mailbox",
    auth_type="basic",
    input_schema=NewMessageInputs,
    output_schema=Message,
    sample=SAMPLE,
    first_run="skip",
    http=False,
    timeout=60,
    synonyms=("imap", "mail", "inbox", "e-mail"),
)
def new_message(ctx: RunContext[NewMessageInputs], cursor: JSONValue) -> Polled:
    """Starts once for each message that arrives in a mailbox, by IMAP. Nothing is deleted.

    A mailbox whose messages are numbered anew, and another account, begin with what arrives from then on.
    """
    before = cursor if isinstance(cursor, dict) else {}
    inputs, settings = ctx.inputs, ctx.settings
    place = "\n".join((str(settings.get("host")), str(ctx.auth.get("username")), inputs.mailbox))
    account = hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]
    with opened(
        ctx.dial, settings, ctx.auth, name=inputs.mailbox, writes=inputs.mark_seen, seconds=ctx.remaining()
    ) as mailbox:
        here: dict[str, JSONValue] = {"account": account, "validity": mailbox.validity}
        if {name: before.get(name) for name in here} != here:
            last = mailbox.last
            shown = [] if before else _read(mailbox, inputs, account, _newest(mailbox, last))[0]
            return Polled(items=shown, cursor={**here, "uid": last})
        since = before.get("uid")
        numbers = mailbox.numbers_after(since if isinstance(since, int) else 0)
        items, reached = _read(mailbox, inputs, account, numbers[:MAX_ITEMS])
        if inputs.mark_seen and items:
            mailbox.mark_seen([item.data["uid"] for item in items])
    last = reached or (since if isinstance(since, int) else 0)
    return Polled(items=items, cursor={**here, "uid": last}, more=bool(numbers) and last < numbers[-1])


def _newest(mailbox: Mailbox, last: int) -> list[int]:
    """Return the numbers of a few of the newest messages, as far as they are close together."""
    return mailbox.numbers_after(max(0, last - 10 * SHOWN))[-SHOWN:]


def _read(mailbox: Mailbox, inputs: NewMessageInputs, account: str, numbers: list[int]) -> tuple[list[Item], int]:
    """Return messages, as far as a poll may read, and the number of the last one that was looked at."""
    items: list[Item] = []
    sizes = mailbox.sizes(numbers)
    left, reached = MAX_POLL_BYTES, 0
    for number in numbers:
        size = sizes.get(number)
        most = CUT_BYTES if size is not None and size > MAX_MESSAGE_BYTES else MAX_MESSAGE_BYTES
        if size is not None and min(size, most) > left:
            break
        # Gone by now, where it has no size: then there is nothing to read.
        raw = mailbox.message(number, most=most) if size is not None else None
        reached = number
        if raw is None or size is None:
            continue
        left -= len(raw)
        items.append(_item(mailbox, inputs, account, number, raw, truncated=size > MAX_MESSAGE_BYTES))
    return items, reached


def _item(
    mailbox: Mailbox, inputs: NewMessageInputs, account: str, number: int, raw: bytes, *, truncated: bool
) -> Item:
    found = parse(raw, mailbox=inputs.mailbox, uid=number, truncated=truncated, attachments=inputs.attachments)
    data: dict[str, Any] = found.model_dump(mode="json", by_alias=True)
    return Item(f"{account}:{mailbox.validity}:{number}", data)
