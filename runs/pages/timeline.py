"""A run's steps over time, as the tree that the workflow is: drawn on the server, so that no script lays it out.

Each step that ran is a line, and beneath it is what it holds: its lanes by name, or one page of a loop's items. A lane
that was not taken, and steps that were never reached, are said in a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Final
from zlib import crc32

from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.words import short_id, status_word
from runs.loops import LoopState
from runs.outline import PARALLEL, TRIGGER, LaneOutline, StepOutline, walk
from runs.pages.address import Address
from runs.pages.axis import Axis, Tick, axis_over
from runs.pages.lines import (
    MAX_INDENT,
    OPEN,
    Line,
    Scene,
    busy_spans,
    dom_id,
    item_line,
    item_status,
    step_line,
    tally_words,
    trigger_line,
    working_words,
)
from runs.pages.markup import Pen
from runs.pages.reading import ItemsPage, Reading
from runs.paths import item_path, prefix_of
from runs.states import RunKind, RunStatus, StepStatus

LINES_A_PAGE: Final = 70
NAMES_SAID: Final = 6


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link in a sentence, or only words.

    ``current`` is what is shown already, ``leaves`` leads to another page. What changes which items are shown has a
    ``dom_id``, so that the focus stays on it.
    """

    text: str
    url: str
    current: bool = False
    leaves: bool = False
    dom_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry of the timeline: a line, a lane's heading, or a sentence with links.

    ``level`` is how deep it is nested; ``opens`` says that a nested list follows, ``closes`` how many end after it.
    ``key`` is what is pressed to come here from the line that is selected. ``path`` is that of the row's line, and
    ``draw`` makes it: of a thousand, one page is drawn. ``place`` and ``content`` are checksums of where a row stands
    and of what it shows, ``html`` is its line.
    """

    level: int
    indent: int
    path: str = ""
    draw: Callable[[], Line] | None = field(default=None, repr=False, compare=False)
    line: Line | None = None
    words: str = ""
    links: tuple[Link, ...] = ()
    is_heading: bool = False
    opens: bool = False
    closes: Sequence[int] = ()
    key: str = ""
    place: int = 0
    content: int = 0
    html: str = ""

    @property
    def id(self) -> str:
        return self.id_at(self.place)

    @property
    def html_oob(self) -> SafeString:
        """Return the line as what htmx puts in the place of the one that is there."""
        return SafeString(self.html.replace("<a ", '<a hx-swap-oob="true" ', 1))

    @staticmethod
    def id_at(place: int) -> str:
        """Return the id that a row at a place has on the page."""
        return f"r{place:08x}"


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The rows with the drawing's axis; ``previous`` and ``next`` lead to more rows."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    breaks: tuple[float, ...]
    legend: tuple[tuple[str, str], ...]
    totals: str
    previous: str = ""
    next: str = ""


def scene_of(reading: Reading, now: datetime, *, roomy: bool = False) -> Scene:
    """Return what the lines are drawn from: from the moment the run was accepted to its end, or to now.

    A ``roomy`` axis goes on after that, so that little changes while a run does.
    """
    run = reading.run
    rows = [row for found in reading.attempts.values() for row in found]
    ends = [moment for row in rows for moment in (row.finished_at, row.started_at) if moment]
    end = max([run.finished_at or now, *ends]) if run.started_at or run.finished_at else now
    axis = axis_over(run.created_at, end, busy_spans(reading, now))
    axis = axis.roomy if roomy else axis
    return Scene(reading=reading, axis=axis, now=now, note_x=_note_x(axis, rows))


def _note_x(axis: Axis, rows: Sequence[Any]) -> float:
    """Return where a note stands: where the last step began, but with room for its words."""
    starts = [row.started_at for row in rows if row.item is None]
    return min(axis.at(max(starts)), 50.0) if starts else 1.0


def timeline(scene: Scene) -> Timeline:
    """Return the run's timeline: the trigger first, then the steps of its version, in pages of seventy."""
    reading = scene.reading
    all_rows = _rows_to_draw(scene)
    starts = _page_starts(all_rows)
    wanted = reading.address.rows
    page = _page_with(all_rows, starts, reading.selected) if wanted is None else wanted
    page = min(max(0, page), len(starts) - 1)
    end = starts[page + 1] if page + 1 < len(starts) else None
    shown = nested(_drawn(all_rows[starts[page] : end]))
    lines = [row.line for row in shown if row.line]
    return Timeline(
        rows=tuple(marked(_with_keys(shown))),
        ticks=scene.axis.ticks(),
        breaks=scene.axis.breaks,
        legend=_legend(lines),
        totals=working_words(scene),
        previous=replace(reading.address, rows=page - 1).url if page else "",
        next=replace(reading.address, rows=page + 1).url if page + 1 < len(starts) else "",
    )


def _with_keys(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the keys that lead from the selected line to those beside it."""
    places = [index for index, row in enumerate(rows) if row.line]
    at = next((place for place, index in enumerate(places) if rows[index].line.selected), -1)  # type: ignore[union-attr]
    keys = {places[place]: key for place, key in ((at - 1, "k"), (at + 1, "j")) if 0 <= place < len(places)}
    return [replace(row, key=keys.get(index, "")) for index, row in enumerate(rows)]


def marked(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows with their markup and what tells them from others: the place by what is around it."""
    pen, around, sentences = Pen(), {-1: 0}, Counter[int]()
    for row in rows:
        outer = around[max(level for level in around if level < row.level)]
        sentences[outer] += not row.path
        own = row.path or (sentences[outer], row.is_heading, row.indent)
        place = around[row.level] = crc32(f"{outer} {own} {row.opens}".encode())
        html = pen.line(row.line, row.key) if row.line else SafeString("")
        shows = html or repr((row.words, row.links))
        yield replace(row, place=place, html=html, content=crc32(shows.encode("utf-8", "backslashreplace")))


def rows_of(scene: Scene) -> list[Row]:
    """Return all rows: the trigger's, and those of the steps."""
    return _drawn(_rows_to_draw(scene))


def _rows_to_draw(scene: Scene) -> list[Row]:
    first = Row(level=0, indent=0, path=TRIGGER, draw=partial(trigger_line, scene))
    return [first, *_Rows(scene).sequence(scene.reading.roots, "", 0)]


def _drawn(rows: Sequence[Row]) -> list[Row]:
    return [replace(row, line=row.draw()) if row.draw else row for row in rows]


def _page_starts(rows: Sequence[Row]) -> list[int]:
    """Return where pages begin: after so many lines that are outermost or in lanes, never inside of a loop's items."""
    starts, count = [0], 0
    for index, row in enumerate(rows):
        count += not row.path.endswith("]")
        if count > LINES_A_PAGE and row.path and "[" not in row.path:
            starts.append(index)
            count = 1
    return starts


def _page_with(rows: Sequence[Row], starts: Sequence[int], path: str) -> int:
    place = next((index for index, row in enumerate(rows) if row.path == path), 0)
    return max(page for page, start in enumerate(starts) if start <= place)


def nested(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with where nested lists begin and end; a page may begin in the middle of some."""
    least = min(row.level for row in rows)
    found = []
    for row, after in zip(rows, [*rows[1:], None], strict=True):
        level, then = row.level - least, (after.level - least if after else 0)
        found.append(replace(row, opens=then > level, closes=range(max(0, level - then))))
    return found


class _Rows:
    """Makes the rows of a tree of steps, depth first."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.reading = scene, scene.reading

    def sequence(
        self, steps: Sequence[StepOutline], prefix: str, level: int, *, live: bool | None = None
    ) -> Iterator[Row]:
        """Yield the rows of steps that run one after the other; ``live`` while those that did not begin still may."""
        live = not RunStatus(self.reading.run.status).is_terminal if live is None else live
        unreached: list[StepOutline] = []
        for step in steps:
            path = f"{prefix}{step.key}"
            if path not in self.reading.attempts and path not in self.reading.given:
                unreached.append(step)
                continue
            if unreached:
                yield self._unreached(unreached, prefix, level, live)
                unreached = []
            yield from self._step(step, path, level)
        if unreached:
            yield self._unreached(unreached, prefix, level, live)

    def _step(self, step: StepOutline, path: str, level: int) -> Iterator[Row]:
        indent = min(self.reading.indent(step), MAX_INDENT)
        yield Row(level=level, indent=indent, path=path, draw=partial(step_line, self.scene, step, path))
        rows = self.reading.attempts.get(path)
        if rows is None or rows[-1].status == StepStatus.SKIPPED:
            return
        if step.is_loop and path in self.reading.loops:
            yield from self._items(step, path, self.reading.loops[path], level + 1)
        elif step.lanes and not step.is_loop:
            yield from self._lanes(step, path, level + 1, live=rows[-1].status in OPEN)
        elif path in self.reading.calls:
            yield self._called(path, indent + 1, level + 1)

    def _lanes(self, step: StepOutline, path: str, level: int, *, live: bool) -> Iterator[Row]:
        taken = self._taken(step, path)
        left = [lane for lane in step.lanes if lane not in taken]
        indent = self.reading.indent(step) + 1
        if left and len(taken) == 1 and not taken[0].steps:
            words = _("%(lane)s: nothing in it.") % {"lane": taken[0].words}
            yield Row(level=level, indent=indent, words=f"{words} {_not_taken(left)}")
            return
        for lane in taken:
            heading = lane.words if lane.steps else _("%(lane)s: nothing in it") % {"lane": lane.words}
            yield Row(level=level, indent=indent, words=heading, is_heading=True)
            yield from self.sequence(lane.steps, prefix_of(path), level + 1, live=live)
        if left:
            yield Row(level=level, indent=indent, words=_not_taken(left))

    def _taken(self, step: StepOutline, path: str) -> list[LaneOutline]:
        """Return the lanes that a step took: all at once, or the one it decided on."""
        if step.action == PARALLEL:
            return list(step.lanes)
        decided = self.reading.attempts[path][-1].decided
        name = decided.get("lane") if isinstance(decided, dict) else None
        began = {
            lane.name
            for lane in step.lanes
            if any(f"{prefix_of(path)}{inner.key}" in self.reading.attempts for inner in lane.steps)
        }
        return [lane for lane in step.lanes if lane.name == name or (name is None and lane.name in began)]

    def _items(self, loop: StepOutline, path: str, state: LoopState, level: int) -> Iterator[Row]:
        page = self.reading.pages.get(path)
        indent = self.reading.indent(loop) + 1
        yield Row(level=level, indent=indent, words=tally_words(state), links=self._loop_links(path, state, page))
        for item in page.items if page else ():
            own, draw = item_path(path, item), partial(item_line, self.scene, loop, path, item)
            yield Row(level=level, indent=min(indent, MAX_INDENT), path=own, draw=draw)
            # What an earlier run gave of an item is its outcome alone: there is nothing to say of its steps.
            if page and item in page.unfolded and own not in self.reading.given:
                live = state.is_open and item_status(self.reading, loop, path, item) in OPEN
                yield from self.sequence(self._body(loop, own), f"{own}.", level + 1, live=live)

    def _body(self, loop: StepOutline, own: str) -> Sequence[StepOutline]:
        """Return what an item has lines for: of an agent only what it used, as nothing else was to come."""
        if not loop.is_agent:
            return loop.body
        return [step for step in loop.body if f"{own}.{step.key}" in self.reading.attempts]

    def _loop_links(self, path: str, state: LoopState, page: ItemsPage | None) -> tuple[Link, ...]:
        """Return what leads to other items of a loop."""
        address, own = self.reading.address, dom_id(path)
        if page is None:
            return (_control(own, "show", _("Show the items"), address.opening(path)),) if state.lines else ()
        found = []
        if page.failed or state.failed:
            at_first = page.failed and not page.start
            found.append(_control(own, "all", _("All"), address.opening(path, 0), current=not page.failed))
            found.append(_control(own, "bad", _("Failed"), address.opening(path, failed=True), current=at_first))
        if page.previous is not None:
            words = _("First") if page.failed else _("Previous")
            found.append(_control(own, "back", words, address.opening(path, page.previous, failed=page.failed)))
        if page.next is not None:
            found.append(_control(own, "next", _("Next"), address.opening(path, page.next, failed=page.failed)))
        if found and page.items and not page.failed:
            first, last = (f"{item + 1:,}" for item in (page.items[0], page.items[-1]))
            here = _("Items %(first)s to %(last)s") % {"first": first, "last": last}
            found.insert(0, Link(text=here, url="", dom_id=f"{own}-here"))
        return tuple(found)

    def _called(self, path: str, indent: int, level: int) -> Row:
        called = self.reading.calls[path]
        words = _("Called run, %(status)s:") % {"status": status_word(called.status).lower()}
        url = reverse("run", args=[self.reading.run.tenant.slug, called.pk])
        name = f"{called.workflow.name} {short_id(called.pk)}"
        return Row(level=level, indent=indent, words=words, links=(Link(text=name, url=url, leaves=True),))

    def _unreached(self, steps: Sequence[StepOutline], prefix: str, level: int, live: bool) -> Row:
        count = sum(1 for _step in walk(steps))
        links = tuple(
            Link(text=step.name, url=self.scene.url(f"{prefix}{step.key}")) for step in list(steps)[:NAMES_SAID]
        )
        words = _("Still to come:") if live else _unreached_words(self.reading, count)
        more = len(steps) - len(links)
        if more:
            links = (*links, Link(text=_("and %(count)d more") % {"count": more}, url=""))
        return Row(level=level, indent=self.reading.indent(steps[0]), words=words, links=links)


def _control(own: str, name: str, text: str, address: Address, *, current: bool = False) -> Link:
    return Link(text=text, url=address.url, current=current, dom_id=f"{own}-{name}")


def _not_taken(lanes: Sequence[LaneOutline]) -> str:
    names = ", ".join(lane.words for lane in lanes[:NAMES_SAID])
    more = len(lanes) - NAMES_SAID
    if more > 0:
        names = _("%(names)s and %(count)d more") % {"names": names, "count": more}
    return _("Not taken: %(names)s") % {"names": names}


def _unreached_words(reading: Reading, count: int) -> str:
    if reading.run.kind == RunKind.STEP:
        return _("Not part of this test:")
    said = ngettext("%(count)d step was not reached:", "%(count)d steps were not reached:", count)
    return said % {"count": count}


def _legend(lines: Sequence[Line]) -> tuple[tuple[str, str], ...]:
    """Return the colours that the drawing uses, with their words."""
    used = {block.css for line in lines for block in line.blocks} | (
        {"w"} if any(line.waits for line in lines) else set()
    )
    stopped = any(line.status == StepStatus.CANCELLED for line in lines)
    words = (
        ("ok", _("succeeded")),
        ("bad", _("failed")),
        ("warn", _("tried again")),
        ("live", _("running")),
        ("w", _("waiting")),
        ("q", _("queued, stopped or to come") if stopped else _("queued or to come")),
    )
    return tuple((css, word) for css, word in words if css in used)
