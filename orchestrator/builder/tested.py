"""What a publish warns of because of the last test: a step that failed it, or that was changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator.errors import Problem
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import samples
from runs.models import Run, StepRun
from runs.outline import sample_paths, tree
from runs.states import StepStatus

# What of a step decides what a test of it does; its name and notes do not, nor how often runs try it.
_SETUP: Final = {"action", "credential", "config"}
_NOT_TRIED: Final = {"config": {"retry", "on_lost"}}
_BAD: Final = (StepStatus.FAILED, StepStatus.LOST)
_MESSAGE: Final = 200


def warnings_of_tests(workflow: Workflow, definition: WorkflowDefinition) -> list[Problem]:
    """Return a warning for each step whose last test or run failed, or did something else; four queries."""
    paths = sample_paths(tree({"steps": [step.model_dump(mode="json") for step in definition.steps]}))
    attempts = samples.last_attempts(workflow, paths=paths)
    if not attempts:
        return []
    tested, errors = _as_tested(workflow, attempts), _errors(workflow, attempts)
    return [
        problem
        for path, step in definition.walk()
        if step.key in attempts
        for problem in (_warning(path, step, attempts[step.key], tested.get(step.key), errors),)
        if problem is not None
    ]


def _warning(
    path: str, step: StepDefinition, attempt: StepRun, tested: Mapping[str, Any] | None, errors: Mapping[int, str]
) -> Problem | None:
    failed = attempt.status in _BAD
    if tested != _setup(step):
        said = _("Changed since its last test, which failed.") if failed else _("Changed since its last test.")
        return Problem(path=path, message=said, code="test_old", severity="warning")
    if not failed:
        return None
    said = _("Failed its last test: %(message)s") % {"message": errors.get(attempt.pk, "")}
    return Problem(path=path, message=said, code="test_failed", severity="warning")


def _setup(step: StepDefinition) -> dict[str, Any]:
    return step.model_dump(mode="json", include=_SETUP, exclude=_NOT_TRIED)


def _as_tested(workflow: Workflow, attempts: Mapping[str, StepRun]) -> dict[str, dict[str, Any]]:
    """Return what each step was set up to do when it was last tried."""
    runs = Run.objects.for_tenant(workflow.tenant_id).filter(pk__in={row.run_id for row in attempts.values()})
    versions = dict(runs.values_list("pk", "version_id"))
    rows = WorkflowVersion.objects.for_tenant(workflow.tenant_id).filter(pk__in=set(versions.values()))
    documents = {
        pk: {step.key: _setup(step) for _path, step in WorkflowDefinition.model_validate(document).walk()}
        for pk, document in rows.values_list("pk", "definition")
    }
    found = {key: documents.get(versions.get(attempt.run_id, 0), {}) for key, attempt in attempts.items()}
    return {key: setups[key] for key, setups in found.items() if key in setups}


def _errors(workflow: Workflow, attempts: Mapping[str, StepRun]) -> dict[int, str]:
    failed = [attempt.pk for attempt in attempts.values() if attempt.status in _BAD]
    if not failed:
        return {}
    rows = StepRun.objects.for_tenant(workflow.tenant_id).filter(pk__in=failed)
    return {pk: str((error or {}).get("message", ""))[:_MESSAGE] for pk, error in rows.values_list("pk", "error")}
