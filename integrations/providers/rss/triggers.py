"""What RSS can start a workflow with."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, Field

from integrations.providers.rss import rss
from integrations.providers.rss.feed import Entry, Feed, parse
from integrations.sdk import Item, JSONValue, Permanent, Polled, RunContext, polling, ui
from integrations.sdk.polling import MAX_ITEMS
from integrations.words import gettext as _

# A feed is text; what is larger is something else.
MAX_FEED_BYTES: Final = 5 * 1024 * 1024
# What is remembered beyond what the feed still has: entries may fall out of it and come back.
REMEMBERED: Final = 2_000
_ACCEPT: Final = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.5"
_NOT_MODIFIED: Final = 304
_MARK: Final = 16


class NewItemInputs(BaseModel):
    url: str = Field(
        min_length=1,
        max_length=2_000,
        pattern=r"^https?://\S+$",
        title="Address of the feed",
        description="RSS or Atom.",
        examples=["https://example.com/feed.xml"],
        json_schema_extra=ui(format="uri"),
    )


class Enclosure(BaseModel):
    url: str
    type: str
    length: str


class FeedName(BaseModel):
    title: str
    link: str


class NewItem(BaseModel):
    id: str = Field(title="Id", description="What the feed calls it.")
    title: str = Field(title="Title")
    link: str = Field(title="Link")
    summary: str = Field(title="Summary", description="May be HTML.")
    content: str = Field(title="Content", description="In full, where the feed has it; may be HTML.")
    author: str = Field(title="Author")
    published: str | None = Field(title="Published", description="ISO 8601, UTC.")
    updated: str | None = Field(title="Updated", description="ISO 8601, UTC.")
    categories: list[str] = Field(title="Categories")
    enclosures: list[Enclosure] = Field(title="Enclosures", description="Files that belong to it.")
    feed: FeedName = Field(title="Feed")


SAMPLE: Final[dict[str, JSONValue]] = {
    "id": "https://example.com/posts/42",
    "title": "A new post",
    "link": "https://example.com/posts/42",
    "summary": "What it is about.",
    "content": "<p>What it is about, in full.</p>",
    "author": "Ada Fox",
    "published": "2026-05-04T07:00:00+00:00",
    "updated": None,
    "categories": ["News"],
    "enclosures": [],
    "feed": {"title": "Example", "link": "https://example.com/"},
}


@polling(
    provider=rss,
    key="rss.newItem",
    name="New item in a feed",
    auth_type="none",
    input_schema=NewItemInputs,
    output_schema=NewItem,
    sample=SAMPLE,
    first_run="skip",
    synonyms=("rss", "atom", "feed", "blog", "news", "podcast"),
)
async def new_item(ctx: RunContext[NewItemInputs], cursor: JSONValue) -> Polled:
    """Starts once for each new item of an RSS or Atom feed."""
    before = cursor if isinstance(cursor, dict) else {}
    response = await ctx.http.get(ctx.inputs.url, headers=_conditions(before))
    if response.status_code == _NOT_MODIFIED and before:
        return Polled(cursor=cursor)
    response.raise_for_status()
    if len(response.content) > MAX_FEED_BYTES:
        raise Permanent(
            _("This feed has more than %(max_feed_bytes)s bytes.") % {"max_feed_bytes": f"{MAX_FEED_BYTES:,}"},
            hint=_("Look for a shorter one."),
        )
    content_type, url = response.headers.get("Content-Type", ""), str(response.request.url)
    # In a thread: a large one takes a second or two, for which nothing else would go on.
    feed = await asyncio.to_thread(parse, response.content, content_type=content_type, url=url)
    seen = [mark for mark in _list(before.get("seen")) if isinstance(mark, str)]
    known = set(seen)
    # A feed begins with the newest: runs are to start in the order in which things appeared.
    new = [entry for entry in reversed(feed.entries) if _mark(entry) not in known]
    given, rest = new[:MAX_ITEMS], new[MAX_ITEMS:]
    left = {_mark(entry) for entry in rest}
    current = [mark for entry in feed.entries if (mark := _mark(entry)) not in left]
    remembered: list[JSONValue] = [*dict.fromkeys((*current, *seen))]
    # With what the server knows it by, the rest would not be sent again.
    validators = {} if rest else _validators(response.headers)
    return Polled(
        items=[Item(entry.id, _item(entry, feed)) for entry in given],
        cursor={"seen": remembered[: max(REMEMBERED, len(current))], **validators},
        more=bool(rest),
    )


def _conditions(before: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that ask for the feed only where it has changed."""
    found = {"Accept": _ACCEPT}
    for name, header in (("etag", "If-None-Match"), ("modified", "If-Modified-Since")):
        if isinstance(before.get(name), str):
            found[header] = before[name]
    return found


def _validators(headers: Mapping[str, str]) -> dict[str, JSONValue]:
    told = {"etag": headers.get("ETag"), "modified": headers.get("Last-Modified")}
    return {name: value for name, value in told.items() if value and len(value) <= 1_000 and value.isascii()}


def _mark(entry: Entry) -> str:
    return hashlib.sha256(entry.id.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK]


def _list(value: JSONValue) -> list[Any]:
    return value if isinstance(value, list) else []


def _item(entry: Entry, feed: Feed) -> dict[str, JSONValue]:
    return {
        "id": entry.id,
        "title": entry.title,
        "link": entry.link,
        "summary": entry.summary,
        "content": entry.content,
        "author": entry.author,
        "published": entry.published.isoformat() if entry.published else None,
        "updated": entry.updated.isoformat() if entry.updated else None,
        "categories": list(entry.categories),
        "enclosures": [dict(each) for each in entry.enclosures],
        "feed": {"title": feed.title, "link": feed.link},
    }
