"""What a publish refuses and what it warns of: every problem at once, each with its path. Pure.

The registry is seen through ``Catalog``, credentials through ``CredentialFacts``: nothing is called, run or fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, Protocol

from orchestrator.errors import Problem
from orchestrator.flow.compiler import Reference
from orchestrator.flow.definition import StepDefinition, TriggerType, WorkflowDefinition
from orchestrator.flow.expressions import ExpressionError, Template, compile_template, find_templates
from orchestrator.flow.schemas import at_path, fits, words_for
from orchestrator.flow.triggers import trigger_problems

CheckInputs = Callable[[Mapping[str, Any]], Sequence[tuple[str, str, str]]]

ROOTS: Final = ("trigger", "steps", "item", "index", "run", "workflow", "vars")
TRIGGER_NAMES: Final = ("type", "key", "body", "headers", "query", "method", "received_at")
STEP_NAMES: Final = ("output", "error", "status")
RUN_NAMES: Final = ("id", "url", "started_at", "links", "kind")
WORKFLOW_NAMES: Final = ("id", "name", "slug", "version")
_SECRET_LOOK: Final = re.compile(
    r"xox[abprs]-[\w-]{10,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|Bearer\s+[\w.~+/=-]{16,}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


@dataclass(frozen=True, kw_only=True)
class ActionFacts:
    """What validation needs of an action. ``check_inputs`` runs its model: rows of path, message and code."""

    key: str
    name: str
    provider: str
    provider_name: str
    accepted_auth: frozenset[str]
    auth_required: bool
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None
    check_inputs: CheckInputs
    lanes: tuple[str, ...] | None = None


class Catalog(Protocol):
    """The registry, as validation sees it."""

    def action(self, key: str) -> ActionFacts | None: ...

    def keys(self) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class CredentialFacts:
    provider: str
    auth_type: str


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A step that comes before another: what it gives, and whether it may have been skipped."""

    step: StepDefinition
    output_schema: Mapping[str, Any] | None
    may_be_skipped: bool


@dataclass(frozen=True, kw_only=True)
class _Place:
    """What can be referenced where a step stands."""

    before: Mapping[str, _Seen] = field(default_factory=dict)
    in_loop: bool = False


def validate(
    definition: WorkflowDefinition,
    *,
    catalog: Catalog,
    credentials: Mapping[str, CredentialFacts],
    variables: Sequence[str] = (),
) -> list[Problem]:
    """Return every problem found, errors and warnings, in the order of the document."""
    checker = _Checker(definition, catalog, credentials, variables)
    return [*trigger_problems(definition.triggers), *checker.steps(), *checker.output()]


class _Checker:
    def __init__(
        self,
        definition: WorkflowDefinition,
        catalog: Catalog,
        credentials: Mapping[str, CredentialFacts],
        variables: Sequence[str],
    ) -> None:
        self.definition = definition
        self.catalog = catalog
        self.credentials = credentials
        self.variables = variables
        self.all_keys = [step.key for _, step in definition.walk()]
        self.after_all: dict[str, _Seen] = {}

    def steps(self) -> Iterator[Problem]:
        if not self.definition.steps:
            yield _error("steps", "There is no step yet. Add one.", "empty")
        yield from self._lane("steps", self.definition.steps, _Place())

    def output(self) -> Iterator[Problem]:
        yield from self._templates(self.definition.output, "output", _Place(before=self.after_all), None)

    def _lane(self, prefix: str, steps: Sequence[StepDefinition], place: _Place) -> Iterator[Problem]:
        before = dict(place.before)
        for index, step in enumerate(steps):
            path = f"{prefix}[{index}]"
            here = _Place(before=before, in_loop=place.in_loop)
            facts = self.catalog.action(step.action)
            yield from self._step(path, step, facts, here)
            for lane, inner in step.lanes.items():
                yield from self._lane(
                    f"{path}.lanes.{lane}",
                    inner,
                    _Place(before=before, in_loop=here.in_loop or step.action == "flow.foreach"),
                )
            before[step.key] = _Seen(
                step=step, output_schema=facts.output_schema if facts else None, may_be_skipped=bool(step.config.run_if)
            )
        if prefix == "steps":
            self.after_all = before

    def _step(self, path: str, step: StepDefinition, facts: ActionFacts | None, place: _Place) -> Iterator[Problem]:
        inputs = step.config.inputs
        if facts is None:
            yield from self._unregistered(path, step)
        else:
            yield from _lane_problems(path, step, facts)
            yield from self._credential(path, step, facts)
            yield from self._inputs(f"{path}.config.inputs", inputs, facts, place)
        yield from self._templates(inputs, f"{path}.config.inputs", place, facts)
        yield from self._condition(path, step, place)
        for where, text in _texts(inputs, f"{path}.config.inputs"):
            if _SECRET_LOOK.search(text):
                yield _warning(
                    where, "This looks like a secret in plain text. Save it as a credential.", "plain_secret"
                )

    def _unregistered(self, path: str, step: StepDefinition) -> Iterator[Problem]:
        inputs = step.config.inputs
        near = get_close_matches(step.action, self.catalog.keys(), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        runs_as = "an HTTP step" if "url" in inputs else "a sandbox step" if "code" in inputs else ""
        if runs_as:
            yield _warning(
                f"{path}.action", f"{step.action} is not registered: it runs as {runs_as}.{hint}", "unregistered"
            )
        else:
            yield _error(
                f"{path}.action",
                f"{step.action} is not registered, and has neither inputs.url nor inputs.code to run it by.{hint}",
                "unregistered",
            )

    def _credential(self, path: str, step: StepDefinition, facts: ActionFacts) -> Iterator[Problem]:
        where, needed = f"{path}.credential", " or ".join(sorted(facts.accepted_auth, reverse=True))
        if step.credential is None:
            if facts.auth_required and facts.accepted_auth:
                yield _error(
                    where, f"{facts.provider_name} requires {needed}. Choose a credential.", "credential_missing"
                )
            return
        known = self.credentials.get(step.credential)
        if known is None:
            near = get_close_matches(step.credential, list(self.credentials), n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            yield _error(where, f"There is no credential {step.credential!r}.{hint}", "credential_unknown")
        elif not facts.accepted_auth:
            yield _warning(where, f"{facts.name} uses no credential.", "credential_unused")
        elif known.auth_type not in facts.accepted_auth:
            yield _error(
                where, f"{facts.provider_name} requires {needed}; this is {known.auth_type}.", "credential_type"
            )
        elif known.provider != facts.provider and facts.provider != "http":
            yield _error(
                where, f"This credential is for {known.provider}, not {facts.provider}.", "credential_provider"
            )

    def _inputs(self, prefix: str, inputs: Mapping[str, Any], facts: ActionFacts, place: _Place) -> Iterator[Problem]:
        """Check literal inputs by the action's own model, and expressions by the type they are known to give."""
        dynamic = {path for path, _ in find_templates(inputs)}
        for path, message, code in facts.check_inputs(inputs):
            if not any(_covers(path, expression) for expression in dynamic):
                yield _error(f"{prefix}.{path}" if path else prefix, message, code)
        for path, text in find_templates(inputs):
            wanted = at_path(facts.input_schema, path)
            given = self._schema_given(text, place)
            if wanted is not None and given is not None and not fits(given, wanted):
                yield _error(
                    f"{prefix}.{path}",
                    f"This gives {words_for(given)}, but {words_for(wanted)} is needed.",
                    "type",
                )

    def _schema_given(self, text: str, place: _Place) -> Mapping[str, Any] | None:
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
        found: Any = at_path(seen.output_schema, reference.parts[2:])
        return found if isinstance(found, Mapping) else None

    def _condition(self, path: str, step: StepDefinition, place: _Place) -> Iterator[Problem]:
        text = step.config.run_if
        if text is None:
            return
        where = f"{path}.config.run_if"
        template, problem = _compiled(text if "{{" in text else f"{{{{ {text} }}}}", where)
        if problem:
            yield problem
        if template is None:
            return
        yield from self._references(template, where, place)
        if template.gives not in (None, "boolean"):
            yield _error(where, f"A condition gives true or false, not {words_for({'type': template.gives})}.", "type")

    def _templates(self, value: Any, prefix: str, place: _Place, facts: ActionFacts | None) -> Iterator[Problem]:
        for where, text in find_templates(value, prefix):
            template, problem = _compiled(text, where)
            if problem:
                yield problem
            if template is not None:
                inner = place
                if facts is not None and where.endswith((".where", ".by")) and facts.key.startswith("data."):
                    inner = _Place(before=place.before, in_loop=True)
                yield from self._references(template, where, inner)

    def _references(self, template: Template, where: str, place: _Place) -> Iterator[Problem]:
        for reference in template.references:
            problem = self._reference(reference, where, place)
            if problem is not None:
                yield problem

    def _reference(self, reference: Reference, where: str, place: _Place) -> Problem | None:
        if reference.root not in ROOTS:
            return _unknown(reference, where, reference.root, ROOTS, "")
        if reference.root in ("item", "index") and not place.in_loop:
            return _error(where, f"{reference.root} exists only inside a loop.", "reference")
        if not reference.parts:
            return None
        first = str(reference.parts[0])
        if reference.root == "steps":
            return self._step_reference(reference, where, place)
        names = {
            "trigger": TRIGGER_NAMES,
            "run": RUN_NAMES,
            "workflow": WORKFLOW_NAMES,
            "vars": tuple(self.variables),
        }.get(reference.root)
        if names is not None and first not in names and not reference.tolerant:
            return _unknown(reference, where, first, names, f"{reference.root}.")
        return None

    def _step_reference(self, reference: Reference, where: str, place: _Place) -> Problem | None:
        key = str(reference.parts[0])
        seen = place.before.get(key)
        if seen is None:
            if key in self.all_keys:
                return _error(
                    where, f"steps.{key} has not run yet where it is used here. Move this step after it.", "order"
                )
            return _unknown(reference, where, key, tuple(place.before), "steps.")
        if len(reference.parts) > 1 and reference.parts[1] not in STEP_NAMES:
            return _unknown(reference, where, str(reference.parts[1]), STEP_NAMES, f"steps.{key}.")
        if reference.tolerant:
            return None
        if len(reference.parts) > 2 and reference.parts[1] == "output" and seen.output_schema is not None:
            problem = _output_problem(reference, where, key, seen.output_schema)
            if problem is not None:
                return problem
        if seen.may_be_skipped and reference.parts[1:2] == ("output",):
            return _warning(
                where,
                f"steps.{key} may be skipped, and its output is null then. default(…) gives another value.",
                "skipped",
            )
        return None


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
            if known is None or not isinstance(part, str):
                return None
            near = get_close_matches(part, known, n=1)
            hint = f" Did you mean {walked}.{near[0]}?" if near else f" It gives {', '.join(known[:12])}."
            # What a schema does not mention may still be there, unless it says that nothing else is.
            tell = _error if current.get("additionalProperties") is False else _warning
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


def _compiled(text: str, where: str) -> tuple[Template | None, Problem | None]:
    try:
        return compile_template(text), None
    except ExpressionError as error:
        at = f" (column {error.column})" if error.column else ""
        return None, _error(where, f"{error.message}{at}", "expression")


def _lane_problems(path: str, step: StepDefinition, facts: ActionFacts) -> Iterator[Problem]:
    for lane in step.lanes:
        if facts.lanes is None:
            yield _error(f"{path}.lanes.{lane}", f"{facts.name} holds no further steps.", "lane")
        elif facts.lanes and lane not in facts.lanes:
            yield _error(f"{path}.lanes.{lane}", f"{facts.name} has the lanes {', '.join(facts.lanes)}.", "lane")


def _covers(path: str, expression: str) -> bool:
    """Whether a finding at ``path`` is about a value that an expression makes, at or around its place."""
    return (
        path == expression
        or path.startswith((f"{expression}.", f"{expression}["))
        or not path
        or (expression.startswith((f"{path}.", f"{path}[")))
    )


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")


def _unknown(reference: Reference, where: str, name: str, known: Sequence[str], prefix: str) -> Problem:
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {prefix}{near[0]}?" if near else (f" There are {', '.join(known[:12])}." if known else "")
    return _error(where, f"{prefix}{name} does not exist (column {reference.column}).{hint}", "reference")


def _error(path: str, message: str, code: str) -> Problem:
    return Problem(path=path, message=message, code=code)


def _warning(path: str, message: str, code: str) -> Problem:
    return Problem(path=path, message=message, code=code, severity="warning")


__all__ = ["ActionFacts", "Catalog", "CredentialFacts", "TriggerType", "validate"]
