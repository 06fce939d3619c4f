"""Why runs of a workflow failed: those since a moment, grouped by where and what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.alerts.composing import Causes
from orchestrator.alerts.messages import CAUSE_CHARACTERS, LOOKED_INTO, MOST_CAUSES, one_line
from orchestrator.ids import first_id_at
from orchestrator.tenants.models import Tenant
from runs.links import run_url
from runs.models import Run, StepRun
from runs.paths import key_of_path, without_items
from runs.states import RunKind, RunStatus

# Of each workflow so many are counted.
COUNTED: Final = 10_000
# A run that failed since may have been made so long before.
_LONG_RUN: Final = timedelta(days=1)


def causes_of(tenant: Tenant, since: Mapping[int, datetime]) -> dict[int, Causes]:
    """Return the failures of each workflow since its moment, with the causes of the newest; three queries each."""
    return {workflow_id: _causes(tenant, workflow_id, moment) for workflow_id, moment in since.items()}


def _causes(tenant: Tenant, workflow_id: int, since: datetime) -> Causes:
    rows = Run.objects.for_tenant(tenant).filter(
        workflow=workflow_id,
        kind=RunKind.LIVE,
        status=RunStatus.FAILED,
        pk__gte=first_id_at(since - _LONG_RUN),
        finished_at__gte=since,
    )
    groups: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for pk, given in rows.order_by("-pk").values_list("pk", "error")[:LOOKED_INTO]:
        error: Mapping[str, Any] = given if isinstance(given, dict) else {}
        path = str(error.get("path") or "")
        groups[without_items(path), str(error.get("message") or "")].append((pk, path))
    worst = sorted(groups.items(), key=lambda group: -len(group[1]))[:MOST_CAUSES]
    names = _names(tenant, [found[0] for _cause, found in worst])
    return Causes(
        count=rows.order_by()[:COUNTED].count(),
        causes=tuple(
            {
                "step": names.get(found[0]) or key_of_path(path),
                "message": _short(message),
                "count": len(found),
                "url": run_url(tenant.slug, found[0][0]),
            }
            for (path, message), found in worst
        ),
    )


def _names(tenant: Tenant, places: list[tuple[int, str]]) -> dict[tuple[int, str], str]:
    """Return what the steps of these runs were called."""
    rows = StepRun.objects.for_tenant(tenant).filter(
        run__in=[run for run, _path in places], path__in=[path for _run, path in places]
    )
    return {(run, path): name for run, path, name in rows.values_list("run_id", "path", "name")}


def _short(message: str) -> str:
    """Return an error's message as one line; it was cleaned of secrets before it was stored."""
    line = one_line(message)
    return line if len(line) <= CAUSE_CHARACTERS else f"{line[: CAUSE_CHARACTERS - 1]}…"
