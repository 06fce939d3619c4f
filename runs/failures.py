"""What goes wrong of late in a tenant: failed runs by the action that failed and the kind of its error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import WorkflowVersion
from runs.models import Run
from runs.outline import trees_of, walk
from runs.paths import key_of_path
from runs.states import RunKind, RunStatus

REACH: Final = timedelta(days=7)
# Looked at of the newest runs, whatever the tenant's volume, and of the versions that they ran.
LOOKED_AT: Final = 5_000
MOST_VERSIONS: Final = 100
MOST_GROUPS: Final = 50


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Failed runs with the same action and kind of error, as ``slack.sendMessage`` and ``rate_limited``.

    ``action`` is empty where a run failed at no step, or at one whose version is not read. ``run_id`` is the newest,
    ``message`` what it says; ``retryable`` whether the same call may succeed later, None where the error does not say.
    """

    action: str
    kind: str
    count: int
    workflows: int
    run_id: int
    message: str
    hint: str
    retryable: bool | None


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Groups with the most runs first. ``looked_at`` are the runs that they were found among, ``is_cut`` if not all."""

    groups: tuple[Failure, ...]
    failed: int
    looked_at: int
    is_cut: bool


def failures(tenant: Tenant) -> Failures:
    """Return the failures of the last week among the newest LOOKED_AT live runs; at most four queries."""
    rows = Run.objects.for_tenant(tenant).filter(kind=RunKind.LIVE, pk__gte=first_id_at(timezone.now() - REACH))
    newest = list(rows.order_by("-pk").values_list("pk", "status")[: LOOKED_AT + 1])
    looked_at = newest[:LOOKED_AT]
    failed = [pk for pk, status in looked_at if status == RunStatus.FAILED]
    # By the edge of what was looked at rather than by thousands of ids.
    errors = rows.filter(status=RunStatus.FAILED, pk__gte=looked_at[-1][0]) if failed else rows.none()
    found = list(errors.order_by("-pk").values_list("pk", "workflow_id", "version_id", "error")[:LOOKED_AT])
    groups = _grouped(tenant, found)
    return Failures(
        groups=tuple(groups[:MOST_GROUPS]),
        failed=len(found),
        looked_at=len(looked_at),
        is_cut=len(newest) > LOOKED_AT or len(groups) > MOST_GROUPS,
    )


def _grouped(tenant: Tenant, found: Sequence[tuple[int, int, int, Any]]) -> list[Failure]:
    actions = _actions(tenant, list(dict.fromkeys(version for _pk, _workflow, version, _error in found)))
    groups: dict[tuple[str, str], list[tuple[int, int, dict[str, Any]]]] = defaultdict(list)
    for pk, workflow, version, given in found:
        error = given if isinstance(given, dict) else {}
        action = actions.get((version, key_of_path(str(error.get("path") or ""))), "")
        groups[action, str(error.get("kind") or "")].append((pk, workflow, error))
    rows = [_failure(action, kind, runs) for (action, kind), runs in groups.items()]
    return sorted(rows, key=lambda row: (-row.count, -row.run_id))


def _failure(action: str, kind: str, runs: Sequence[tuple[int, int, dict[str, Any]]]) -> Failure:
    pk, _workflow, error = runs[0]
    return Failure(
        action=action,
        kind=kind,
        count=len(runs),
        workflows=len({workflow for _pk, workflow, _error in runs}),
        run_id=pk,
        message=str(error.get("message") or ""),
        hint=str(error.get("hint") or ""),
        retryable=error.get("retryable") if isinstance(error.get("retryable"), bool) else None,
    )


def _actions(tenant: Tenant, versions: Sequence[int]) -> dict[tuple[int, str], str]:
    rows = WorkflowVersion.objects.for_tenant(tenant).filter(pk__in=versions[:MOST_VERSIONS])
    return {(pk, step.key): step.action for pk, tree in trees_of(rows).items() for step in walk(tree)}
