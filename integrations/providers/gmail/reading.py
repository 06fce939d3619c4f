"""Reading a message resource: its headers, its text, and what is attached."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.utils import getaddresses
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.sdk import JSONValue

# Of each of the two texts; what is longer comes cut off.
MAX_TEXT: Final = 200_000
MAX_PARTS: Final = 200


class Person(BaseModel):
    name: str
    address: str


class Attached(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    filename: str
    mime_type: str = Field(alias="mimeType")
    size: int
    attachment_id: str = Field(alias="attachmentId")


class Received(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(title="Message id")
    thread_id: str = Field(alias="threadId", title="Thread id")
    label_ids: list[str] = Field(alias="labelIds", title="Labels")
    subject: str = Field(title="Subject")
    from_: list[Person] = Field(alias="from", title="From")
    to: list[Person] = Field(title="To")
    cc: list[Person] = Field(title="Cc")
    date: str | None = Field(title="Arrived", description="ISO 8601, UTC.")
    snippet: str = Field(title="First words")
    message_id: str = Field(alias="messageId", title="Message-ID header", description="To reply to it.")
    text: str = Field(title="Text", description="Empty where the text was not asked for.")
    html: str = Field(title="Text as HTML")
    attachments: list[Attached] = Field(title="Attachments")
    truncated: bool = Field(title="Cut off", description="Whether a text was too long to bring in whole.")


SAMPLE: Final[dict[str, JSONValue]] = {
    "id": "18c2f0a1b2c3d4e5",
    "threadId": "18c2f0a1b2c3d4e5",
    "labelIds": ["INBOX", "UNREAD"],
    "subject": "An order",
    "from": [{"name": "Ada Fox", "address": "ada@example.com"}],
    "to": [{"name": "", "address": "orders@example.com"}],
    "cc": [],
    "date": "2026-05-04T07:00:00+00:00",
    "snippet": "Two of the blue ones, please.",
    "messageId": "<42@example.com>",
    "text": "Two of the blue ones, please.",
    "html": "",
    "attachments": [],
    "truncated": False,
}


def read(resource: Mapping[str, Any]) -> Received:
    """Return a message resource in words. What is missing or odd in it is left empty: mail is not always well made."""
    payload = resource.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    headers = _headers(payload)
    texts: dict[str, str] = {"text/plain": "", "text/html": ""}
    attachments: list[Attached] = []
    for part in _parts(payload):
        kind, filename = str(part.get("mimeType") or "").lower(), str(part.get("filename") or "")
        body = part.get("body")
        body = body if isinstance(body, dict) else {}
        if filename:
            attachments.append(_attached(filename, kind, body))
        elif kind in texts and not texts[kind]:
            texts[kind] = _text(part, body)
    labels = resource.get("labelIds")
    return Received(
        id=str(resource["id"]),
        thread_id=str(resource.get("threadId") or ""),
        label_ids=[str(label) for label in labels] if isinstance(labels, list) else [],
        subject=headers.get("subject", ""),
        from_=_people(headers.get("from", "")),
        to=_people(headers.get("to", "")),
        cc=_people(headers.get("cc", "")),
        date=_moment(arrived(resource)),
        snippet=str(resource.get("snippet") or ""),
        message_id=headers.get("message-id", ""),
        text=texts["text/plain"][:MAX_TEXT],
        html=texts["text/html"][:MAX_TEXT],
        attachments=attachments,
        truncated=any(len(text) > MAX_TEXT for text in texts.values()),
    )


def arrived(resource: Mapping[str, Any]) -> int:
    """Return when Gmail took the message, in milliseconds since 1970, 0 where it does not say."""
    try:
        return max(0, int(resource.get("internalDate") or 0))
    except (TypeError, ValueError):
        return 0


def _moment(milliseconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat() if milliseconds else None
    except (OverflowError, ValueError, OSError):
        return None


def _headers(part: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers by lower-case name; of several of one name the first counts."""
    found: dict[str, str] = {}
    rows = part.get("headers")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            found.setdefault(str(row.get("name") or "").lower(), str(row.get("value") or ""))
    return found


def _people(value: str) -> list[Person]:
    try:
        return [Person(name=name, address=address) for name, address in getaddresses([value]) if address]
    except (ValueError, IndexError, TypeError):
        return []


def _parts(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parts from the outside in, in their order, a bounded number of them."""
    waiting, seen = [payload], 0
    while waiting and seen < MAX_PARTS:
        part, seen = waiting.pop(0), seen + 1
        yield part
        inner = part.get("parts")
        waiting[:0] = [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []


def _attached(filename: str, kind: str, body: Mapping[str, Any]) -> Attached:
    size = body.get("size")
    return Attached(
        filename=filename,
        mime_type=kind,
        size=size if isinstance(size, int) else 0,
        attachment_id=str(body.get("attachmentId") or ""),
    )


def _text(part: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """Return a part's text in its own characters; what cannot be read in them is marked."""
    data = str(body.get("data") or "")
    try:
        raw = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    except (binascii.Error, ValueError):
        return ""
    header = Message()
    header["Content-Type"] = " ".join(_headers(part).get("content-type", "").split()) or "text/plain"
    try:
        return raw.decode(header.get_content_charset() or "utf-8", "replace").replace("\0", "")
    except LookupError:
        return raw.decode("utf-8", "replace").replace("\0", "")
