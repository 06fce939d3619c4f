"""Two runs of one workflow side by side: their steps paired by path, drawn on one axis, with what differs in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import TextField
from django.db.models.functions import MD5
from django.utils.translation import gettext as _

from runs.loops import LoopState
from runs.models import Payload, Run, StepRun
from runs.outline import TRIGGER, StepOutline
from runs.pages.axis import Axis, axis_over
from runs.pages.differences import same
from runs.pages.lines import Line, Scene, busy_spans, item_line, step_line, trigger_line
from runs.pages.reading import ITEMS_A_PAGE, Reading
from runs.pages.timeline import Link, scene_of
from runs.paths import is_item, item_path, prefix_of

# What a database takes in one statement.
_IDS_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Two readings of runs: ``left`` is the run that is looked at, ``right`` the one it is compared with."""

    left: Scene
    right: Scene

    @property
    def readings(self) -> tuple[Reading, Reading]:
        return self.left.reading, self.right.reading


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One step, iteration or trigger in both runs; a side is None where that run did not come to it.

    ``differs`` says in words what is not the same; ``links`` lead to other items of a loop; ``key`` is
    what is pressed to come here from the selected one.
    """

    path: str
    left: Line | None
    right: Line | None
    differs: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    key: str = ""

    @property
    def line(self) -> Line:
        """Return the line whose name and place stand for both."""
        line = self.left or self.right
        assert line is not None
        return line


def sides_of(left: Reading, right: Reading, now: datetime) -> Sides:
    """Return both runs with one axis that begins when each was accepted, and is cut where both were idle."""
    scenes = (scene_of(left, now), scene_of(right, now))
    length = max(scene.axis.end - scene.axis.start for scene in scenes)
    start = left.run.created_at
    axis = axis_over(start, start + length, _busy(scenes, start, now))
    return Sides(left=_on(axis, scenes[0], length), right=_on(axis, scenes[1], length))


def _on(axis: Axis, scene: Scene, length: timedelta) -> Scene:
    start = scene.axis.start
    return replace(scene, axis=replace(axis, start=start, end=start + length))


def _busy(scenes: Sequence[Scene], start: datetime, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    for scene in scenes:
        shift = start - scene.axis.start
        for began, ended in busy_spans(scene.reading, now):
            yield began + shift, ended + shift


def pairs_of(sides: Sides) -> list[Pair]:
    """Return the pairs in the order of the workflow, those that neither run came to left out; few queries."""
    left, right = sides.readings
    found = [_pair(sides, TRIGGER, trigger_line(sides.left), trigger_line(sides.right))]
    found += _Pairs(sides).sequence(left.roots, right.roots, "")
    prints = _fingerprints(left, right)
    return [replace(pair, differs=_differs(sides, pair, prints)) for pair in found]


def _pair(sides: Sides, path: str, left: Line | None, right: Line | None, links: tuple[Link, ...] = ()) -> Pair:
    return Pair(path=path, left=left, right=right, links=links)


class _Pairs:
    """Walks two trees of steps at once, depth first."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides

    def sequence(self, left: Sequence[StepOutline], right: Sequence[StepOutline], prefix: str) -> Iterator[Pair]:
        """Yield the pairs of steps that run one after the other; what only one version has stands where it would be."""
        ours, theirs = ({step.key: step for step in steps} for steps in (left, right))
        for key in _merged([step.key for step in left], [step.key for step in right]):
            path = f"{prefix}{key}"
            lines = (
                self._line(self.sides.left, ours.get(key), path),
                self._line(self.sides.right, theirs.get(key), path),
            )
            if lines != (None, None):
                links = self._items_links(path)
                yield _pair(self.sides, path, *lines, links=links)
                yield from self._inside(ours.get(key), theirs.get(key), path)

    def _line(self, scene: Scene, step: StepOutline | None, path: str) -> Line | None:
        came = path in scene.reading.attempts or path in scene.reading.given
        return step_line(scene, step, path) if step is not None and came else None

    def _inside(self, left: StepOutline | None, right: StepOutline | None, path: str) -> Iterator[Pair]:
        if any(step is not None and step.is_loop for step in (left, right)):
            yield from self._items(left, right, path)
            return
        lanes: tuple[dict[str, Any], ...] = tuple(
            {lane.name: lane.steps for lane in step.lanes} if step else {} for step in (left, right)
        )
        for name in _merged(list(lanes[0]), list(lanes[1])):
            yield from self.sequence(lanes[0].get(name, ()), lanes[1].get(name, ()), prefix_of(path))

    def _items(self, left: StepOutline | None, right: StepOutline | None, path: str) -> Iterator[Pair]:
        bodies = [step.body if step is not None and step.is_loop else () for step in (left, right)]
        for item in _shown_items(self.sides, path):
            own = item_path(path, item)
            lines = [
                item_line(scene, step, path, item)
                if step is not None and _has_item(scene.reading, path, item)
                else None
                for scene, step in ((self.sides.left, left), (self.sides.right, right))
            ]
            if lines != [None, None]:
                yield _pair(self.sides, own, lines[0], lines[1])
                yield from self.sequence(bodies[0], bodies[1], f"{own}.")

    def _items_links(self, path: str) -> tuple[Link, ...]:
        """Return where of a loop's items those are that are shown, and what leads to the others."""
        states = [state for state in _states(self.sides, path) if state is not None]
        most = max((state.lines for state in states), default=0)
        if not most:
            return ()
        address = self.sides.left.reading.address
        start = _start_of(self.sides, path)
        if start is None:
            return (Link(text=_("Show the items"), url=address.opening(path, 0).url),)
        said = {"first": f"{start + 1:,}", "last": f"{min(start + ITEMS_A_PAGE, most):,}", "all": f"{most:,}"}
        found = [Link(text=_("Items %(first)s to %(last)s of %(all)s") % said, url="")]
        if start:
            back = address.opening(path, max(0, start - ITEMS_A_PAGE))
            found.append(Link(text=_("Previous"), url=back.url))
        if start + ITEMS_A_PAGE < most:
            found.append(Link(text=_("Next"), url=address.opening(path, start + ITEMS_A_PAGE).url))
        return tuple(found) if len(found) > 1 else ()


def _merged(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Return all names: the left ones in their order, each that only the right has behind what it follows there."""
    found, known = list(left), set(left)
    for place, name in enumerate(right):
        if name not in known:
            before = right[place - 1] if place else None
            found.insert(found.index(before) + 1 if before is not None else 0, name)
            known.add(name)
    return found


def _states(sides: Sides, path: str) -> tuple[LoopState | None, LoopState | None]:
    left, right = sides.readings
    return left.loops.get(path), right.loops.get(path)


def _start_of(sides: Sides, path: str) -> int | None:
    """Return the first item of a loop that is shown; None for a loop that is closed."""
    if all(path not in reading.pages for reading in sides.readings):
        return None
    address = sides.left.reading.address
    if address.loop == path and address.start is not None:
        return address.start
    return min(reading.pages[path].start for reading in sides.readings if path in reading.pages)


def _shown_items(sides: Sides, path: str) -> list[int]:
    start = _start_of(sides, path)
    if start is None:
        return []
    items = {item for reading in sides.readings if path in reading.pages for item in reading.pages[path].items}
    return sorted(item for item in items if start <= item < start + ITEMS_A_PAGE)


def _has_item(reading: Reading, path: str, item: int) -> bool:
    own = item_path(path, item)
    return path in reading.loops and ((path, item) in reading.items or own in reading.given)


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _IDS_AT_ONCE] for start in range(0, len(ids), _IDS_AT_ONCE))


Prints = Mapping[int, tuple[Any, ...]]


def _fingerprints(left: Reading, right: Reading) -> Prints:
    """Return what tells apart the data of the last attempts that both runs have, by the attempt's id."""
    both = [path for path in left.attempts if path in right.attempts]
    ids = [reading.attempts[path][-1].pk for path in both for reading in (left, right)]
    found: dict[int, tuple[Any, ...]] = {}
    for some in _batches(ids):
        rows = StepRun.objects.for_tenant(left.run.tenant_id).filter(pk__in=some)
        rows = rows.annotate(
            inputs_print=MD5("inputs", output_field=TextField()), output_print=MD5("output", output_field=TextField())
        )
        columns = ("pk", "inputs_print", "output_print", "inputs_ref", "output_ref")
        found |= {row[0]: row[1:] for row in rows.values_list(*columns)}
    sizes = _payload_sizes(left.run, [ref for row in found.values() for ref in row[2:] if ref is not None])
    return {
        pk: ((inputs, sizes.get(inputs_ref)), (output, sizes.get(output_ref)))
        for pk, (inputs, output, inputs_ref, output_ref) in found.items()
    }


def _payload_sizes(run: Run, refs: Sequence[int]) -> dict[int | None, int]:
    found: dict[int | None, int] = {}
    for some in _batches(refs):
        found.update(Payload.objects.for_tenant(run.tenant_id).filter(pk__in=some).values_list("pk", "size"))
    return found


def _differs(sides: Sides, pair: Pair, prints: Prints) -> tuple[str, ...]:
    """Return in words what differs between the two sides of a pair."""
    left, right = sides.readings
    if pair.path == TRIGGER:
        return (_("input"),) if _trigger_differs(left.run, right.run) else ()
    if pair.left is None or pair.right is None:
        return (_("not in both"),)
    found = [_("outcome")] if pair.left.status != pair.right.status else []
    if is_item(pair.path):
        return tuple(found)
    rows = left.attempts.get(pair.path, ()), right.attempts.get(pair.path, ())
    if not all(rows):
        return tuple(found)
    if len(rows[0]) != len(rows[1]):
        found.append(_("attempts"))
    ours, theirs = rows[0][-1], rows[1][-1]
    if not same(ours.error, theirs.error):
        found.append(_("error"))
    first, second = prints.get(ours.pk), prints.get(theirs.pk)
    if first and second:
        found += [word for word, one, two in zip((_("input"), _("output")), first, second, strict=True) if one != two]
    return tuple(found)


def _trigger_differs(left: Run, right: Run) -> bool:
    """Whether two runs began with something else: when and how it came does not count."""
    if left.trigger_ref is not None or right.trigger_ref is not None:
        if left.trigger_ref is None or right.trigger_ref is None:
            return True
        sizes = _payload_sizes(left, [left.trigger_ref, right.trigger_ref])
        return sizes.get(left.trigger_ref) != sizes.get(right.trigger_ref)
    return not same(body_of(left), body_of(right))


def body_of(run: Run) -> Any:
    """Return what a run was started with."""
    return run.trigger.get("body") if isinstance(run.trigger, dict) else None
