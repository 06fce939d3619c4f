"""What a run that starts again in the middle takes over from the earlier one.

The steps from the root down to the one that it starts from are the chain. At every level of it

1. what stands before is taken over, with what it holds;
2. a step of the chain that holds lanes is entered again: ``flow.if`` and ``flow.switch`` keep their decision, the
   other lanes of ``flow.parallel`` and the other iterations of ``flow.foreach`` keep what they had finished;
3. the step itself, and whatever stands behind, runs anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.tools import AGENT, LANE
from runs import selectors
from runs.engine.frame import LOOP, readable_inside
from runs.models import Run
from runs.states import StepStatus

Outcomes = dict[str, dict[str, Any]]

_PART: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\[(\d{1,9})\])?")
_DONE: Final = (StepStatus.SUCCEEDED, StepStatus.SKIPPED)
_REOPENED: Final = {"status": StepStatus.RUNNING.value}


@dataclass(frozen=True, kw_only=True)
class _Level:
    """One level of the chain: the sequence, the place in it, and the lane of that step that leads on."""

    steps: Sequence[StepDefinition]
    index: int
    lane: str = ""

    @property
    def step(self) -> StepDefinition:
        return self.steps[self.index]


def outcomes_before(run: Run, definition: WorkflowDefinition, start: str) -> Outcomes:
    """Return what a run that starts from the step ``start`` takes over, by path.

    ``start`` is a key, or a path like ``each[3].send``. A key inside a loop means the iteration that failed, else the
    loop as a whole. Raises NotFound for a step that is not there, Invalid where something before it has no outcome.
    """
    parts = _to_agent(definition, _parts(start))
    chain = _chain(definition, parts[-1][0])
    if chain is None:
        raise NotFound(_("This workflow has no step %(start).80r.") % {"start": start})
    loops = [level.step.key for level in chain[:-1] if level.step.action == LOOP]
    items = _items(run, parts, loops)
    if items is None:
        # The outermost loop, whole.
        chain = chain[: next(i for i, level in enumerate(chain) if level.step.action == LOOP) + 1]
        items = []
    return _Taken(run=run).of(chain, items)


def _parts(start: str) -> list[tuple[str, int | None]]:
    parts = []
    for part in start.split("."):
        found = _PART.fullmatch(part)
        if found is None:
            raise NotFound(
                _("%(start).80r is no step's path: write a key, or a path like each[3].send.") % {"start": start}
            )
        parts.append((found[1], None if found[2] is None else int(found[2])))
    return parts


def _to_agent(definition: WorkflowDefinition, parts: list[tuple[str, int | None]]) -> list[tuple[str, int | None]]:
    """Return the path of the agent that a path leads into: a conversation starts again as a whole."""
    found = [step for _, step in definition.walk() if step.action == AGENT]
    agents = {step.key: {held.key for held in step.lanes.get(LANE, ())} for step in found}
    for index, (key, _item) in enumerate(parts):
        if key in agents:
            return [*parts[:index], (key, None)]
    around = next((key for key, held in agents.items() if parts[-1][0] in held), None)
    return parts if around is None else [*parts[:-1], (around, None)]


def _chain(definition: WorkflowDefinition, key: str) -> list[_Level] | None:
    def find(steps: Sequence[StepDefinition]) -> list[_Level] | None:
        for index, step in enumerate(steps):
            if step.key == key:
                return [_Level(steps=steps, index=index)]
            for lane, inner in step.lanes.items():
                below = find(inner)
                if below is not None:
                    return [_Level(steps=steps, index=index, lane=lane), *below]
        return None

    return find(definition.steps)


def _items(run: Run, parts: Sequence[tuple[str, int | None]], loops: Sequence[str]) -> list[int] | None:
    """Return the iteration of each loop around the step, or None where the loop starts again as a whole."""
    if not loops:
        if len(parts) > 1:
            raise NotFound(_("The step %(key)r is in no loop: name it by its key alone.") % {"key": parts[-1][0]})
        return []
    named = parts[:-1] if len(parts) > 1 else _failed_in(run, parts[-1][0])
    if named is None:
        return None
    if [key for key, _index in named] != list(loops) or any(item is None for _key, item in named):
        wanted = ".".join([*(f"{key}[0]" for key in loops), parts[-1][0]])
        raise NotFound(
            _("%(key)r is inside %(loops)s: write a path like %(wanted)s.")
            % {"key": parts[-1][0], "loops": _(" and ").join(loops), "wanted": wanted}
        )
    return [item for _key, item in named if item is not None]


def _failed_in(run: Run, key: str) -> list[tuple[str, int | None]] | None:
    """Return the loops and items of the path at which a run failed, if that is at this step."""
    path = str((run.error or {}).get("path") or "")
    if "." not in path or path.rpartition(".")[2] != key:
        return None
    return _parts(path)[:-1]


@dataclass(kw_only=True)
class _Taken:
    """Collects what is taken over from ``run``."""

    run: Run
    found: Outcomes = field(default_factory=dict)

    @cached_property
    def _outside(self) -> Mapping[str, dict[str, Any]]:
        return selectors.step_outcomes(self.run)

    def of(self, chain: Sequence[_Level], items: Sequence[int]) -> Outcomes:
        prefix, outcomes, left = "", self._outside, list(items)
        for depth, level in enumerate(chain):
            for step in level.steps[: level.index]:
                self._take(step, prefix, outcomes, chain[-1].step.key)
            if depth == len(chain) - 1:
                break
            path = f"{prefix}{level.step.key}"
            self._reopen(level, path, prefix, outcomes)
            if level.step.action == LOOP:
                item = left.pop(0)
                self._take_iterations(level.step, path, outcomes, item)
                prefix = f"{path}[{item}]."
                outcomes = selectors.step_outcomes(self.run, loop=path, item=item)
        return self.found

    def _take(self, step: StepDefinition, prefix: str, outcomes: Mapping[str, dict[str, Any]], start: str) -> None:
        """Take over a step with all that can be read of what it holds. Raises Invalid when it has no outcome."""
        outcome = outcomes.get(f"{prefix}{step.key}")
        if outcome is None or not _is_passed(step, outcome):
            raise Invalid(
                _("The step %(key)r comes before %(start)r and has no result in that run: run again from it.")
                % {"key": step.key, "start": start},
                code="no_outcome",
            )
        for inner in (step, *readable_inside(step)):
            known = outcomes.get(f"{prefix}{inner.key}")
            if known is not None:
                self.found[f"{prefix}{inner.key}"] = known

    def _reopen(self, level: _Level, path: str, prefix: str, outcomes: Mapping[str, dict[str, Any]]) -> None:
        """Have a step that holds the start be entered again."""
        step = level.step
        self.found[path] = dict(_REOPENED)
        if step.action in ("flow.if", "flow.switch"):
            lane = self._lane_taken(path)
            if lane != level.lane:
                raise Conflict(
                    _("That run did not take the lane %(lane)r of %(key)r: run again from %(key)r.")
                    % {"lane": level.lane, "key": step.key},
                    code="other_lane",
                )
            self.found[path]["output"] = {"lane": lane}
        elif step.action == "flow.parallel":
            for name, steps in step.lanes.items():
                if name != level.lane:
                    self._take_finished(steps, prefix, outcomes)

    def _take_finished(
        self, steps: Sequence[StepDefinition], prefix: str, outcomes: Mapping[str, dict[str, Any]]
    ) -> None:
        """Take over a lane as far as it came."""
        for step in steps:
            outcome = outcomes.get(f"{prefix}{step.key}")
            if outcome is None or not _is_passed(step, outcome):
                return
            self._take(step, prefix, outcomes, step.key)

    def _lane_taken(self, path: str) -> str:
        decided = selectors.decision_of(self.run, path)
        return str(decided.get("lane", "")) if isinstance(decided, dict) else ""

    def _take_iterations(
        self, loop: StepDefinition, path: str, outcomes: Mapping[str, dict[str, Any]], item: int
    ) -> None:
        """Take over the finished iterations of a loop but for one."""
        body = loop.lanes.get("body", ())
        for index, output in self._finished(body[-1] if body else None, path, outcomes.get(path)):
            if index != item:
                self.found[f"{path}[{index}]"] = {"status": StepStatus.SUCCEEDED.value, "output": output}

    def _finished(
        self, last: StepDefinition | None, path: str, outcome: Mapping[str, Any] | None
    ) -> Iterator[tuple[int, Any]]:
        output = (outcome or {}).get("output")
        if isinstance(output, list):
            yield from enumerate(output)
            return
        for known, given in self._outside.items():
            found = re.fullmatch(rf"{re.escape(path)}\[(\d+)\]", known)
            if found:
                yield int(found[1]), given.get("output")
        if last is not None:
            also_failed = last.config.on_error == "continue"
            yield from selectors.iteration_outputs(self.run, loop=path, key=last.key, also_failed=also_failed)


def _is_passed(step: StepDefinition, outcome: Mapping[str, Any]) -> bool:
    """Whether a run that ended like this at the step went on after it."""
    return outcome.get("status") in _DONE or step.config.on_error == "continue"
