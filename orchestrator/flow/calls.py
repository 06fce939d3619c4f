"""Workflows that call others: who may call whom, with what, and that no call leads back to where it came from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.facts import WorkflowFacts
from orchestrator.flow.json_schemas import schema_problems, value_problems
from orchestrator.flow.names import TriggerType
from orchestrator.flow.telling import error, is_literal, joined, nearest, warning

CALL: Final = "workflow.call"
# Where the config of a trigger lists other workflows.
_LISTS: Final[Mapping[TriggerType, str]] = {TriggerType.WORKFLOW: "callers", TriggerType.ERROR: "workflows"}
# So many runs may call each other, one after the other.
MAX_DEPTH: Final = 10


def called_slugs(definition: WorkflowDefinition) -> tuple[str, ...]:
    """Return the slugs that a workflow calls by name, each once."""
    slugs = (_literal_slug(step) for _, step in definition.walk() if step.action == CALL)
    return tuple(dict.fromkeys(slug for slug in slugs if slug))


def facts_of(definition: WorkflowDefinition, *, published: bool) -> WorkflowFacts:
    """Return what others need to know of a workflow. A schema that cannot be used is left out."""
    config = next((t.config for t in definition.triggers if t.type is TriggerType.WORKFLOW), None)
    callers = (config or {}).get("callers")
    return WorkflowFacts(
        name=definition.name,
        published=published,
        has_trigger=config is not None,
        callers=tuple(map(str, callers)) if isinstance(callers, list) else None,
        input_schema=_usable((config or {}).get("input")),
        output_schema=_usable((config or {}).get("output")),
        calls=called_slugs(definition),
    )


def lists_workflows(definition: WorkflowDefinition) -> bool:
    """Whether a trigger of the workflow lists others: who may call it, or whose failures start it."""
    return any(t.type in _LISTS and t.config.get(_LISTS[t.type]) for t in definition.triggers)


def call_problems(
    path: str, step: StepDefinition, *, caller: str, workflows: Mapping[str, WorkflowFacts]
) -> Iterator[Problem]:
    """Yield what is wrong with a ``workflow.call`` step of the workflow whose slug is ``caller``."""
    slug = _literal_slug(step)
    if step.action != CALL or not slug:
        return
    where = f"{path}.config.inputs.workflow"
    circle = _way_back(slug, caller, workflows)
    if circle:
        written = " → ".join((caller, *circle))
        yield error(
            where,
            _("This leads back to the workflow itself: %(written)s. Runs would start each other.")
            % {"written": written},
            "cycle",
        )
    if slug == caller:
        return
    called = workflows.get(slug)
    if called is None:
        hint = nearest(slug, [other for other in workflows if other != caller])
        yield error(
            where, _("There is no workflow %(slug).80r.%(hint)s") % {"slug": slug, "hint": hint}, "workflow_unknown"
        )
        return
    yield from _entrance(where, slug, called, caller)
    if called.input_schema is not None:
        yield from _payload(f"{path}.config.inputs.payload", step.config.inputs.get("payload"), called.input_schema)


def settings_problems(definition: WorkflowDefinition, workflows: Mapping[str, WorkflowFacts]) -> Iterator[Problem]:
    """Yield what is wrong with the workflow that is started when a run fails."""
    slug, where = definition.settings.error_workflow, "settings.error_workflow"
    if slug is None:
        return
    if slug == definition.slug:
        yield error(where, _("A workflow cannot be the one for its own failures. Choose another."), "error_workflow")
    elif slug not in workflows:
        hint = nearest(slug, [other for other in workflows if other != definition.slug])
        yield error(
            where, _("There is no workflow %(slug).80r.%(hint)s") % {"slug": slug, "hint": hint}, "workflow_unknown"
        )
    elif not workflows[slug].published:
        yield warning(
            where, _("%(slug)s is not published yet: until then nothing is started.") % {"slug": slug}, "unpublished"
        )


def listed_problems(definition: WorkflowDefinition, workflows: Mapping[str, WorkflowFacts]) -> Iterator[Problem]:
    """Yield a warning for each workflow that a trigger lists in vain."""
    for index, trigger in enumerate(definition.triggers):
        name = _LISTS.get(trigger.type, "")
        listed = trigger.config.get(name)
        for place, slug in enumerate(listed if isinstance(listed, list) else ()):
            where = f"triggers[{index}].config.{name}[{place}]"
            if slug == definition.slug and trigger.type is TriggerType.ERROR:
                yield warning(where, _("A workflow is not started by its own failures: take it out."), "error_workflow")
            elif isinstance(slug, str) and slug not in workflows and slug != definition.slug:
                hint = nearest(slug, list(workflows))
                yield warning(
                    where,
                    _("There is no workflow %(slug).80r.%(hint)s") % {"slug": slug, "hint": hint},
                    "workflow_unknown",
                )


def _literal_slug(step: StepDefinition) -> str:
    slug = step.config.inputs.get("workflow")
    return slug if isinstance(slug, str) and is_literal(slug) else ""


def _usable(schema: Any) -> Mapping[str, Any] | None:
    return schema if isinstance(schema, Mapping) and not schema_problems(schema) else None


def _entrance(where: str, slug: str, called: WorkflowFacts, caller: str) -> Iterator[Problem]:
    if not called.published:
        yield warning(
            where, _("%(slug)s is not published yet: this step fails until it is.") % {"slug": slug}, "unpublished"
        )
    if not called.has_trigger:
        as_it_is = _(" in its published version") if called.published else ""
        message = _(
            "%(slug)s has no trigger of the type workflow%(as_it_is)s: any workflow may call it, with any payload. "
            "Add one there to say who may, and with what."
        ) % {"slug": slug, "as_it_is": as_it_is}
        yield warning(where, message, "no_entrance")
    elif called.callers is not None and caller not in called.callers:
        message = _(
            "%(slug)s may not be called by %(caller)s: its trigger lists who may. Add %(caller)s to its callers there."
        ) % {"slug": slug, "caller": caller}
        yield error(where, message, "caller")


def _payload(where: str, payload: Any, schema: Mapping[str, Any]) -> Iterator[Problem]:
    """Hold a payload that is known before a run against the called workflow's schema."""
    if is_literal(payload):
        for path, message in value_problems(payload, schema):
            yield error(joined(where, path), message, "payload")


def _way_back(start: str, end: str, workflows: Mapping[str, WorkflowFacts]) -> Sequence[str]:
    """Return the slugs from ``start`` to ``end`` along calls, shortest first, or nothing."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for way in ways:
        if way[-1] == end:
            return way
        facts = workflows.get(way[-1])
        for slug in facts.calls if facts else ():
            if slug not in seen:
                seen.add(slug)
                ways.append((*way, slug))
    return ()
