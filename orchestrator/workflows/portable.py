"""A workflow as a file: one JSON document without secrets, and back into a draft that nothing starts.

The same workflow always gives the same bytes, and what was taken in gives them again, so that files can be kept under
version control and compared line by line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Conflict, Invalid, Problem
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.secrets import hidden
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.drafts import draft_definition
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.publishing import check
from orchestrator.workflows.services import parse_document, workflow_create, workflow_replace


@dataclass(frozen=True, kw_only=True)
class Exported:
    """``text`` is the file; ``hidden`` are the paths of texts that looked like secrets, and are not in it."""

    slug: str
    text: str
    hidden: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Given:
    """A document to take in. ``name`` is the file's, to tell of problems; ``into`` is whose draft it replaces."""

    name: str
    document: Any
    into: Workflow | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of one document: no workflow where it is refused. ``problems`` are what a publish would refuse."""

    name: str
    workflow: Workflow | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def workflow_export(workflow: Workflow) -> Exported:
    """Return the draft as a file; two queries unless prefetched."""
    found: list[str] = []
    document = _plain(draft_definition(workflow))
    document = _without_secrets(document, "", "", found)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate pair is JSON, and no UTF-8: such a document is written escaped.
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = json.dumps(document, indent=2) + "\n"
    return Exported(slug=workflow.slug, text=text, hidden=tuple(found))


def read_document(data: bytes | str) -> Any:
    """Return the document of a file's bytes. Raises Invalid for what is no JSON that is taken here."""
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    try:
        return jsongate.loads(raw)
    except jsongate.BadJSON as error:
        message = _("This is not a workflow's file: %(error)s.") % {"error": error}
        raise Invalid(message, problems=[Problem(path="", message=message, code="json")], code="json") from error


def workflows_import(
    *, actor: Actor, given: Sequence[Given], replace: bool = False, dry_run: bool = False
) -> list[Imported]:
    """Take documents in, all of them or, where one has the wrong shape, none; ``dry_run`` writes nothing.

    Each becomes a workflow of its own that is off and not published; with ``replace``, or where ``into`` says so, the
    draft of the one that has its slug already, whose published version goes on. Nothing is executed or fetched. They
    are checked together, so that they may call one another.
    """
    require_operation(actor, "workflow.edit")
    with transaction.atomic():
        written = [_write(actor, each, replace) for each in given]
        refused = any(each.workflow is None for each in written)
        # One that cannot be read would be missed by those that call it.
        result = [each if refused or each.workflow is None else _checked(actor, each) for each in written]
        if refused or dry_run:
            transaction.set_rollback(True)
    return result


def workflow_import(
    *, actor: Actor, document: Any, into: Workflow | None = None, replace: bool = False, dry_run: bool = False
) -> Imported:
    """Take one document in, as ``workflows_import``. Raises Invalid where that refuses it."""
    given = Given(name="", document=document, into=into)
    (found,) = workflows_import(actor=actor, given=[given], replace=replace, dry_run=dry_run)
    if found.workflow is None and not dry_run:
        raise Invalid(_("This was not taken in. Correct it and send it again."), problems=found.problems)
    return found


def _write(actor: Actor, given: Given, replace: bool) -> Imported:
    try:
        if not isinstance(given.document, Mapping):
            message = _("A workflow's document is a JSON object.")
            raise Invalid(message, problems=[Problem(path="", message=message, code="type")])
        with transaction.atomic():
            return Imported(name=given.name, workflow=_written(actor, given, replace), problems=())
    except (Invalid, Conflict) as error:
        problems = error.problems or (Problem(path="", message=error.message, code=error.code),)
        return Imported(name=given.name, workflow=None, problems=problems)


def _written(actor: Actor, given: Given, replace: bool) -> Workflow:
    document = dict(given.document)
    into = given.into
    if into is not None:
        document["slug"] = into.slug
    elif replace:
        slug = document.get("slug")
        rows = Workflow.objects.for_tenant(actor.tenant)
        into = rows.filter(slug=slug).first() if isinstance(slug, str) and "\0" not in slug else None
    if into is not None:
        return workflow_replace(actor=actor, workflow=into, document=document)
    if "name" not in document:
        # A new workflow has a name of its own; a file must say it.
        parse_document({"slug": "x", **document})
    return workflow_create(actor=actor, document=document)


def _checked(actor: Actor, written: Imported) -> Imported:
    assert written.workflow is not None
    found = check(written.workflow, actor=actor)
    return Imported(
        name=written.name,
        workflow=written.workflow,
        problems=tuple(problem for problem in found if problem.severity == "error"),
        warnings=tuple(problem for problem in found if problem.severity == "warning"),
    )


def _plain(definition: WorkflowDefinition) -> dict[str, Any]:
    """Return the document without what is at its default.

    Its own keys are sorted, and the names of inputs. Lanes and what is inside of values keep their order: it is seen,
    in the outline and in a form.
    """
    document = dict(sorted(definition.model_dump(mode="json", exclude_defaults=True).items()))
    for name, ordered in (("steps", _step), ("triggers", _trigger)):
        if name in document:
            document[name] = [ordered(item) for item in document[name]]
    if "settings" in document:
        document["settings"] = dict(sorted(document["settings"].items()))
    return document


def _step(step: Mapping[str, Any]) -> dict[str, Any]:
    ordered = dict(sorted(step.items()))
    if "config" in step:
        config = dict(sorted(step["config"].items()))
        for name in ("inputs", "retry"):
            if isinstance(config.get(name), dict):
                config[name] = dict(sorted(config[name].items()))
        ordered["config"] = config
    if "lanes" in step:
        ordered["lanes"] = {lane: [_step(inner) for inner in steps] for lane, steps in step["lanes"].items()}
    return ordered


def _trigger(trigger: Mapping[str, Any]) -> dict[str, Any]:
    ordered = dict(sorted(trigger.items()))
    if "config" in trigger:
        ordered["config"] = dict(sorted(trigger["config"].items()))
    return ordered


def _without_secrets(value: Any, name: str, path: str, found: list[str]) -> Any:
    if isinstance(value, str):
        cleaned = hidden(value, name)
        if cleaned != value:
            found.append(path)
        return cleaned
    if isinstance(value, dict):
        return {
            key: _without_secrets(item, key, f"{path}.{key}" if path else key, found) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item, name, f"{path}[{index}]", found) for index, item in enumerate(value)]
    return value
