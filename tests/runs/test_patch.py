"""A patch leads from any timeline that a page shows to any other one, and what it cannot do it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runs.pages import patch
from runs.pages.patch import as_text, from_text, patch_of, seen_of
from runs.pages.timeline import Link, Row, Timeline, marked, nested

# Every row there may be: its level, and its name; some are sentences, which have no path.
_ALL: Final = (
    (0, "first"), (0, "each"), (1, ""), (1, "each[0]"), (2, "each[0].send"), (2, "each[0].in"), (3, "each[0].in[0]"),
    (2, ""), (1, "each[1]"), (2, "each[1].send"), (0, "big"), (1, ""), (2, "tell"), (1, ""), (0, "last"), (0, ""),
)  # fmt: skip


@dataclass(eq=True)
class _Entry:
    """An entry of a list on a page; one that holds no list has no ``inside``."""

    id: str
    shows: str
    inside: list[_Entry] | None = None


@dataclass
class _Page:
    """The lists of a page, changed the way that htmx does it."""

    entries: list[_Entry] = field(default_factory=list)

    def find(self, id_: str, among: list[_Entry] | None = None) -> tuple[list[_Entry], int]:
        among = self.entries if among is None else among
        for place, entry in enumerate(among):
            if entry.id == id_:
                return among, place
            try:
                return self.find(id_, entry.inside or [])
            except LookupError:
                continue
        raise LookupError(id_)

    def take(self, found: patch.Patch) -> None:
        for id_ in found.removed:
            among, place = self.find(id_)
            del among[place]
        for added in found.added:
            how, _, target = added.where.partition(":#")
            among, place = self._at(how, target)
            among[place:place] = entries(added.rows)
        for row in found.changed:
            among, place = self.find(row.id)
            among[place].shows = row.words

    def _at(self, how: str, target: str) -> tuple[list[_Entry], int]:
        if how == "afterbegin":
            if target == "timeline-rows":
                return self.entries, 0
            among, place = self.find(target.removesuffix(" > ol"))
            inside = among[place].inside
            assert inside is not None, "a list that is not there"
            return inside, 0
        among, place = self.find(target)
        return among, place + 1


def entries(rows: Iterable[Row]) -> list[_Entry]:
    """Return rows as the lists that their markup makes."""
    open_: list[list[_Entry]] = [[]]
    for row in rows:
        entry = _Entry(row.id, row.words, [] if row.opens else None)
        open_[-1].append(entry)
        if row.opens:
            assert entry.inside is not None
            open_.append(entry.inside)
        del open_[len(open_) - len(row.closes) :]
    assert len(open_) == 1
    return open_[0]


def timeline_of(words: Sequence[str | None], **more: str) -> Timeline:
    """Return a timeline of the rows that have words, as far as what holds them has."""
    rows: list[Row] = []
    missing = 99
    for (level, path), said in zip(_ALL, words, strict=True):
        if level > missing:
            continue
        missing = level if said is None else 99
        if said is not None:
            rows.append(Row(level=level, indent=level, path=path, words=said))
    made = tuple(marked(nested(rows))) if rows else ()
    return Timeline(rows=made, ticks=(), breaks=(), legend=(), totals="", **more)


_words = st.lists(st.sampled_from([None, "one", "two", "two"]), min_size=len(_ALL), max_size=len(_ALL))


@given(old=_words, new=_words)
def test_what_is_shown_after_a_patch_is_what_the_whole_would_show(old: list[str | None], new: list[str | None]) -> None:
    before, after = timeline_of(old), timeline_of(new)
    with pytest.MonkeyPatch.context() as given_:
        given_.setattr(patch, "_MOST_CHANGES", 9.0)
        found = patch_of(seen_of("", before), after)
    page = _Page(entries(before.rows))
    if found is None:
        # A sentence has no name: one that would have to move is a case for the whole.
        assert [row.place for row in before.rows] != [row.place for row in after.rows]
        return
    page.take(found)
    assert page.entries == entries(after.rows)


def test_what_shows_the_same_is_not_sent() -> None:
    words: list[str | None] = ["one"] * len(_ALL)
    changed = [*words[:4], "two", *words[5:]]
    found = patch_of(seen_of("", timeline_of(words)), timeline_of(changed))
    assert found is not None
    assert (found.removed, found.added, [row.path for row in found.changed]) == ((), (), ["each[0].send"])


def test_where_most_rows_change_or_the_axis_does_the_whole_is_sent() -> None:
    before = timeline_of(["one"] * len(_ALL))
    assert patch_of(seen_of("", before), timeline_of(["two"] * len(_ALL))) is None
    assert patch_of(seen_of("", before), timeline_of(["one"] * len(_ALL), next="?rows=1")) is None


def test_a_link_that_changes_is_a_change() -> None:
    row = Row(level=0, indent=0, words="Still to come:", links=(Link(text="a", url="?step=a"),))
    other = Row(level=0, indent=0, words="Still to come:", links=(Link(text="b", url="?step=b"),))
    (one,), (two,) = marked([row]), marked([other])
    assert one.place == two.place
    assert one.content != two.content


def test_what_a_page_shows_goes_through_an_address_and_back() -> None:
    shown = seen_of("head", timeline_of(["one"] * len(_ALL)))
    text = as_text(shown, len(_ALL))
    assert text.replace("-", "").replace("_", "").isalnum()
    assert from_text(text) == shown


def test_rows_that_cannot_be_told_apart_or_are_too_many_are_not_patched() -> None:
    shown = seen_of("head", timeline_of(["one"] * len(_ALL)))
    assert as_text(shown, len(_ALL) + 1) == ""
    many = tuple(marked([Row(level=0, indent=0, path=f"s{index}") for index in range(300)]))
    assert as_text(seen_of("", Timeline(rows=many, ticks=(), breaks=(), legend=(), totals="")), 300) == ""


@pytest.mark.parametrize("text", ["", "x", "€", "AAAA", "A" * 9, "A" * 10_000, "%00", "\x00" * 8, "=" * 8])
def test_what_cannot_be_read_is_as_if_nothing_were_shown(text: str) -> None:
    found = from_text(text)
    assert found is None or found.head == 0
