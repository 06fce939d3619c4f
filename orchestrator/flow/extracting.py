"""A lane's steps as a workflow of their own, with a call in their place that gives what they gave. Pure.

1. The call has the key of the lane's last step: whoever read that step's output reads the call's, which is the same.
2. What the steps read of what was around them is the call's payload (``passing``); what they read of one another stays.
3. What would not be exactly the same afterwards is refused, each with its reason and what to do about it.

A failure is told in other words afterwards (the call's, with those of the step after them); its kind is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.errors import Invalid, NotFound, Problem
from orchestrator.flow.calls import CALL, MAX_DEPTH
from orchestrator.flow.compiler import Reference
from orchestrator.flow.definition import StepConfig, StepDefinition, WorkflowDefinition, walk_steps
from orchestrator.flow.expressions import ExpressionError
from orchestrator.flow.facts import Catalog, WorkflowFacts
from orchestrator.flow.passing import Payload, rewritten, rewritten_value
from orchestrator.flow.scoping import LINKED, LOOP, LOOPS, STEP_NAMES, WORKFLOW_NAMES
from orchestrator.flow.staying import staying_problems
from orchestrator.flow.telling import error, is_literal
from orchestrator.flow.tools import AGENT
from orchestrator.types import JSONValue

STOP: Final = "flow.stop"
# Holders whose own output does not show what a lane gave last, and steps whose output stays when they fail.
_DECIDES: Final = ("flow.if", "flow.switch")
# Names of a run that are values; its links are addresses of steps.
_RUN_VALUES: Final = ("id", "url", "started_at", "kind")
_MEND: Final = gettext_noop("Mend that first, then move the lane.")


@dataclass(frozen=True, kw_only=True)
class Extracted:
    """What becomes of a lane: ``moved`` are the steps of the new workflow, ``output`` what it gives.

    ``last`` is the key of the step that the call stands for, ``payload`` what the call hands over.
    """

    moved: tuple[StepDefinition, ...]
    output: str
    last: str
    payload: Mapping[str, JSONValue] | None

    def call(self, *, slug: str, name: str) -> StepDefinition:
        """Return the step that calls the new workflow."""
        payload = {"payload": dict(self.payload)} if self.payload is not None else {}
        inputs: dict[str, JSONValue] = {"workflow": slug, **payload}
        return StepDefinition(key=self.last, name=name, action=CALL, config=StepConfig(inputs=inputs))


def extract(
    definition: WorkflowDefinition,
    *,
    key: str,
    lane: str,
    catalog: Catalog,
    workflows: Mapping[str, WorkflowFacts],
    calls_above: int = 0,
) -> Extracted:
    """Return what the lane ``lane`` of the step ``key`` is as a workflow of its own.

    ``workflows`` are the tenant's others, as the check of a publish knows them; ``calls_above`` is how many calls lead
    to this workflow, one after the other, at the most. Raises NotFound for a lane that is not there, Invalid with a
    problem for everything that would not be exactly the same.
    """
    return _Extraction(definition, key, lane, catalog, workflows).made(calls_above)


def put_call(
    steps: Sequence[StepDefinition], *, key: str, lane: str, call: StepDefinition
) -> tuple[StepDefinition, ...]:
    """Return the steps with a call in the place of what a lane holds."""
    made = []
    for step in steps:
        lanes = {name: put_call(inner, key=key, lane=lane, call=call) for name, inner in step.lanes.items()}
        if step.key == key:
            lanes[lane] = (call,)
        made.append(step.model_copy(update={"lanes": lanes}) if lanes else step)
    return tuple(made)


class _Extraction:
    def __init__(
        self,
        definition: WorkflowDefinition,
        key: str,
        lane: str,
        catalog: Catalog,
        workflows: Mapping[str, WorkflowFacts],
    ) -> None:
        self.definition, self.catalog, self.workflows = definition, catalog, workflows
        found = next(((path, step) for path, step in definition.walk() if step.key == key), None)
        if found is None:
            raise NotFound(_("There is no step %(key).80r in this draft. Somebody may have removed it.") % {"key": key})
        path, self.holder = found
        steps = self.holder.lanes.get(lane, ())
        if not steps:
            raise NotFound(
                _("There is no lane %(lane).80r with steps in %(key).80r. Somebody may have changed it.")
                % {"lane": lane, "key": key}
            )
        self.prefix, self.steps, self.last = f"{path}.lanes.{lane}", steps, steps[-1]
        self.inside = {step.key: step for _path, step in walk_steps(self.prefix, steps)}
        self.before = frozenset(_before(definition.steps, key) or ())
        around = [step for _path, step in definition.walk() if key in _held(step)]
        self.in_loop = any(step.action == LOOP for step in (*around, self.holder))
        self.payload = Payload()
        self.problems: list[Problem] = []

    def made(self, calls_above: int) -> Extracted:
        if self.holder.action == AGENT:
            message = _("What steps.%(key)s holds are tools of its model: no workflow runs them one after the other.")
            self.refuse(self.prefix, message % {"key": self.holder.key}, "tools")
        moved = self._moved(self.prefix, self.steps, frozenset(), in_loop=False)
        self._check_last()
        self._check_calls(calls_above)
        self.problems += staying_problems(self.definition, self.catalog, self.steps)
        if self.problems:
            raise Invalid(
                _("This lane cannot be moved as it is: %(message)s") % {"message": self.problems[0].message},
                problems=list(dict.fromkeys(self.problems)),
                code="not_extractable",
            )
        return Extracted(
            moved=moved,
            output=f"{{{{ steps.{self.last.key}.output }}}}",
            last=self.last.key,
            payload=self.payload.written(),
        )

    def refuse(self, where: str, message: str, code: str = "extract") -> None:
        self.problems.append(error(where, message, code))

    # What is moved.

    def _moved(
        self, prefix: str, steps: Sequence[StepDefinition], seen: frozenset[str], *, in_loop: bool
    ) -> tuple[StepDefinition, ...]:
        """Return steps as they stand in the new workflow; ``seen`` are the moved ones that can be read before them."""
        made = []
        for index, step in enumerate(steps):
            path = f"{prefix}[{index}]"
            if step.action == STOP:
                message = _(
                    "steps.%(key)s ends the run, and in a workflow of its own it would end that one alone. Take "
                    "it out of the lane first."
                ) % {"key": step.key}
                self.refuse(path, message, "stop")
            inner_loop = in_loop or step.action == LOOP
            lanes = {
                name: self._moved(f"{path}.lanes.{name}", inner, seen, in_loop=inner_loop)
                for name, inner in step.lanes.items()
            }
            config = self._config(path, step, seen, in_loop=in_loop)
            made.append(step.model_copy(update={"config": config, "lanes": lanes}))
            seen = seen | {step.key, *_readable_inside(step)}
        return tuple(made)

    def _config(self, path: str, step: StepDefinition, seen: frozenset[str], *, in_loop: bool) -> StepConfig:
        facts = self.catalog.action(step.action)
        per_item, held = (facts.per_item, (*facts.verbatim, *facts.secrets)) if facts else ((), ())

        def judge(where: str, *, own_item: bool) -> Any:
            return lambda reference: self._comes_along(reference, where, step, seen, own_item=own_item)

        inputs: dict[str, JSONValue] = {}
        for name, value in step.config.inputs.items():
            where = f"{path}.config.inputs.{name}"
            if name in held:
                inputs[name] = value
                continue
            own = in_loop or name in per_item
            inputs[name] = self._read(where, value, judge(where, own_item=own), bare=name in per_item)
        where = f"{path}.config.run_if"
        condition = self._read(where, step.config.run_if, judge(where, own_item=in_loop), bare=True)
        return step.config.model_copy(update={"inputs": inputs, "run_if": condition})

    def _read(self, where: str, value: Any, judge: Any, *, bare: bool) -> Any:
        try:
            if bare and isinstance(value, str):
                return rewritten(value, judge, bare=True)
            return rewritten_value(value, judge)
        except ExpressionError as found:
            self.refuse(
                f"{where}{found.where}",
                _("An expression cannot be read: %(message)s %(mend)s") % {"message": found.message, "mend": _(_MEND)},
                "expression",
            )
            return value

    def _comes_along(
        self, reference: Reference, where: str, step: StepDefinition, seen: frozenset[str], *, own_item: bool
    ) -> bool:
        """Return whether a reference in a moved step is to what the payload brings, and have it brought."""
        root, parts = reference.root, reference.parts
        first = str(parts[0]) if parts else ""
        if root == "vars" or (root in ("item", "index") and own_item):
            return False
        if root == "steps":
            return self._step_comes_along(reference, where, step, seen)
        if root == "run" and first == "links":
            self._link(reference, where, step)
            return False
        if root == "trigger" or (root in ("item", "index") and self.in_loop):
            self.payload.take(root)
            return True
        if root == "workflow" and (not first or first in WORKFLOW_NAMES):
            self.payload.take(root, first)
            return True
        if root == "run" and first in _RUN_VALUES:
            self.payload.take(root, first)
            return True
        if root == "run" and not first:
            message = _(
                "steps.%(key)s reads the run as a whole, which would be another run. Read run.id or the like."
            ) % {"key": step.key}
            self.refuse(where, message, "run")
        else:
            self.refuse(
                where,
                _("steps.%(key)s reads %(path)s, which does not exist here. %(mend)s")
                % {"key": step.key, "path": reference.path, "mend": _(_MEND)},
                "reference",
            )
        return False

    def _step_comes_along(self, reference: Reference, where: str, step: StepDefinition, seen: frozenset[str]) -> bool:
        if not reference.parts:
            message = _("steps.%(key)s reads a step by a name that is computed. Write the step's key there.") % {
                "key": step.key
            }
            self.refuse(where, message, "computed")
            return False
        key, name = str(reference.parts[0]), reference.parts[1:2]
        if key in seen:
            return False
        if key not in self.before:
            self.refuse(
                where,
                _("steps.%(key)s reads steps.%(other)s, which cannot be read there. %(mend)s")
                % {"key": step.key, "other": key, "mend": _(_MEND)},
                "reference",
            )
            return False
        if name and name[0] not in STEP_NAMES:
            self.refuse(
                where,
                _("steps.%(key)s reads %(path)s, which does not exist. %(mend)s")
                % {"key": step.key, "path": reference.path, "mend": _(_MEND)},
                "reference",
            )
            return False
        self.payload.take_step(key, str(name[0]) if name else "")
        return True

    def _link(self, reference: Reference, where: str, step: StepDefinition) -> None:
        key = str(reference.parts[1]) if len(reference.parts) > 1 else ""
        asked = self.inside.get(key)
        if asked is None:
            message = _(
                "steps.%(key)s reads the link of a step that stays behind, %(path)s: in a workflow of its "
                "own there is no such link. Read it in a step before the lane, and the value of that one "
                "here."
            ) % {"key": step.key, "path": reference.path}
            self.refuse(where, message, "link")
        elif asked.action not in LINKED:
            self.refuse(
                where,
                _("steps.%(key)s reads %(path)s, which does not exist. %(mend)s")
                % {"key": step.key, "path": reference.path, "mend": _(_MEND)},
                "link",
            )

    # What stands against it.

    def _check_last(self) -> None:
        """A decision that failed keeps what it decided, which loops and parallel lanes give on: the call would not."""
        last, shows = self.last, self.holder.action not in _DECIDES
        if shows and last.action in _DECIDES and last.config.on_error == "continue":
            message = _(
                "steps.%(key)s is the last of the lane and the run goes on when it fails, so what the lane "
                "gives then would change. Put a step after it, or have the run stop there."
            ) % {"key": last.key}
            self.refuse(f"{self.prefix}[{len(self.steps) - 1}]", message, "last")

    def _check_calls(self, calls_above: int) -> None:
        below = 0
        for path, step in walk_steps(self.prefix, self.steps):
            if step.action != CALL:
                continue
            where, slug = f"{path}.config.inputs.workflow", step.config.inputs.get("workflow")
            if not isinstance(slug, str) or not is_literal(slug):
                message = _(
                    "steps.%(key)s calls a workflow whose name is computed, and it may be one that a new "
                    "workflow may not call. Write the workflow's name there, or take the step out of the lane."
                ) % {"key": step.key}
                self.refuse(where, message, "caller")
                continue
            called = self.workflows.get(slug)
            if called is not None and called.callers is not None:
                message = _(
                    "steps.%(key)s calls %(slug)s, which lists who may call it. The new workflow would not be "
                    "among them. Let any workflow call it, or take the step out of the lane."
                ) % {"key": step.key, "slug": slug}
                self.refuse(where, message, "caller")
            below = max(below, 1 + _calls_below(slug, self.workflows, {self.definition.slug}))
        deepest = calls_above + 1 + below
        if deepest > MAX_DEPTH:
            message = _(
                "Workflows would call each other %(deepest)s deep then, and %(most)s is the most there "
                "may be. Take the steps that call others out of the lane first."
            ) % {"deepest": deepest, "most": MAX_DEPTH}
            self.refuse(self.prefix, message, "depth")


def _held(step: StepDefinition) -> Iterator[str]:
    for lane, inner in step.lanes.items():
        yield from (held.key for _path, held in walk_steps(lane, inner))


def _readable_inside(step: StepDefinition) -> Iterator[str]:
    """Yield the keys in a step's lanes that can be read after it: those of a loop or an agent cannot."""
    if step.action not in LOOPS:
        for inner in step.lanes.values():
            for held in inner:
                yield held.key
                yield from _readable_inside(held)


def _before(steps: Sequence[StepDefinition], key: str) -> set[str] | None:
    """Return the keys that can be read where the lanes of the step ``key`` begin, None where it is not."""
    seen: set[str] = set()
    for step in steps:
        if step.key == key:
            return seen
        for inner in step.lanes.values():
            found = _before(inner, key)
            if found is not None:
                return seen | found
        seen |= {step.key, *_readable_inside(step)}
    return None


def _calls_below(slug: str, workflows: Mapping[str, WorkflowFacts], seen: set[str]) -> int:
    """Return how many calls follow one another from a workflow on, at the most; a circle counts once."""
    facts = workflows.get(slug)
    if facts is None or slug in seen:
        return 0
    return max((1 + _calls_below(each, workflows, seen | {slug}) for each in facts.calls), default=0)
