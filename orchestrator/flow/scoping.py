"""What an expression may refer to where it stands: names, the steps before it, and the loops around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orchestrator.errors import Problem
from orchestrator.flow.compiler import Reference
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.schemas import at_path
from orchestrator.flow.telling import close, error, nearest, unknown, warning

ROOTS: Final = ("trigger", "steps", "item", "index", "run", "workflow", "vars")
TRIGGER_NAMES: Final = ("type", "key", "body", "headers", "query", "method", "received_at")
STEP_NAMES: Final = ("output", "error", "status")
RUN_NAMES: Final = ("id", "url", "started_at", "links", "kind")
WORKFLOW_NAMES: Final = ("id", "name", "slug", "version")
LOOP: Final = "flow.foreach"
# The steps that others can answer, each at an address of its own.
LINKED: Final = ("flow.approve", "flow.callback")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A step that comes before another: what it gives, and whether it may have been skipped."""

    step: StepDefinition
    output_schema: Mapping[str, Any] | None
    may_be_skipped: bool


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One lane that holds a step: of which step, and its name."""

    holder: StepDefinition
    name: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an expression stands: the steps before it, the lanes around it, and whether it is over items itself."""

    before: Mapping[str, Seen] = field(default_factory=dict)
    lanes: tuple[Lane, ...] = ()
    over_items: bool = False

    @property
    def has_item(self) -> bool:
        return self.over_items or any(lane.holder.action == LOOP for lane in self.lanes)

    def inside(self, holder: StepDefinition, name: str) -> Place:
        """Return the beginning of a lane of a step that stands here."""
        return replace(self, lanes=(*self.lanes, Lane(holder=holder, name=name)))


class References:
    """Judges references, one after the other, by the outline of the whole workflow."""

    def __init__(self, definition: WorkflowDefinition, variables: Sequence[str]) -> None:
        self.variables = tuple(variables)
        self.steps: dict[str, StepDefinition] = {}
        self.around: dict[str, tuple[Lane, ...]] = {}
        for step, lanes in _placed(definition.steps, ()):
            self.steps[step.key], self.around[step.key] = step, lanes

    def problem(self, reference: Reference, where: str, place: Place) -> Problem | None:
        """Return what is wrong with a reference at a place, or None."""
        root = reference.root
        if root not in ROOTS:
            if place.over_items and not close(root, ROOTS):
                # A bare name in an expression over items is nearly always a field of the item.
                return error(where, f"{root} does not exist. Did you mean item.{root}?", "reference")
            return unknown(reference, where, root, ROOTS, "")
        if root in ("item", "index") and not place.has_item:
            return error(where, f"{root} exists only inside a loop.", "reference")
        if not reference.parts:
            return None
        if root == "steps":
            return self._step(reference, where, place)
        if root == "run" and reference.parts[0] == "links" and len(reference.parts) > 1:
            return self._link(reference, where, place)
        names = {
            "trigger": TRIGGER_NAMES, "run": RUN_NAMES, "workflow": WORKFLOW_NAMES, "vars": self.variables
        }.get(root)  # fmt: skip
        first = str(reference.parts[0])
        if names is not None and first not in names and not reference.tolerant:
            return unknown(reference, where, first, names, f"{root}.")
        return None

    def _step(self, reference: Reference, where: str, place: Place) -> Problem | None:
        key = str(reference.parts[0])
        seen = place.before.get(key)
        if seen is None:
            if key in self.steps:
                return self._out_of_reach(key, where, place)
            return unknown(reference, where, key, tuple(place.before), "steps.")
        if len(reference.parts) > 1 and reference.parts[1] not in STEP_NAMES:
            return unknown(reference, where, str(reference.parts[1]), STEP_NAMES, f"steps.{key}.")
        if reference.tolerant:
            return None
        if len(reference.parts) > 2 and reference.parts[1] == "output" and seen.output_schema is not None:
            problem = _output_problem(reference, where, key, seen.output_schema)
            if problem is not None:
                return problem
        if seen.may_be_skipped and reference.parts[1:2] == ("output",):
            return warning(
                where,
                f"steps.{key} may be skipped, and its output is null then. default(…) gives another value.",
                "skipped",
            )
        return None

    def _out_of_reach(self, key: str, where: str, place: Place) -> Problem:
        """Return why a step that exists cannot be read at a place: a loop, another lane, or only its order."""
        loop = self._loop_between(key, place)
        if loop is not None and loop.key in place.before:
            return error(
                where,
                f"steps.{key} runs once for each item of steps.{loop.key}, so there is no single one to read here. "
                f"Use steps.{loop.key}.output: the list of what each turn gave last.",
                "loop",
            )
        for theirs, ours in zip(self.around[key], place.lanes, strict=False):
            if theirs.holder.key != ours.holder.key:
                break
            if theirs.name != ours.name:
                return error(
                    where,
                    f"steps.{key} is in the lane {theirs.name} of steps.{ours.holder.key}, and this is in its lane "
                    f"{ours.name}: neither runs before the other.",
                    "lane",
                )
        return error(where, f"steps.{key} has not run yet where it is used here. Move this step after it.", "order")

    def _loop_between(self, key: str, place: Place) -> StepDefinition | None:
        """Return the outermost loop around a step that is not around a place as well."""
        here = {lane.holder.key for lane in place.lanes}
        return next(
            (
                lane.holder
                for lane in self.around[key]
                if lane.holder.action == LOOP and lane.holder.key not in here
            ),
            None,
        )  # fmt: skip

    def _link(self, reference: Reference, where: str, place: Place) -> Problem | None:
        """A link is there before its step runs, so order does not matter; the turn of a loop does."""
        key = str(reference.parts[1])
        linked = tuple(name for name, step in self.steps.items() if step.action in LINKED)
        if key not in linked:
            if reference.tolerant:
                return None
            if key in self.steps:
                return error(
                    where,
                    f"steps.{key} is no approval and no callback, so it has no link.{nearest(key, linked)}",
                    "link",
                )
            return unknown(reference, where, key, linked, "run.links.")
        loop = self._loop_between(key, place)
        if loop is not None:
            message = f"steps.{key} has another link in each turn of steps.{loop.key}: use it inside that loop."
            return error(where, message, "loop")
        return None


def _placed(
    steps: Sequence[StepDefinition], lanes: tuple[Lane, ...]
) -> Iterator[tuple[StepDefinition, tuple[Lane, ...]]]:
    for step in steps:
        yield step, lanes
        for name, inner in step.lanes.items():
            yield from _placed(inner, (*lanes, Lane(holder=step, name=name)))


def _output_problem(reference: Reference, where: str, key: str, schema: Mapping[str, Any]) -> Problem | None:
    """Return a problem when the upstream action's schema shows that the referenced name cannot be there."""
    current: Mapping[str, Any] | None = schema
    walked = f"steps.{key}.output"
    for part in reference.parts[2:]:
        if current is None:
            return None
        found = at_path(current, (part,))
        if found is None:
            known = _declared_names(current)
            if known is None or not isinstance(part, str) or part in known:
                return None
            hint = nearest(part, known, f"{walked}.").replace(" There are ", " It gives ")
            # What a schema does not mention may still be there, unless it says that nothing else is.
            tell = error if current.get("additionalProperties") is False else warning
            return tell(where, f"{walked}.{part} is not among what this step gives.{hint}", "reference")
        current = {**found, "$defs": schema.get("$defs", {})} if isinstance(found, Mapping) else None
        walked += f"[{part}]" if isinstance(part, int) else f".{part}"
    return None


def _declared_names(schema: Mapping[str, Any]) -> list[str] | None:
    """Return the names an object declares, or None when it declares none or says that it has any others."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties or schema.get("additionalProperties"):
        return None
    return list(properties)
