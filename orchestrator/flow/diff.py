"""What changed between two definitions, field by field. Pure."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.types import JSONValue

ChangeKind = Literal["added", "removed", "changed", "moved"]

# Longer lists are compared place by place: aligning them would take the square of their length.
_ALIGNED: Final = 300
# What aligning all lists of two documents may take, in pairs of members; beyond, they are compared place by place too.
_EFFORT: Final = 500_000


@dataclass(kw_only=True)
class _Effort:
    """What is left of it."""

    left: int = _EFFORT

    def take(self, pairs: int) -> bool:
        self.left -= pairs
        return self.left >= 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference. ``subject`` is what it is about (``steps.notify``), ``field`` what of it, empty for the whole.

    A field's path leads to the member that differs (``config.inputs.to[1]``, counted as in the newer list, as in the
    older one where it went). A step that moved has its places: ``{"lane": "gate.then" or "", "after": key or null}``.
    """

    kind: ChangeKind
    subject: str
    field: str = ""
    before: JSONValue = None
    after: JSONValue = None


@dataclass(frozen=True, kw_only=True)
class _Placed:
    step: StepDefinition
    lane: str
    after: str | None

    @property
    def place(self) -> dict[str, JSONValue]:
        return {"lane": self.lane, "after": self.after}


def diff(old: WorkflowDefinition, new: WorkflowDefinition) -> list[Change]:
    """Return the changes from ``old`` to ``new``: the workflow's own first, then triggers, then steps in order."""
    effort = _Effort()
    return [*_workflow(old, new, effort), *_triggers(old, new, effort), *_steps(old, new, effort)]


def _workflow(old: WorkflowDefinition, new: WorkflowDefinition, effort: _Effort) -> Iterator[Change]:
    fields = ("name", "slug", "description", "output", "settings")
    before, after = (d.model_dump(mode="json", include=set(fields)) for d in (old, new))
    yield from _fields("workflow", before, after, effort)


def _triggers(old: WorkflowDefinition, new: WorkflowDefinition, effort: _Effort) -> Iterator[Change]:
    before = {t.key: {"type": t.type.value, "config": t.config} for t in old.triggers}
    after = {t.key: {"type": t.type.value, "config": t.config} for t in new.triggers}
    for key in (*before, *(key for key in after if key not in before)):
        yield from _one(f"triggers.{key}", before.get(key), after.get(key), effort)


def _steps(old: WorkflowDefinition, new: WorkflowDefinition, effort: _Effort) -> Iterator[Change]:
    before, after = _placed(old.steps), _placed(new.steps)
    moved = _moved(before, after)
    for key in (*after, *(key for key in before if key not in after)):
        was, is_now = before.get(key), after.get(key)
        yield from _one(
            f"steps.{key}", _fields_of(was.step) if was else None, _fields_of(is_now.step) if is_now else None, effort
        )
        if was and is_now:
            yield from _empty_lanes(f"steps.{key}", was.step, is_now.step)
        if key in moved and was and is_now:
            yield Change(kind="moved", subject=f"steps.{key}", before=was.place, after=is_now.place)


def _empty_lanes(subject: str, old: StepDefinition, new: StepDefinition) -> Iterator[Change]:
    """Yield lanes that came or went empty: what one holds says for itself where it is."""
    for name in (*old.lanes, *(name for name in new.lanes if name not in old.lanes)):
        if (name in old.lanes) != (name in new.lanes) and not (old.lanes.get(name) or new.lanes.get(name)):
            sides: list[JSONValue] = [[] if name in step.lanes else None for step in (old, new)]
            yield Change(kind="changed", subject=subject, field=f"lanes.{name}", before=sides[0], after=sides[1])


def _one(
    subject: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, effort: _Effort
) -> Iterator[Change]:
    if before is None:
        yield Change(kind="added", subject=subject, after=dict(after or {}))
    elif after is None:
        yield Change(kind="removed", subject=subject, before=dict(before))
    else:
        yield from _fields(subject, before, after, effort)


def _fields(subject: str, before: Any, after: Any, effort: _Effort, field: str = "") -> Iterator[Change]:
    """Yield each differing member of two objects or lists; texts are leaves."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in (*before, *(key for key in after if key not in before)):
            inner = f"{field}.{key}" if field else str(key)
            yield from _fields(subject, before.get(key), after.get(key), effort, inner)
    elif isinstance(before, list) and isinstance(after, list):
        for was, is_now, index in _pairs(before, after, effort):
            yield from _fields(subject, was, is_now, effort, f"{field}[{index}]")
    elif before != after or type(before) is not type(after):
        yield Change(kind="changed", subject=subject, field=field, before=before, after=after)


def _pairs(before: list[Any], after: list[Any], effort: _Effort) -> Iterator[tuple[Any, Any, int]]:
    """Yield what differs of two lists: before, after (None where there is none), and the place."""
    for operation, a, b, c, d in _operations(before, after, effort):
        if operation == "equal":
            continue
        same = min(b - a, d - c)
        yield from ((before[a + n], after[c + n], c + n) for n in range(same))
        yield from ((None, after[n], n) for n in range(c + same, d))
        yield from ((before[n], None, n) for n in range(a + same, b))


def _operations(before: list[Any], after: list[Any], effort: _Effort) -> Sequence[tuple[str, int, int, int, int]]:
    by_place = [("replace", 0, len(before), 0, len(after))]
    if len(before) + len(after) > 2 * _ALIGNED:
        return by_place
    left, right = ([json.dumps(item, sort_keys=True) for item in items] for items in (before, after))
    if left == right:
        return []
    if not effort.take(len(left) * len(right)):
        return by_place
    return SequenceMatcher(None, left, right, autojunk=False).get_opcodes()


def _fields_of(step: StepDefinition) -> dict[str, Any]:
    return step.model_dump(mode="json", exclude={"key", "lanes"})


def _placed(steps: tuple[StepDefinition, ...], lane: str = "") -> dict[str, _Placed]:
    """Return every step by key, with the lane it is in and the step before it there."""
    found: dict[str, _Placed] = {}
    previous: str | None = None
    for step in steps:
        found[step.key] = _Placed(step=step, lane=lane, after=previous)
        previous = step.key
        for name, inner in step.lanes.items():
            found |= _placed(inner, f"{step.key}.{name}")
    return found


def _moved(before: Mapping[str, _Placed], after: Mapping[str, _Placed]) -> set[str]:
    """Return the steps that changed their lane, or their order among those that stayed in it."""
    moved = {key for key in after if key in before and before[key].lane != after[key].lane}
    lanes = {placed.lane for placed in after.values()}
    for lane in lanes:
        was = [k for k, p in before.items() if p.lane == lane and k in after and after[k].lane == lane]
        now = [k for k, p in after.items() if p.lane == lane and k in before and before[k].lane == lane]
        moved |= set(now) - _stayed(was, now)
    return moved


def _stayed(left: list[str], right: list[str]) -> set[str]:
    """Return the longest run of keys that stand in the same order in both: the ones that did not move."""
    place = {key: index for index, key in enumerate(left)}
    # Of the runs of each length, the one that ends earliest: its last place, and its last key.
    ends: list[int] = []
    last: list[str] = []
    before: dict[str, str | None] = {}
    for key in right:
        length = bisect_left(ends, place[key])
        before[key] = last[length - 1] if length else None
        ends[length : length + 1], last[length : length + 1] = [place[key]], [key]
    stayed: set[str] = set()
    key_now = last[-1] if last else None
    while key_now is not None:
        stayed.add(key_now)
        key_now = before[key_now]
    return stayed
