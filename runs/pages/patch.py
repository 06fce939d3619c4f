"""What changed in a timeline that somebody has open: the rows that are new, gone or different, and nothing else.

A page says with whatever it asks for what it shows, as a checksum for each row; nothing of it is kept here. Rows are
the same if their place in the tree is, and whether they hold others: so a list is never begun or ended by a patch.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from runs.pages.timeline import Row, Timeline, nested

# The header in which a page says what it shows.
SEEN: Final = "X-Seen"
# With more rows, or where more of them change, the whole is sent: so many small ones cost the browser more.
_MOST_ROWS = 200
_MOST_CHANGES = 0.6
_FEW = 8  # as many as another selection changes: the two lines, and those beside them that are reached by key
_ROW = struct.Struct(">II")


@dataclass(frozen=True, kw_only=True)
class Added:
    """Rows that are new, with where they go, as htmx reads it."""

    where: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Patch:
    """How to get from what a page shows to what is; ``removed`` are ids, the inner ones first."""

    removed: tuple[str, ...]
    added: tuple[Added, ...]
    changed: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a page shows: checksums of its head and of what is around the rows, and of each row by its place."""

    head: int
    frame: int
    rows: Mapping[int, int]


def checksum(what: object) -> int:
    """Return a checksum of a value, the same in every process."""
    return crc32(repr(what).encode("utf-8", "backslashreplace"))


def seen_of(head: object, found: Timeline) -> Seen:
    """Return what a page shows that has this timeline."""
    return Seen(head=checksum(head), frame=_frame(found), rows={row.place: row.content for row in found.rows})


def _frame(found: Timeline) -> int:
    # Where other rows are is a part of its own: its links name the step that is selected.
    return checksum((found.ticks, found.breaks, bool(found.previous), bool(found.next)))


def as_text(seen: Seen, count: int) -> str:
    """Return what a page of ``count`` rows shows as text for a header; nothing where a patch could go wrong."""
    if not count == len(seen.rows) <= _MOST_ROWS:
        return ""
    pairs = ((seen.head, seen.frame), *seen.rows.items())
    return urlsafe_b64encode(b"".join(_ROW.pack(*pair) for pair in pairs)).decode().rstrip("=")


def from_text(text: str) -> Seen | None:
    """Return what a header says that a page shows; None for what cannot be read."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        (head, frame), *rows = _ROW.iter_unpack(raw)
    except (Error, ValueError, struct.error):
        return None
    return Seen(head=head, frame=frame, rows=dict(rows))


def patch_of(seen: Seen, found: Timeline) -> Patch | None:
    """Return what leads from what a page shows to the timeline; None where the whole has to be sent."""
    places = {row.place for row in found.rows}
    stayed = [place for place in seen.rows if place in places]
    if seen.frame != _frame(found) or stayed != [row.place for row in found.rows if row.place in seen.rows]:
        return None
    added = tuple(_added(found.rows, seen.rows))
    changed = tuple(row for row in found.rows if seen.rows.get(row.place, row.content) != row.content)
    if len(changed) + sum(len(each.rows) for each in added) > max(_FEW, _MOST_CHANGES * len(found.rows)):
        return None
    removed = tuple(Row.id_at(place) for place in reversed(seen.rows) if place not in places)
    return Patch(removed=removed, added=added, changed=changed)


def _added(rows: Sequence[Row], known: Mapping[int, int]) -> Iterator[Added]:
    """Yield new rows together with what they hold, as far as they follow each other."""
    # By level, where a row goes that comes next.
    where = {0: "afterbegin:#timeline-rows"}
    group: list[Row] = []
    for row in rows:
        if group and (row.place in known or row.level < group[0].level):
            yield Added(where=where[group[0].level], rows=tuple(nested(group)))
            group = []
        if row.place in known:
            where[row.level] = f"afterend:#{row.id}"
            where[row.level + 1] = f"afterbegin:#{row.id} > ol"
        else:
            group.append(row)
    if group:
        yield Added(where=where[group[0].level], rows=tuple(nested(group)))
