"""What an expression may refer to where it stands: names, the steps before it, and the loops around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.compiler import Reference
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.schemas import at_path
from orchestrator.flow.telling import close, error, nearest, unknown, warning
from orchestrator.flow.tools import AGENT

ROOTS: Final = ("trigger", "steps", "item", "index", "run", "workflow", "vars")
TRIGGER_NAMES: Final = ("type", "key", "body", "headers", "query", "method", "received_at", "raw")
STEP_NAMES: Final = ("output", "error", "status")
RUN_NAMES: Final = ("id", "url", "started_at", "links", "kind")
WORKFLOW_NAMES: Final = ("id", "name", "slug", "version")
LOOP: Final = "flow.foreach"
# What is in the lanes of these runs any number of times, and cannot be read from outside.
LOOPS: Final = (LOOP, AGENT)
# The steps that others can answer, each at an address of its own.
LINKED: Final = ("flow.approve", "flow.callback")
_NOTHING_KNOWN: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})


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

    def __init__(
        self,
        definition: WorkflowDefinition,
        variables: Sequence[str],
        bodies: Mapping[str, Mapping[str, Any]] = _NOTHING_KNOWN,
    ) -> None:
        """``bodies`` are the schemas of what may be ``trigger.body``, by trigger; without any it is not judged."""
        self.variables, self.bodies = tuple(variables), bodies
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
                return error(
                    where, _("%(root)s does not exist. Did you mean item.%(root)s?") % {"root": root}, "reference"
                )
            return unknown(reference, where, root, ROOTS, "")
        if root in ("item", "index") and not place.has_item:
            return error(where, _("%(root)s exists only inside a loop.") % {"root": root}, "reference")
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
        if root == "trigger" and first == "body" and not reference.tolerant:
            return self._body(reference, where)
        return None

    def _body(self, reference: Reference, where: str) -> Problem | None:
        """Return a warning where none of the triggers gives what is read; whoever starts a run by hand still may."""
        told = None
        for name, schema in self.bodies.items():
            told = _missing(
                reference.parts[1:], where, "trigger.body", schema, _("what “%(name)s” gives") % {"name": name}
            )
            if told is None:
                return None
        return None if told is None else replace(told, severity="warning")

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
            given = _("what this step gives")
            problem = _missing(reference.parts[2:], where, f"steps.{key}.output", seen.output_schema, given)
            if problem is not None:
                return problem
        if seen.may_be_skipped and reference.parts[1:2] == ("output",):
            return warning(
                where,
                _("steps.%(key)s may be skipped, and its output is null then. default(…) gives another value.")
                % {"key": key},
                "skipped",
            )
        return None

    def _out_of_reach(self, key: str, where: str, place: Place) -> Problem:
        """Return why a step that exists cannot be read at a place: a loop, another lane, or only its order."""
        loop = self._loop_between(key, place)
        if loop is not None and loop.action == AGENT:
            message = _("steps.%(key)s is a tool of steps.%(agent)s, so nothing but its model reads what it gives.")
            return error(where, message % {"key": key, "agent": loop.key}, "tool")
        if loop is not None and loop.key in place.before:
            return error(
                where,
                _(
                    "steps.%(key)s runs once for each item of steps.%(loop)s, so there is no single one to read "
                    "here. Use steps.%(loop)s.output: the list of what each turn gave last."
                )
                % {"key": key, "loop": loop.key},
                "loop",
            )
        for theirs, ours in zip(self.around[key], place.lanes, strict=False):
            if theirs.holder.key != ours.holder.key:
                break
            if theirs.name != ours.name:
                return error(
                    where,
                    _(
                        "steps.%(key)s is in the lane %(theirs)s of steps.%(holder)s, and this is in its lane "
                        "%(ours)s: neither runs before the other."
                    )
                    % {"key": key, "theirs": theirs.name, "holder": ours.holder.key, "ours": ours.name},
                    "lane",
                )
        return error(
            where,
            _("steps.%(key)s has not run yet where it is used here. Move this step after it.") % {"key": key},
            "order",
        )

    def _loop_between(self, key: str, place: Place) -> StepDefinition | None:
        """Return the outermost loop or agent around a step that is not around a place as well."""
        here = {lane.holder.key for lane in place.lanes}
        return next(
            (
                lane.holder
                for lane in self.around[key]
                if lane.holder.action in LOOPS and lane.holder.key not in here
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
                    _("steps.%(key)s is no approval and no callback, so it has no link.%(hint)s")
                    % {"key": key, "hint": nearest(key, linked)},
                    "link",
                )
            return unknown(reference, where, key, linked, "run.links.")
        loop = self._loop_between(key, place)
        if loop is not None:
            message = _("steps.%(key)s has another link in each turn of steps.%(loop)s: use it inside that loop.") % {
                "key": key,
                "loop": loop.key,
            }
            return error(where, message, "loop")
        return None


def _placed(
    steps: Sequence[StepDefinition], lanes: tuple[Lane, ...]
) -> Iterator[tuple[StepDefinition, tuple[Lane, ...]]]:
    for step in steps:
        yield step, lanes
        for name, inner in step.lanes.items():
            yield from _placed(inner, (*lanes, Lane(holder=step, name=name)))


def _missing(
    parts: Sequence[str | int], where: str, walked: str, schema: Mapping[str, Any], given: str
) -> Problem | None:
    """Return a problem when a schema shows that the referenced name cannot be there; ``given`` says what it is of."""
    current: Mapping[str, Any] | None = schema
    for part in parts:
        if current is None:
            return None
        found = at_path(current, (part,))
        if found is None:
            known = _declared_names(current)
            if known is None or not isinstance(part, str) or part in known:
                return None
            hint = close(part, known, f"{walked}.") or _(" It gives %(known)s.") % {"known": ", ".join(known[:12])}
            # What a schema does not mention may still be there, unless it says that nothing else is.
            tell = error if current.get("additionalProperties") is False else warning
            return tell(
                where,
                _("%(walked)s.%(part)s is not among %(given)s.%(hint)s")
                % {"walked": walked, "part": part, "given": given, "hint": hint},
                "reference",
            )
        current = {**found, "$defs": schema.get("$defs", {})} if isinstance(found, Mapping) else None
        walked += f"[{part}]" if isinstance(part, int) else f".{part}"
    return None


def _declared_names(schema: Mapping[str, Any]) -> list[str] | None:
    """Return the names an object declares, or None when it declares none or says that it has any others."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or not properties or schema.get("additionalProperties"):
        return None
    return list(properties)
