"""What changed between two definitions, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.types import JSONValue

ChangeKind = Literal["added", "removed", "changed", "moved"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference. ``subject`` is what it is about (``steps.notify``), ``field`` what of it, empty for the whole."""

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


def diff(old: WorkflowDefinition, new: WorkflowDefinition) -> list[Change]:
    """Return the changes from ``old`` to ``new``: the workflow's own first, then triggers, then steps in order."""
    return [*_workflow(old, new), *_triggers(old, new), *_steps(old, new)]


def _workflow(old: WorkflowDefinition, new: WorkflowDefinition) -> Iterator[Change]:
    fields = ("name", "slug", "description", "output", "settings")
    before, after = (d.model_dump(mode="json", include=set(fields)) for d in (old, new))
    yield from _fields("workflow", before, after)


def _triggers(old: WorkflowDefinition, new: WorkflowDefinition) -> Iterator[Change]:
    before = {t.key: {"type": t.type.value, "config": t.config} for t in old.triggers}
    after = {t.key: {"type": t.type.value, "config": t.config} for t in new.triggers}
    for key in (*before, *(key for key in after if key not in before)):
        yield from _one(f"triggers.{key}", before.get(key), after.get(key))


def _steps(old: WorkflowDefinition, new: WorkflowDefinition) -> Iterator[Change]:
    before, after = _placed(old.steps), _placed(new.steps)
    moved = _moved(before, after)
    for key in (*after, *(key for key in before if key not in after)):
        was, is_now = before.get(key), after.get(key)
        yield from _one(
            f"steps.{key}", _fields_of(was.step) if was else None, _fields_of(is_now.step) if is_now else None
        )
        if key in moved and is_now:
            yield Change(kind="moved", subject=f"steps.{key}", after=is_now.after)


def _one(subject: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Iterator[Change]:
    if before is None:
        yield Change(kind="added", subject=subject, after=dict(after or {}))
    elif after is None:
        yield Change(kind="removed", subject=subject, before=dict(before))
    else:
        yield from _fields(subject, before, after)


def _fields(subject: str, before: Any, after: Any, field: str = "") -> Iterator[Change]:
    """Yield each differing leaf of two objects; lists and texts are leaves."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in (*before, *(key for key in after if key not in before)):
            yield from _fields(subject, before.get(key), after.get(key), f"{field}.{key}" if field else str(key))
    elif before != after or type(before) is not type(after):
        yield Change(kind="changed", subject=subject, field=field, before=before, after=after)


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
        moved |= {key for key in now if key not in _longest_common(was, now)}
    return moved


def _longest_common(left: list[str], right: list[str]) -> set[str]:
    """Return the longest run of keys that stand in the same order in both: the ones that did not move."""
    place = {key: index for index, key in enumerate(left)}
    best: list[list[str]] = []
    for key in right:
        earlier = [run for run in best if place[run[-1]] < place[key]]
        best.append([*_longest(earlier), key])
    return set(_longest(best))


def _longest(runs: list[list[str]]) -> list[str]:
    return max(runs, key=len) if runs else []
