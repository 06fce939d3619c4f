"""RSS and Atom: what is read of a feed, what is refused of it, and what a poll remembers."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from integrations.providers.rss.feed import MAX_DEPTH, parse
from integrations.providers.rss.triggers import MAX_FEED_BYTES, new_item
from integrations.sdk import InputError, NotFound, Permanent
from integrations.sdk.polling import MAX_ITEMS
from integrations.sdk.testing import run_poll

URL = "https://example.com/feed.xml"
RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:content="http://purl.org/rss/1.0/modules/content/"
     xmlns:atom="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/">
<channel><title>News</title><atom:link href="https://example.com/feed.xml" rel="self"/><link>https://example.com/</link>
<item><media:title>Not this</media:title><title>Second &amp; last</title><link>/posts/2</link>
  <guid isPermaLink="false">post-2</guid><pubDate>Mon, 04 May 2026 09:00:00 +0200</pubDate>
  <dc:creator>Ada Fox</dc:creator><category>News</category><category>Ideas</category>
  <description>Short</description><content:encoded><![CDATA[<p>Long</p>]]></content:encoded>
  <enclosure url="/a.mp3" type="audio/mpeg" length="12"/></item>
<item><title>First</title><guid>https://example.com/posts/1</guid><pubDate>not a date</pubDate></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://example.com/blog/">
<title type="html">Blog</title><link rel="self" href="atom.xml"/><link href="./"/>
<entry><id>urn:uuid:1</id><title>Hello</title><link rel="enclosure" href="a.pdf" type="application/pdf"/>
<link href="hello"/><updated>2026-05-04T07:00:00Z</updated>
<author><name>Ada</name><email>a@example.com</email></author>
<category term="x"/><summary>Short</summary>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Long <b>text</b></p></div></content>
</entry></feed>"""
RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="x"><title>Old</title><link>https://example.com</link>
</channel><item rdf:about="https://example.com/1"><title>One</title><link>https://example.com/1</link>
<dc:date>2026-05-04T07:00:00Z</dc:date></item></rdf:RDF>"""


def entries(*names: object, title: str = "News") -> bytes:
    items = "".join(f"<item><title>{name}</title><guid>{name}</guid></item>" for name in names)
    return f"<rss version='2.0'><channel><title>{title}</title>{items}</channel></rss>".encode()


def test_rss_is_read_in_full() -> None:
    feed = parse(RSS.encode(), url=URL)
    assert (feed.title, feed.link) == ("News", "https://example.com/")
    last, first = feed.entries
    assert (last.id, last.title, last.link) == ("post-2", "Second & last", "https://example.com/posts/2")
    assert (last.author, last.categories, last.summary, last.content) == (
        "Ada Fox", ("News", "Ideas"), "Short", "<p>Long</p>",
    )  # fmt: skip
    assert last.published is not None
    assert last.published.isoformat() == "2026-05-04T07:00:00+00:00"
    assert last.enclosures == ({"url": "https://example.com/a.mp3", "type": "audio/mpeg", "length": "12"},)
    assert (first.id, first.link, first.published) == (
        "https://example.com/posts/1",
        "https://example.com/posts/1",
        None,
    )


def test_atom_and_rss_1_are_read_too() -> None:
    feed = parse(ATOM.encode(), url=URL)
    (entry,) = feed.entries
    assert (feed.title, feed.link) == ("Blog", "https://example.com/blog/")
    assert (entry.id, entry.link, entry.author) == ("urn:uuid:1", "https://example.com/blog/hello", "Ada")
    assert (entry.content, entry.summary, entry.categories) == ("Long text", "Short", ("x",))
    assert entry.published == entry.updated
    assert entry.enclosures[0]["url"] == "https://example.com/blog/a.pdf"
    (old,) = parse(RDF.encode()).entries
    assert (old.id, old.title, str(old.published)) == ("https://example.com/1", "One", "2026-05-04 07:00:00+00:00")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"<?xml version='1.0' encoding='windows-1252'?>{}", ""),
        (b"\xef\xbb\xbf<?xml version='1.0' encoding='iso-8859-1'?>{}", ""),
        (b"<?xml version='1.0' encoding='utf-8'?>{}", "application/xml; charset=ISO-8859-1"),
        (b"<?xml version='1.0' encoding='no-such-thing'?>{}", "text/xml; charset=hex"),
        (b"<?xml version='1.0' encoding='shift_jis'?>{}", ""),
    ],
)
def test_a_feed_is_read_in_its_own_characters(body: bytes, content_type: str) -> None:
    charset = next((name for name in ("windows-1252", "shift_jis") if name.encode() in body), "utf-8")
    charset = "iso-8859-1" if "ISO" in content_type else charset
    text = "日本" if charset == "shift_jis" else "Café"
    feed = body.replace(b"{}", f"<rss><channel><title>{text}</title></channel></rss>".encode(charset))
    assert parse(feed, content_type=content_type).title == text


def test_utf_16_is_read_by_its_mark() -> None:
    assert parse("<rss><channel><title>Café</title></channel></rss>".encode("utf-16")).title == "Café"


BOMB = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'<!DOCTYPE rss [<!ENTITY a0 "ha">{BOMB}]><rss><channel><title>&a9;</title></channel></rss>', "entities"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel>&x;</channel></rss>', "entities"),
        ('<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1/x">%p;]><rss><channel/></rss>', "entities"),
        ("<rss>" + "<a>" * (MAX_DEPTH + 1), "nested too deep"),
        ("<html><body>A page</body></html>", "no feed"),
        ("<rss><channel><title>broken", "XML is broken"),
        ("<rss><channel>&nbsp;</channel></rss>", "XML is broken"),
        ("", "XML is broken"),
        ("{}", "XML is broken"),
        ("<rss/>", "no feed"),
    ],
)
def test_what_is_dangerous_or_no_feed_is_refused(text: str, said: str) -> None:
    with pytest.raises(Permanent, match=said):
        parse(text.encode())


@pytest.mark.parametrize(
    "body",
    [b" " * 500_000, b"<?xml " * 100_000, b'<rss xmlns:a="' + b"u" * 500_000 + b'"><channel>' + b"<a:x/>" * 50_000],
)
def test_a_feed_made_to_take_long_or_to_fill_the_memory_is_refused_at_once(body: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(Permanent):
        parse(body)
    assert time.process_time() - begun < 2


def test_a_document_types_defaults_fill_no_memory() -> None:
    defaults = " ".join(f"a{at} CDATA '{'v' * 1_000}'" for at in range(100))
    body = f"<!DOCTYPE rss [<!ATTLIST x {defaults}>]><rss><channel>{'<x/>' * 300}</channel></rss>".encode()
    tracemalloc.start()
    try:
        assert parse(body).entries == ()
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_link_that_is_no_address_and_halves_of_characters_are_no_errors() -> None:
    for feed in (
        "<rss><channel><item><link>http://[x</link><enclosure url='http://[y'/></item></channel></rss>",
        "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='http://[z'><entry><link href='http://[x'/></entry></feed>",
    ):
        assert [entry.link for entry in parse(feed.encode(), url=URL).entries] == ["http://[x"]
    found = parse(b"<rss><channel><title>a+2AA-</title></channel></rss>", content_type="text/xml; charset=utf-7")
    assert found.title == "a?"


def test_a_document_type_without_entities_is_harmless() -> None:
    feed = parse(b'<!DOCTYPE rss PUBLIC "-//X//DTD RSS 0.91//EN" "http://127.0.0.1/x.dtd"><rss><channel/></rss>')
    assert feed.entries == ()


def test_entries_without_a_name_of_their_own_are_told_apart_by_what_they_say() -> None:
    items = "<item><title>A</title></item><item><title>B</title></item><item><link>https://e.example/c</link></item>"
    ids = [entry.id for entry in parse(f"<rss><channel>{items}</channel></rss>".encode()).entries]
    assert len(set(ids)) == 3
    assert ids[2] == "https://e.example/c"


def poll(cursor: Any, *responses: httpx.Response) -> Any:
    return run_poll(new_item, {"url": URL}, cursor=cursor, http=responses)


def ids(found: Any) -> list[str]:
    return [item.id for item in found.items]


def test_a_poll_gives_what_is_new_oldest_first_and_remembers_it() -> None:
    first = poll(None, httpx.Response(200, content=entries("b", "a")))
    assert (ids(first), first.more) == (["a", "b"], False)
    assert first.items[0].data["feed"] == {"title": "News", "link": ""}
    second = poll(first.cursor, httpx.Response(200, content=entries("d", "c", "b", "a")))
    assert ids(second) == ["c", "d"]
    # What fell out of the feed and comes back is not new.
    third = poll(second.cursor, httpx.Response(200, content=entries("d")))
    fourth = poll(third.cursor, httpx.Response(200, content=entries("d", "a")))
    assert (ids(third), ids(fourth)) == ([], [])


def test_a_feed_that_has_not_changed_is_not_sent_again() -> None:
    headers: Mapping[str, str] = {"ETag": '"v1"', "Last-Modified": "Mon, 04 May 2026 07:00:00 GMT"}
    first = poll(None, httpx.Response(200, content=entries("a"), headers=headers))
    second = poll(first.cursor, httpx.Response(304))
    assert (ids(second), second.cursor) == ([], first.cursor)
    (request,) = second.requests
    assert request.headers["If-None-Match"] == '"v1"'
    assert request.headers["If-Modified-Since"] == "Mon, 04 May 2026 07:00:00 GMT"


def test_more_than_a_poll_may_bring_follows_at_the_next_although_the_feed_has_not_changed() -> None:
    body = entries(*range(MAX_ITEMS + 5, 0, -1))
    first = poll(None, httpx.Response(200, content=body, headers={"ETag": "v1"}))
    assert ids(first) == [str(number) for number in range(1, MAX_ITEMS + 1)]
    assert first.more
    second = poll(first.cursor, httpx.Response(200, content=body, headers={"ETag": "v1"}))
    assert "If-None-Match" not in second.requests[0].headers
    assert ids(second) == [str(number) for number in range(MAX_ITEMS + 1, MAX_ITEMS + 6)]
    assert (second.more, second.cursor["etag"]) == (False, "v1")


def test_what_goes_wrong_says_what_to_do() -> None:
    with pytest.raises(NotFound):
        poll(None, httpx.Response(404))
    with pytest.raises(Permanent, match="more than"):
        poll(None, httpx.Response(200, content=b" " * (MAX_FEED_BYTES + 1)))
    with pytest.raises(InputError, match="url"):
        run_poll(new_item, {"url": "ftp://example.com/feed"})
