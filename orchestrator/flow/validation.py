"""What a publish refuses and what it warns of: every problem at once, each with its path. Pure.

The registry is seen through ``Catalog``, credentials and the tenant's other workflows through their facts: nothing is
called, run or fetched.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.agents import agent_problems, credential_facts, is_tool, tool_facts, tool_problems
from orchestrator.flow.calls import call_problems, listed_problems, settings_problems
from orchestrator.flow.compiler import Reference
from orchestrator.flow.control import after_lanes, control_problems, lane_problems, may_be_skipped, unreachable
from orchestrator.flow.credentials import credential_problems, secret_problems
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.expressions import ExpressionError, Template, compile_template, find_templates
from orchestrator.flow.facts import ActionFacts, Catalog, CredentialFacts, WorkflowFacts
from orchestrator.flow.items import as_template
from orchestrator.flow.outputs import input_schema, output_schema
from orchestrator.flow.polling import bodies
from orchestrator.flow.schemas import at_path, fits, words_for
from orchestrator.flow.scoping import LOOP, Place, References, Seen
from orchestrator.flow.secrets import HIDDEN, looks_secret
from orchestrator.flow.summary import summary_reference
from orchestrator.flow.telling import (
    close,
    compiled,
    covers,
    error,
    is_literal,
    joined,
    texts,
    warning,
)
from orchestrator.flow.tools import AGENT
from orchestrator.flow.triggers import trigger_problems

_NO_WORKFLOWS: Final[Mapping[str, WorkflowFacts]] = MappingProxyType({})
# Yields problems, and returns the steps that can be read from then on.
_Walked: TypeAlias = Generator[Problem, None, dict[str, Seen]]


def validate(
    definition: WorkflowDefinition,
    *,
    catalog: Catalog,
    credentials: Mapping[str, CredentialFacts],
    variables: Sequence[str] = (),
    workflows: Mapping[str, WorkflowFacts] = _NO_WORKFLOWS,
) -> list[Problem]:
    """Return every problem found, errors and warnings, in the order of the document.

    ``workflows`` are the tenant's others by slug.
    """
    checker = _Checker(definition, catalog, credentials, variables, workflows)
    # First: what a trigger answers may read every step.
    steps = list(checker.steps())
    return [
        *trigger_problems(
            definition.triggers,
            catalog=catalog,
            credentials=credentials,
            variables=variables,
            step=checker.after_all_steps,
        ),
        *listed_problems(definition, workflows),
        *steps,
        *checker.output(),
        *settings_problems(definition, workflows),
        # Runs are as well without: none of these stands in the way of a publish.
        *(replace(problem, severity="warning") for problem in checker.summary()),
    ]


def summary_problems(definition: WorkflowDefinition, *, catalog: Catalog) -> list[Problem]:
    """Return what is wrong with the paths to what the list of runs shows: which lead nowhere, and why."""
    checker = _Checker(definition, catalog, {}, (), _NO_WORKFLOWS)
    for _problem in checker.steps():
        pass  # the walk finds out what each step gives
    return list(checker.summary())


class _Checker:
    def __init__(
        self,
        definition: WorkflowDefinition,
        catalog: Catalog,
        credentials: Mapping[str, CredentialFacts],
        variables: Sequence[str],
        workflows: Mapping[str, WorkflowFacts],
    ) -> None:
        self.definition = definition
        self.catalog = catalog
        self.credentials = credentials
        self.workflows = workflows
        self.references = References(definition, variables, bodies(definition.triggers, catalog))
        self.after_all: dict[str, Seen] = {}

    def steps(self) -> Iterator[Problem]:
        if not self.definition.steps:
            yield error("steps", _("There is no step yet. Add one."), "empty")
        self.after_all = yield from self._lane("steps", self.definition.steps, Place())

    def after_all_steps(self, reference: Reference, where: str) -> Problem | None:
        """Return what is wrong with a reference where the whole run can be read, or None."""
        return self.references.problem(reference, where, Place(before=self.after_all))

    def output(self) -> Iterator[Problem]:
        yield from self._templates(self.definition.output, "output", Place(before=self.after_all))

    def summary(self) -> Iterator[Problem]:
        """Yield what is wrong with the summary, once ``steps`` is done; what may be skipped may be absent."""
        where = "settings.summary"
        for text in self.definition.settings.summary:
            reference = summary_reference(text)
            if reference is None:
                message = _(
                    "%(text).80r is no path to a value. Write it like trigger.body.email or steps.%(key)s.output.name."
                ) % {"text": text, "key": next(iter(self.after_all), "key")}
                yield error(where, message, "summary")
                continue
            problem = self.references.problem(reference, where, Place(before=self.after_all))
            if problem is not None and problem.code != "skipped":
                yield problem

    def _lane(self, prefix: str, steps: Sequence[StepDefinition], place: Place) -> _Walked:
        """Check one lane; return the steps before it and in it, and those inside these that can be read after them."""
        before = dict(place.before)
        for index, step in enumerate(steps):
            # A model may use its tools in any order, or none of them.
            here = place if is_tool(place) else replace(place, before=before)
            before |= yield from self._whole_step(f"{prefix}[{index}]", step, here)
        yield from unreachable(prefix, steps)
        return before

    def _whole_step(self, path: str, step: StepDefinition, place: Place) -> _Walked:
        """Check a step and what its lanes hold; return what can be read after it that could not before."""
        if step.config.skip:
            yield warning(f"{path}.config.skip", _("This step is switched off: a run leaves it out."), "skipped")
            return _unsaid(self._checked(path, step, place))
        return (yield from self._checked(path, step, place))

    def _checked(self, path: str, step: StepDefinition, place: Place) -> _Walked:
        facts = self.catalog.action(step.action)
        yield from self._step(path, step, facts, place)
        lanes: dict[str, dict[str, Seen]] = {}
        for name, inner in step.lanes.items():
            after = yield from self._lane(f"{path}.lanes.{name}", inner, place.inside(step, name))
            lanes[name] = {key: seen for key, seen in after.items() if key not in place.before}
        given = {
            name: lanes[name][inner[-1].key].output_schema if inner else None for name, inner in step.lanes.items()
        }
        seen = Seen(
            step=step,
            output_schema=output_schema(step, facts, lanes=given, workflows=self.workflows),
            may_be_skipped=may_be_skipped(step),
        )
        return {**after_lanes(step, lanes), step.key: seen}

    def _step(self, path: str, step: StepDefinition, facts: ActionFacts | None, place: Place) -> Iterator[Problem]:
        prefix, inputs = f"{path}.config.inputs", step.config.inputs
        if is_tool(place):
            yield from tool_problems(path, step, facts, self.catalog)
            facts = tool_facts(step, facts) if facts else None
        elif facts is None:
            yield from self._unregistered(path, step)
        if facts is not None:
            yield from lane_problems(path, step, facts)
            yield from control_problems(path, step)
            yield from self._loop(path, step)
            if step.action == AGENT:
                yield from agent_problems(path, step, self.definition, self.catalog)
            asked = credential_facts(step, facts, self.catalog)
            yield from credential_problems(path, step, asked, self.credentials) if asked else ()
            yield from self._inputs(prefix, step, facts, place)
            yield from self._per_item(prefix, inputs, facts, place)
            yield from secret_problems(prefix, inputs, facts, self.credentials)
        yield from call_problems(path, step, caller=self.definition.slug, workflows=self.workflows)
        held = (*facts.per_item, *facts.verbatim, *facts.secrets) if facts else ()
        yield from self._templates(_but(inputs, held), prefix, place)
        yield from self._condition(path, step, place)
        for where, text in texts(_but(inputs, facts.secrets if facts else ()), prefix):
            if looks_secret(text, where.rpartition(".")[2]):
                yield warning(
                    where, _("This looks like a secret in plain text. Save it as a credential."), "plain_secret"
                )

    def _loop(self, path: str, step: StepDefinition) -> Iterator[Problem]:
        """A loop over what an expression gives is as long as the data: only the workflow's own time ends it then."""
        items = step.config.inputs.get("items")
        if step.action == LOOP and self.definition.settings.timeout is None and not is_literal(items):
            message = _("Nothing ends this loop early: the workflow has no time limit. Set one in its settings.")
            yield warning(f"{path}.config.inputs.items", message, "loop_unlimited")

    def _unregistered(self, path: str, step: StepDefinition) -> Iterator[Problem]:
        inputs, where = step.config.inputs, f"{path}.action"
        hint = close(step.action, self.catalog.keys())
        runs_as = _("an HTTP step") if "url" in inputs else _("a sandbox step") if "code" in inputs else ""
        if runs_as:
            message = _("%(action)s is not registered: it runs as %(runs_as)s.%(hint)s") % {
                "action": step.action,
                "runs_as": runs_as,
                "hint": hint,
            }
            yield warning(where, message, "unregistered")
        else:
            message = _(
                "%(action)s is not registered, and has neither inputs.url nor inputs.code to run it by.%(hint)s"
            ) % {"action": step.action, "hint": hint}
            yield error(where, message, "unregistered")

    def _inputs(self, prefix: str, step: StepDefinition, facts: ActionFacts, place: Place) -> Iterator[Problem]:
        """Check literal inputs by the action's own model, and expressions by the type they are known to give."""
        inputs, schema = step.config.inputs, input_schema(step, facts, self.workflows)
        # What is in the vault is known to the run alone: here any text stands for it, and is not judged.
        secrets = {name: HIDDEN for name in facts.secrets if inputs.get(name) is not None}
        plain = _but(inputs, (*facts.secrets, *facts.verbatim))
        dynamic = {path for path, _text in find_templates(plain)} | secrets.keys()
        for path, message, code in facts.check_inputs({**inputs, **secrets}):
            if not any(covers(path, expression) for expression in dynamic):
                yield error(joined(prefix, path), message, code)
        for path, text in find_templates(plain):
            if path in facts.per_item:
                continue
            wanted, given = at_path(schema, path), self._schema_given(text, place)
            if wanted is not None and given is not None and not fits(given, wanted):
                message = _("This gives %(given)s, but %(wanted)s is needed.") % {
                    "given": words_for(given),
                    "wanted": words_for(wanted),
                }
                yield error(f"{prefix}.{path}", message, "type")

    def _per_item(self, prefix: str, inputs: Mapping[str, Any], facts: ActionFacts, place: Place) -> Iterator[Problem]:
        """Check inputs over items: a text is an expression, with braces or without."""
        inner = replace(place, over_items=True)
        for name in facts.per_item:
            value, where = inputs.get(name), f"{prefix}.{name}"
            if not isinstance(value, str):
                yield from self._templates(value, where, inner)
                continue
            template, problem = compiled(as_template(value), where)
            if problem:
                yield problem
            if template is None:
                continue
            yield from self._references(template, where, inner)
            wanted = {"type": (at_path(facts.input_schema, name) or {}).get("x-item-type")}
            if wanted["type"] and template.gives not in (None, wanted["type"]):
                message = _("For each item this gives %(given)s, not %(wanted)s.") % {
                    "given": words_for({"type": template.gives}),
                    "wanted": words_for(wanted),
                }
                yield error(where, message, "type")

    def _schema_given(self, text: str, place: Place) -> Mapping[str, Any] | None:
        """Return the schema of what an expression gives, or None when that is not known before a run."""
        try:
            template = compile_template(text)
        except ExpressionError:
            return None
        reference = template.sole_reference
        if reference is None:
            return {"type": template.gives} if template.gives else None
        if reference.root != "steps" or len(reference.parts) < 2 or reference.parts[1] != "output":
            return None
        seen = place.before.get(str(reference.parts[0]))
        if seen is None or seen.output_schema is None:
            return None
        return at_path(seen.output_schema, reference.parts[2:])

    def _condition(self, path: str, step: StepDefinition, place: Place) -> Iterator[Problem]:
        text = step.config.run_if
        if text is None:
            return
        where = f"{path}.config.run_if"
        template, problem = compiled(as_template(text), where)
        if problem:
            yield problem
        if template is None:
            return
        yield from self._references(template, where, place)
        if template.gives not in (None, "boolean"):
            yield error(
                where,
                _("A condition gives true or false, not %(given)s.") % {"given": words_for({"type": template.gives})},
                "type",
            )

    def _templates(self, value: Any, prefix: str, place: Place) -> Iterator[Problem]:
        for where, text in find_templates(value, prefix):
            template, problem = compiled(text, where)
            if problem:
                yield problem
            if template is not None:
                yield from self._references(template, where, place)

    def _references(self, template: Template, where: str, place: Place) -> Iterator[Problem]:
        for reference in template.references:
            problem = self.references.problem(reference, where, place)
            if problem is not None:
                yield problem


def _but(inputs: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    return {name: value for name, value in inputs.items() if name not in names} if names else inputs


def _unsaid(walked: _Walked) -> dict[str, Seen]:
    """Return what can be read after a step that is left out; what is wrong with it stands in no run's way."""
    try:
        while True:
            next(walked)
    except StopIteration as end:
        seen: dict[str, Seen] = end.value
        return seen
