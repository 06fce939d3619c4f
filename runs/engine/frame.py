"""Where in the tree a strand is: what goes before a step's key in its path, and what expressions see. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.tools import AGENT
from orchestrator.types import JSONValue
from runs.engine.memo import Memo
from runs.engine.strands import Group

LOOP: Final = "flow.foreach"
# What their lanes hold has a row for each turn of a loop, or each use of an agent's tool.
LOOPS: Final = frozenset({LOOP, AGENT})
# Steps that others answer at an address of their own.
ANSWERED: Final = frozenset({"flow.approve", "flow.callback"})

Links = Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """``steps`` is the dictionary that expressions read as ``steps``: lanes share one, each iteration has its own."""

    scope: Mapping[str, Any]
    steps: dict[str, dict[str, Any]]
    prefix: str = ""
    loop: str = ""
    item: int | None = None
    group: Group | None = None

    def path(self, key: str) -> str:
        return f"{self.prefix}{key}"

    def lane(self, group: Group) -> Frame:
        """Return the frame of a lane that runs beside others."""
        return replace(self, group=group)

    def iteration(self, loop: str, index: int, item: JSONValue, group: Group | None) -> Frame:
        """Return the frame of one iteration of the loop at the path ``loop``."""
        steps = dict(self.steps)
        return Frame(
            scope={**self.scope, "steps": steps, "item": item, "index": index},
            steps=steps,
            prefix=f"{loop}[{index}].",
            loop=loop,
            item=index,
            group=group,
        )

    def linked(self, keys: tuple[tuple[str, str], ...], url: Callable[[str, str], str]) -> Frame:
        """Return this frame with addresses for the steps ``keys`` (key and action) as ``run.links``."""
        if not keys:
            return self
        run = self.scope["run"]
        links = {**run.get("links", {}), **{key: url(action, self.path(key)) for key, action in keys}}
        return replace(self, scope={**self.scope, "run": {**run, "links": links}})


def readable_inside(step: StepDefinition) -> Iterator[StepDefinition]:
    """Yield the steps in a step's lanes that can be read from outside: those of a loop or an agent cannot."""
    if step.action not in LOOPS:
        for inner in (found for lane in step.lanes.values() for found in lane):
            yield inner
            yield from readable_inside(inner)


def _links_by_loop(definition: WorkflowDefinition) -> Links:
    """Return the steps that have an address, as key and action, by the innermost loop around them ("": none)."""
    found: dict[str, list[tuple[str, str]]] = {}

    def collect(steps: tuple[StepDefinition, ...], loop: str) -> None:
        for step in steps:
            if step.action in ANSWERED:
                found.setdefault(loop, []).append((step.key, step.action))
            for inner in step.lanes.values():
                collect(inner, step.key if step.action in LOOPS else loop)

    collect(definition.steps, "")
    return {loop: tuple(keys) for loop, keys in found.items()}


# It is the same definition for every run of a version.
links_by_loop: Final = Memo(_links_by_loop)


def loops_around(definition: WorkflowDefinition, key: str) -> tuple[StepDefinition, ...]:
    """Return the loops that a step is inside of, outermost first. Raises KeyError for a key that is not there."""

    def find(
        steps: tuple[StepDefinition, ...], around: tuple[StepDefinition, ...]
    ) -> tuple[StepDefinition, ...] | None:
        for step in steps:
            if step.key == key:
                return around
            inside = (*around, step) if step.action == LOOP else around
            for inner in step.lanes.values():
                if (found := find(inner, inside)) is not None:
                    return found
        return None

    found = find(definition.steps, ())
    if found is None:
        raise KeyError(key)
    return found
