"""What a publish refuses and what it warns of: every problem at once, each with its path. Pure.

The registry is seen through ``Catalog``, credentials and the tenant's other workflows through their facts: nothing is
called, run or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from orchestrator.errors import Problem
from orchestrator.flow.calls import call_problems, caller_problems, settings_problems
from orchestrator.flow.control import after_lanes, control_problems, lane_problems, unreachable
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.expressions import ExpressionError, Template, compile_template, find_templates
from orchestrator.flow.facts import ActionFacts, Catalog, CredentialFacts, WorkflowFacts
from orchestrator.flow.items import as_template
from orchestrator.flow.names import TriggerType
from orchestrator.flow.outputs import input_schema, output_schema
from orchestrator.flow.schemas import at_path, fits, words_for
from orchestrator.flow.scoping import Place, References, Seen
from orchestrator.flow.telling import close, compiled, covers, error, joined, texts, warning
from orchestrator.flow.triggers import trigger_problems

_SECRET_LOOK: Final = re.compile(
    r"xox[abprs]-[\w-]{10,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|Bearer\s+[\w.~+/=-]{16,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
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
    return [
        *trigger_problems(definition.triggers),
        *caller_problems(definition, workflows),
        *checker.steps(),
        *checker.output(),
        *settings_problems(definition, workflows),
    ]


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
        self.references = References(definition, variables)
        self.after_all: dict[str, Seen] = {}

    def steps(self) -> Iterator[Problem]:
        if not self.definition.steps:
            yield error("steps", "There is no step yet. Add one.", "empty")
        self.after_all = yield from self._lane("steps", self.definition.steps, Place())

    def output(self) -> Iterator[Problem]:
        yield from self._templates(self.definition.output, "output", Place(before=self.after_all))

    def _lane(self, prefix: str, steps: Sequence[StepDefinition], place: Place) -> _Walked:
        """Check one lane; return the steps before it and in it, and those inside these that can be read after them."""
        before = dict(place.before)
        for index, step in enumerate(steps):
            here = replace(place, before=before)
            before |= yield from self._whole_step(f"{prefix}[{index}]", step, here)
        yield from unreachable(prefix, steps)
        return before

    def _whole_step(self, path: str, step: StepDefinition, place: Place) -> _Walked:
        """Check a step and what its lanes hold; return what can be read after it that could not before."""
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
            may_be_skipped=bool(step.config.run_if),
        )
        return {**after_lanes(step, lanes), step.key: seen}

    def _step(self, path: str, step: StepDefinition, facts: ActionFacts | None, place: Place) -> Iterator[Problem]:
        prefix, inputs = f"{path}.config.inputs", step.config.inputs
        over_items = facts.per_item if facts else ()
        if facts is None:
            yield from self._unregistered(path, step)
        else:
            yield from lane_problems(path, step, facts)
            yield from control_problems(path, step)
            yield from self._credential(path, step, facts)
            yield from self._inputs(prefix, step, facts, place)
            yield from self._per_item(prefix, inputs, facts, place)
        yield from call_problems(path, step, caller=self.definition.slug, workflows=self.workflows)
        yield from self._templates({k: v for k, v in inputs.items() if k not in over_items}, prefix, place)
        yield from self._condition(path, step, place)
        for where, text in texts(inputs, prefix):
            if _SECRET_LOOK.search(text):
                yield warning(where, "This looks like a secret in plain text. Save it as a credential.", "plain_secret")

    def _unregistered(self, path: str, step: StepDefinition) -> Iterator[Problem]:
        inputs, where = step.config.inputs, f"{path}.action"
        hint = close(step.action, self.catalog.keys())
        runs_as = "an HTTP step" if "url" in inputs else "a sandbox step" if "code" in inputs else ""
        if runs_as:
            message = f"{step.action} is not registered: it runs as {runs_as}.{hint}"
            yield warning(where, message, "unregistered")
        else:
            message = f"{step.action} is not registered, and has neither inputs.url nor inputs.code to run it by.{hint}"
            yield error(where, message, "unregistered")

    def _credential(self, path: str, step: StepDefinition, facts: ActionFacts) -> Iterator[Problem]:
        where, needed = f"{path}.credential", " or ".join(sorted(facts.accepted_auth, reverse=True))
        name = facts.provider_name
        if step.credential is None:
            if facts.auth_required and facts.accepted_auth:
                yield error(where, f"{name} requires {needed}. Choose a credential.", "credential_missing")
            return
        known = self.credentials.get(step.credential)
        if known is None:
            hint = close(step.credential, list(self.credentials))
            yield error(where, f"There is no credential {step.credential!r}.{hint}", "credential_unknown")
        elif not facts.accepted_auth:
            yield warning(where, f"{facts.name} uses no credential.", "credential_unused")
        elif known.auth_type not in facts.accepted_auth:
            yield error(where, f"{name} requires {needed}; this is {known.auth_type}.", "credential_type")
        elif known.provider != facts.provider and facts.provider != "http":
            message = f"This credential is for {known.provider}, not {facts.provider}."
            yield error(where, message, "credential_provider")

    def _inputs(self, prefix: str, step: StepDefinition, facts: ActionFacts, place: Place) -> Iterator[Problem]:
        """Check literal inputs by the action's own model, and expressions by the type they are known to give."""
        inputs, schema = step.config.inputs, input_schema(step, facts, self.workflows)
        dynamic = {path for path, _ in find_templates(inputs)}
        for path, message, code in facts.check_inputs(inputs):
            if not any(covers(path, expression) for expression in dynamic):
                yield error(joined(prefix, path), message, code)
        for path, text in find_templates(inputs):
            if path in facts.per_item:
                continue
            wanted, given = at_path(schema, path), self._schema_given(text, place)
            if wanted is not None and given is not None and not fits(given, wanted):
                message = f"This gives {words_for(given)}, but {words_for(wanted)} is needed."
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
                message = f"For each item this gives {words_for({'type': template.gives})}, not {words_for(wanted)}."
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
            yield error(where, f"A condition gives true or false, not {words_for({'type': template.gives})}.", "type")

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


__all__ = ["ActionFacts", "Catalog", "CredentialFacts", "TriggerType", "WorkflowFacts", "validate"]
