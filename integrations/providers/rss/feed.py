"""A feed's XML as entries: RSS 2.0 and 0.9x, RSS 1.0 and Atom 1.0, as they come. Pure.

A feed is a stranger's: a document type with entities of its own is refused, nothing outside is ever fetched, and depth
and number of elements are bounded. What is missing in an entry is empty, never an error.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from integrations.sdk import Permanent, charsets
from integrations.words import gettext as _

MAX_DEPTH: Final = 100
MAX_ELEMENTS: Final = 200_000
MAX_ENTRIES: Final = 2_000
# Of a qualified name: each holds its namespace again, so that a long one would be kept for every element.
MAX_NAME: Final = 300
_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_DC: Final = "{http://purl.org/dc/elements/1.1/}"
_CONTENT: Final = "{http://purl.org/rss/1.0/modules/content/}encoded"
_RDF_ABOUT: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"
_BASE: Final = "{http://www.w3.org/XML/1998/namespace}base"
_DECLARATION: Final = re.compile(r"\s*<\?xml[^>]*\?>")
_DECLARED: Final = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_CHARSET: Final = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry; times are aware, ``id`` is what the feed calls it, else its link, else what it says."""

    id: str
    title: str = ""
    link: str = ""
    summary: str = ""
    content: str = ""
    author: str = ""
    published: datetime | None = None
    updated: datetime | None = None
    categories: tuple[str, ...] = ()
    enclosures: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A feed as it stands, its entries in the order of the document: the newest first, as a rule."""

    title: str = ""
    link: str = ""
    entries: tuple[Entry, ...] = field(default=())


def parse(body: bytes, *, content_type: str = "", url: str = "") -> Feed:
    """Return the feed in an answer's body; ``url`` is what relative links are of. Raises Permanent."""
    root = _tree(_text(body, content_type))
    name = _local(root)
    if name == "feed":
        return _atom(root, url)
    channel = next((each for each in root if _local(each) == "channel"), None)
    if name not in ("rss", "RDF") or channel is None:
        raise Permanent(
            _("This is no feed: neither RSS nor Atom."), hint=_("Use the address of the feed, not of the page.")
        )
    # RSS 1.0 has its items beside the channel.
    items = [each for each in (*channel, *root) if _local(each) == "item"]
    link = _said(channel, "link")
    entries = tuple(_item(item, _joined(url, link)) for item in items[:MAX_ENTRIES])
    return Feed(title=_said(channel, "title"), link=link, entries=entries)


def _text(body: bytes, content_type: str) -> str:
    """Return the document as text: by its byte order mark, else the header's charset, else its own declaration."""
    bom = next((name for mark, name in _BOMS if body.startswith(mark)), "")
    header, declared = _CHARSET.search(content_type), _DECLARED.match(body[:300])
    names = (bom, header.group(1) if header else "", declared.group(1).decode() if declared else "", "utf-8")
    name = next(name for name in names if name and charsets.known(name))
    text = charsets.decoded(body, name)
    # At the beginning alone: looked for everywhere, it would take the square of the document's length.
    declaration = _DECLARATION.match(text)
    return text[declaration.end() :] if declaration else text


def _tree(text: str) -> Element:
    """Return the root element. Raises Permanent for what is no XML, or more than a feed needs."""
    builder = TreeBuilder()
    parser = expat.ParserCreate("utf-8", namespace_separator="}")
    depth = count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise Permanent(_("This feed is nested too deep or has too many elements."))
        if any(len(each) > MAX_NAME for each in (name, *attributes)):
            raise Permanent(_("This feed has names or namespaces that are too long."))
        builder.start(_qualified(name), {_qualified(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_qualified(name))

    # Else a document type's defaults would be repeated for every element.
    parser.specified_attributes = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    try:
        # Some charsets give halves of surrogate pairs, which UTF-8 has none of.
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise Permanent(
            _("This is no feed: its XML is broken (%(why)s, line %(line)d, column %(column)d).")
            % {
                "why": expat.errors.messages.get(error.code, "unknown"),
                "line": error.lineno,
                "column": error.offset + 1,
            },
            hint=_("Use the address of the feed, not of the page."),
        ) from None
    return builder.close()


def _refuse(*_declared: Any) -> int:
    raise Permanent(_("This feed declares entities of its own, which are refused: they can grow without end."))


def _qualified(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _atom(root: Element, url: str) -> Feed:
    base = _joined(url, root.get(_BASE, ""))
    entries = [each for each in root if _local(each) == "entry"]
    return Feed(
        title=_said(root, "title"),
        link=_atom_link(root, base),
        entries=tuple(_atom_entry(each, _joined(base, each.get(_BASE, ""))) for each in entries[:MAX_ENTRIES]),
    )


def _atom_entry(entry: Element, base: str) -> Entry:
    link = _atom_link(entry, base)
    published, updated = _time(_said(entry, "published", "issued")), _time(_said(entry, "updated", "modified"))
    author = next((each for each in entry if _local(each) == "author"), None)
    return _named(
        id=_said(entry, "id"),
        title=_said(entry, "title"),
        link=link,
        summary=_said(entry, "summary"),
        content=_said(entry, "content"),
        author=_said(author, "name") if author is not None else "",
        published=published or updated,
        updated=updated,
        categories=tuple(filter(None, (each.get("term", "") for each in entry if _local(each) == "category"))),
        enclosures=tuple(_enclosure(each, "href", base) for each in _atom_links(entry, "enclosure")),
    )


def _atom_links(parent: Element, relation: str) -> Iterator[Element]:
    return (each for each in parent if _local(each) == "link" and each.get("rel", "alternate") == relation)


def _atom_link(parent: Element, base: str) -> str:
    found = next((each.get("href", "") for each in _atom_links(parent, "alternate")), "")
    return _joined(base, found.strip()) if found else ""


def _item(item: Element, base: str) -> Entry:
    link = _said(item, "link")
    guid = next((each for each in item if _local(each) == "guid"), None)
    name = _inner(guid) if guid is not None else item.get(_RDF_ABOUT, "")
    if not link and guid is not None and guid.get("isPermaLink", "true") == "true" and "://" in name:
        link = name
    content = next((each for each in item if each.tag == _CONTENT), None)
    published = _time(_said(item, "pubDate") or _said(item, "date"))
    return _named(
        id=name,
        title=_said(item, "title"),
        link=_joined(base, link) if link else "",
        summary=_said(item, "description"),
        content=_inner(content) if content is not None else "",
        author=_said(item, "author") or _said(item, "creator"),
        published=published,
        updated=_time(_said(item, "updated")),
        categories=tuple(filter(None, (_inner(each) for each in item if _local(each) == "category"))),
        enclosures=tuple(_enclosure(each, "url", base) for each in item if _local(each) == "enclosure"),
    )


def _named(**parts: Any) -> Entry:
    """Return an entry that has an id, whatever the feed left out."""
    name = parts["id"] or parts["link"]
    if not name:
        text = "\x00".join((parts["title"], parts["summary"], parts["content"], str(parts["published"] or "")))
        name = f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return Entry(**{**parts, "id": name[:2_000]})


def _enclosure(element: Element, address: str, base: str) -> dict[str, str]:
    return {
        "url": _joined(base, element.get(address, "").strip()),
        "type": element.get("type", ""),
        "length": element.get("length", ""),
    }


def _said(parent: Element, *names: str) -> str:
    """Return the text of the first child of one of these names that has any; plain ones before those of modules."""
    found = [each for name in names for each in parent if _local(each) == name]
    found.sort(key=lambda each: each.tag.startswith("{") and not each.tag.startswith((_ATOM, _DC)))
    texts = (_inner(each) for each in found)
    return next((text for text in texts if text), "")


def _inner(element: Element) -> str:
    """Return what an element says: its text, and that of elements inside it as with XHTML content."""
    return "".join(element.itertext()).strip()


def _joined(base: str, address: str) -> str:
    """Return an address in full; one that is none, as it stands."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def _time(text: str) -> datetime | None:
    """Return a time as RSS or Atom writes it, None where it is neither."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text.strip())
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        try:
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (OverflowError, ValueError):
            return None
    return None
