"""How many runs of a workflow, and of a tenant, are under way at once; what is more waits, is skipped, or replaces.

1. A claim asks ``admit``: of the due runs that nobody drove yet it takes those for which there is room.
2. The others are held: queued, with no ``wake_at``, so that they cost nobody a look. By a workflow's ``on_limit`` they
   are cancelled instead (``skip``), or the older ones are (``cancel_older``).
3. The end of a run releases the oldest held ones into its place; the sweeper releases what a crash left behind.

A workflow's runs count from their start to their end, waits included; a tenant's count while they are driven.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Count, F, Q, QuerySet

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.models import Run
from runs.states import RunStatus

# A limit that somebody changes is in force this much later.
REFRESH_SECONDS: Final = 1.0
WORKFLOWS_A_LOOK: Final = 1_000
MOST_RELEASED: Final = 500
# By hand: an idle driver reads them twice a second, and the ORM would take ten times as long.
_WORKFLOW_LIMITS: Final = (
    "SELECT id, max_concurrent_runs, on_limit FROM workflows_workflow WHERE max_concurrent_runs IS NOT NULL"
)
_TENANT_LIMITS: Final = "SELECT id, max_concurrent_runs FROM tenants_tenant WHERE max_concurrent_runs IS NOT NULL"


@dataclass(frozen=True, kw_only=True)
class WorkflowLimit:
    most: int
    on_limit: str


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What becomes of due runs: ``taken`` may be driven, ``held`` wait, ``skipped`` end.

    ``replaced`` are workflows whose runs under way are stopped for a newer one.
    """

    taken: list[Any]
    held: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    replaced: set[int] = field(default_factory=set)


class Limits:
    """The limits in force, read at most once a second; for the thread that claims."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self._workflows: dict[int, WorkflowLimit] = {}
        self._tenants: dict[int, int] = {}

    def refresh(self, *, older_than: float = REFRESH_SECONDS) -> None:
        """Read them again, unless that was less than so many seconds ago."""
        if time.monotonic() - self._read_at < older_than:
            return
        self._read_at = time.monotonic()
        self._workflows, self._tenants = workflow_limits(), tenant_limits()

    def are_on(self, workflow_id: int, tenant_id: int) -> bool:
        """Whether a run's end may make room for another."""
        return workflow_id in self._workflows or tenant_id in self._tenants

    def admit(self, rows: Sequence[Any]) -> Admission:
        """Say what becomes of due rows (with id, workflow_id, tenant_id, status and fence), oldest first."""
        self.refresh()
        fresh = [
            row
            for row in rows
            if row["status"] == RunStatus.QUEUED and self.are_on(row["workflow_id"], row["tenant_id"])
        ]
        if not fresh:
            return Admission(taken=list(rows))
        workflows = {row["workflow_id"] for row in fresh} & self._workflows.keys()
        tenants = {row["tenant_id"] for row in fresh} & self._tenants.keys()
        _lock(workflows, tenants)
        return self._admit(rows, {row["id"] for row in fresh}, active_runs(workflows), driven_runs(tenants))

    def _admit(self, rows: Sequence[Any], asked: set[int], active: Counter[int], driven: Counter[int]) -> Admission:
        found = Admission(taken=[])
        newest = {row["workflow_id"]: row["id"] for row in rows if row["id"] in asked}
        for row in rows:
            workflow, tenant = row["workflow_id"], row["tenant_id"]
            limit = self._workflows.get(workflow)
            if row["id"] not in asked:
                found.taken.append(row)
            elif tenant in self._tenants and driven[tenant] >= self._tenants[tenant]:
                found.held.append(row["id"])
            elif limit is None or active[workflow] < limit.most:
                active[workflow] += 1
                driven[tenant] += 1
                found.taken.append(row)
            elif limit.on_limit == "skip" or (limit.on_limit == "cancel_older" and row["id"] != newest[workflow]):
                found.skipped.append(row["id"])
            else:
                found.held.append(row["id"])
                if limit.on_limit == "cancel_older":
                    found.replaced.add(workflow)
        return found


def workflow_limits() -> dict[int, WorkflowLimit]:
    with connection.cursor() as cursor:
        cursor.execute(_WORKFLOW_LIMITS)
        return {pk: WorkflowLimit(most=most or 1, on_limit=on_limit) for pk, most, on_limit in cursor.fetchall()}


def tenant_limits() -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(_TENANT_LIMITS)
        return {pk: most or 1 for pk, most in cursor.fetchall()}


def active_runs(workflows: Iterable[int]) -> Counter[int]:
    """Count the runs of workflows that are under way, waits included: what is driven has a lease, and is few."""
    wanted = list(workflows)
    if not wanted:
        return Counter()
    driven = Run.unscoped.filter(lease_expires_at__isnull=False, workflow__in=wanted)
    waiting = Run.unscoped.filter(status=RunStatus.WAITING, workflow__in=wanted)
    found: Counter[int] = Counter()
    for rows in (driven, waiting):
        found.update(dict(rows.order_by().values_list("workflow").annotate(count=Count("pk"))))
    return found


def driven_runs(tenants: Iterable[int]) -> Counter[int]:
    wanted = list(tenants)
    if not wanted:
        return Counter()
    rows = Run.unscoped.filter(lease_expires_at__isnull=False, tenant__in=wanted)
    return Counter(dict(rows.order_by().values_list("tenant").annotate(count=Count("pk"))))


def _lock(workflows: Iterable[int], tenants: Iterable[int]) -> None:
    """Have nobody else count these at the same time; SQLite has one writer anyway."""
    if connection.features.has_select_for_update:
        list(Workflow.unscoped.filter(pk__in=sorted(workflows)).order_by("pk").select_for_update().values_list("pk"))
        list(Tenant.objects.filter(pk__in=sorted(tenants)).order_by("pk").select_for_update().values_list("pk"))


def release_all(*, now: datetime) -> None:
    """Make held runs due for which there is room, whoever should have done so."""
    _release(_held(), now=now)


def release(*, workflows: Iterable[int], tenants: Iterable[int], now: datetime) -> None:
    """Make held runs due again for which an end has made room: a claim looks whether there still is."""
    _release(_held().filter(Q(workflow__in=list(workflows)) | Q(tenant__in=list(tenants))), now=now)


def _release(held: QuerySet[Run], *, now: datetime) -> None:
    pairs = list(held.order_by().values_list("workflow_id", "tenant_id").distinct()[:WORKFLOWS_A_LOOK])
    if not pairs:
        return
    limits, active = workflow_limits(), active_runs({workflow for workflow, _ in pairs})
    tenants = tenant_limits()
    driven = driven_runs(tenants)
    room_of = {tenant: most - driven[tenant] for tenant, most in tenants.items()}
    for workflow, tenant in pairs:
        limit = limits.get(workflow)
        room = min(
            MOST_RELEASED if limit is None else limit.most - active[workflow], room_of.get(tenant, MOST_RELEASED)
        )
        if room <= 0:
            continue
        ids = list(_held().filter(workflow=workflow).order_by("id").values_list("pk", flat=True)[:room])
        Run.unscoped.filter(pk__in=ids, status=RunStatus.QUEUED).update(wake_at=now)
        if tenant in room_of:
            room_of[tenant] -= len(ids)


def hold(run_ids: Iterable[int]) -> None:
    """Keep queued runs back until ``release``."""
    wanted = list(run_ids)
    if wanted:
        Run.unscoped.filter(pk__in=wanted, status=RunStatus.QUEUED).update(wake_at=None, revision=F("revision") + 1)


def _held() -> QuerySet[Run]:
    return Run.unscoped.filter(status=RunStatus.QUEUED, wake_at__isnull=True)
