"""A message as it was sent, as data. Pure: whatever is broken in it is empty or text, never an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC
from email import message_from_bytes
from email.message import EmailMessage, MIMEPart
from email.parser import BytesHeaderParser
from email.policy import EmailPolicy
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field

from integrations.providers.email.server import encoded
from integrations.sdk import charsets

# Characters of each of text and HTML, bytes of all attachments together.
MAX_TEXT: Final = 1_000_000
MAX_ATTACHMENTS: Final = 4 * 1024 * 1024
MOST_ATTACHMENTS: Final = 100
MOST_ADDRESSES: Final = 500
# Characters of a header that are read: the library takes minutes over a long one, and anybody can send one.
MAX_HEADER: Final = 20_000
# Parameters of a Content-Type and its like, and their characters: each part has some, and each is read a dozen times.
MAX_MIME_HEADER: Final = 2_000
MOST_PARAMETERS: Final = 16
# Parts that hold others, those that say what they are, and lines that may begin one; of a message with more only the
# headers are read.
MOST_MULTIPARTS: Final = 30
MOST_PARTS: Final = 250
MOST_BOUNDARIES: Final = 5_000
_MULTIPART: Final = re.compile(rb"^content-type:\s*multipart/", re.IGNORECASE | re.MULTILINE)
_PART: Final = re.compile(rb"^content-(?:type|disposition)\s*:", re.IGNORECASE | re.MULTILINE)
_BOUNDARY: Final = re.compile(rb"^--", re.MULTILINE)
_T = TypeVar("_T")


class Address(BaseModel):
    name: str
    address: str


class Attachment(BaseModel):
    name: str
    type: str
    size: int = Field(description="Bytes.")
    content: str | None = Field(description="Base64; null where it is too large to come along.")


class Message(BaseModel):
    id: str = Field(title="Message id")
    subject: str = Field(title="Subject")
    sender: Address = Field(alias="from", title="From")
    to: list[Address] = Field(title="To")
    cc: list[Address] = Field(title="Cc")
    reply_to: list[Address] = Field(title="Reply to")
    date: str | None = Field(title="Date", description="ISO 8601, UTC.")
    text: str = Field(title="Text")
    html: str = Field(title="HTML")
    attachments: list[Attachment] = Field(title="Attachments")
    in_reply_to: str = Field(title="In reply to", description="The id of the message that this one answers.")
    mailbox: str = Field(title="Mailbox")
    uid: int = Field(title="Number", description="Of the message in its mailbox.")
    truncated: bool = Field(title="Cut off", description="Whether only its beginning was read: it is too large.")


def parse(raw: bytes, *, mailbox: str, uid: int, truncated: bool = False, attachments: bool = True) -> Message:
    """Return a message; without ``attachments`` only their names, types and sizes."""
    message = _or(None, lambda: message_from_bytes(raw, policy=_POLICY)) if _is_usual(raw) else None
    if message is None:
        message, truncated = BytesHeaderParser(policy=_POLICY).parsebytes(raw), True
    assert isinstance(message, EmailMessage)
    senders = _addresses(message, "from")
    return Message.model_validate(
        {
            "id": _header(message, "message-id"),
            "subject": _header(message, "subject"),
            "from": senders[0] if senders else Address(name="", address=""),
            "to": _addresses(message, "to"),
            "cc": _addresses(message, "cc"),
            "reply_to": _addresses(message, "reply-to"),
            "date": _date(message),
            "text": _body(message, "plain"),
            "html": _body(message, "html"),
            # Of one that is cut off the last part is half of what it was.
            "attachments": list(_attachments(message, with_content=attachments and not truncated)),
            "in_reply_to": _header(message, "in-reply-to"),
            "mailbox": mailbox,
            "uid": uid,
            "truncated": truncated,
        }
    )


def _is_usual(raw: bytes) -> bool:
    """Whether a message has only so many parts.

    Each line is held against the boundaries of all parts around it, so many in one another would take minutes; and
    each part is an object of some kilobytes.
    """
    bounds = ((_MULTIPART, MOST_MULTIPARTS), (_PART, 2 * MOST_PARTS), (_BOUNDARY, MOST_BOUNDARIES))
    return all(next(islice(found.finditer(raw), most, None), None) is None for found, most in bounds)


class _Bounded(EmailPolicy):
    def header_fetch_parse(self, name: str, value: str) -> Any:
        if name.lower().startswith("content-"):
            value = ";".join(value[:MAX_MIME_HEADER].split(";")[: MOST_PARAMETERS + 1])
        return super().header_fetch_parse(name, value[:MAX_HEADER])


_POLICY: Final = _Bounded()


def _or(fallback: _T, read: Callable[[], _T]) -> _T:
    """Return what ``read`` gives, or the fallback: the library raises all kinds of errors over broken messages."""
    try:
        return read()
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError, AssertionError):
        return fallback


def _plain(text: object) -> str:
    return str(text).encode("utf-8", "replace").decode()


def _header(message: EmailMessage, name: str) -> str:
    return _or("", lambda: _plain(message[name] or "").strip()[:10_000])


def _addresses(message: EmailMessage, name: str) -> list[Address]:
    def read() -> list[Address]:
        header = message[name]
        found = header.addresses[:MOST_ADDRESSES] if header is not None else ()
        return [Address(name=_plain(each.display_name), address=_plain(each.addr_spec)) for each in found]

    return _or([], read)


def _date(message: EmailMessage) -> str | None:
    def read() -> str | None:
        found = parsedate_to_datetime(str(message["date"]))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC).isoformat()

    return _or(None, read)


def _body(message: EmailMessage, kind: str) -> str:
    def read() -> str:
        part = message.get_body((kind,))
        if part is None or part.get_content_type() != f"text/{kind}":
            return ""
        return _decoded(part)[:MAX_TEXT]

    return _or("", read)


def _decoded(part: MIMEPart) -> str:
    """Return a part's text; with a charset that nobody knows as well as it can be read."""
    payload = part.get_payload(decode=True)
    text = charsets.decoded(payload, part.get_content_charset() or charsets.USUAL) if isinstance(payload, bytes) else ""
    return _plain(text).replace("\r\n", "\n")


def _attachments(message: EmailMessage, *, with_content: bool) -> Iterator[Attachment]:
    left = MAX_ATTACHMENTS
    parts: list[EmailMessage] = _or([], lambda: list(message.iter_attachments()))
    for part in parts[:MOST_ATTACHMENTS]:
        data = _or(b"", lambda part=part: _bytes(part))  # type: ignore[misc]
        fits = with_content and len(data) <= left
        left -= len(data) if fits else 0
        yield Attachment(
            name=_or("", lambda part=part: _plain(part.get_filename() or "")[:500]),  # type: ignore[misc]
            type=_plain(part.get_content_type()),
            size=len(data),
            content=encoded(data) if fits else None,
        )


def _bytes(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    if isinstance(payload, bytes):
        return payload
    # A message inside this one.
    return b"".join(inner.as_bytes() for inner in part.get_payload() if isinstance(inner, EmailMessage))
