"""What a ticker looks after: drivers that are gone, versions that may go back, and what is past its retention."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.claims import next_due, release_dead
from runs.clock import DatabaseClock
from runs.gate_rows import MOST_PRUNED, gates_prune
from runs.limits import release_all
from runs.models import Answer, Payload, Run, StepRun, StepState, TestData, WorkerBeat
from runs.owners import is_surely_gone
from runs.states import RUN_TERMINAL, RunStatus
from runs.watches import look_at_watched

log = logging.getLogger(__name__)

RUNS_A_BATCH: Final = 200
# 16 MB, a fraction of a second.
PAGES_A_BATCH: Final = 4_000
PRUNE_EVERY_SECONDS: Final = 60.0
PRUNE_SECONDS: Final = 2.0
CLOCK_EVERY_SECONDS: Final = 60.0
# A driver that has not told of itself for this long is not counted as living.
BEAT_KEPT: Final = timedelta(minutes=1)
_TERMINAL: Final = [status.value for status in RUN_TERMINAL]

_state = threading.local()


class Work(StrEnum):
    """What there is to do: a run that is due or whose lease has run out, runs that are driven, or neither."""

    DUE = "due"
    DRIVEN = "driven"
    NONE = "none"


def sweep() -> None:
    """Look once: free what dead drivers hold and what a limit holds back no more, now and then prune a little, and let
    versions that fail go back.
    """
    now = _clock().now()
    free_dead_drivers(now)
    release_all(now=now)
    if _is_time_for("prune", PRUNE_EVERY_SECONDS):
        prune(seconds=PRUNE_SECONDS)
    # Last: what is wrong with one workflow's watch must not keep the rest from being done.
    look_at_watched()


def state_of_work(now: datetime) -> Work:
    """Return whether something is due, else whether something is driven."""
    wakes_at, expires_at = next_due()
    if (wakes_at is not None and wakes_at <= now) or (expires_at is not None and expires_at < now):
        return Work.DUE
    return Work.NONE if expires_at is None else Work.DRIVEN


def free_dead_drivers(now: datetime) -> int:
    """Let the leases of drivers whose process has ended run out at once; return how many.

    Only processes of this machine can be told to have ended; the leases of others run out by themselves.
    """
    held = Run.unscoped.filter(lease_expires_at__gt=now, status=RunStatus.RUNNING)
    beats = list(WorkerBeat.objects.values_list("name", "beat_at"))
    owners = {name for name, _ in beats} | set(held.values_list("lease_owner", flat=True).distinct())
    gone = {owner for owner in owners if is_surely_gone(owner)}
    stale = {name for name, at in beats if at < now - BEAT_KEPT}
    if gone | stale:
        WorkerBeat.objects.filter(name__in=gone | stale).delete()
    freed = release_dead(owners=gone, now=now) if gone else 0
    if freed:
        log.warning("Freed %s runs of drivers that are gone", freed)
    return freed


def prune(*, seconds: float | None = None) -> int:
    """Delete ended runs that are past their retention, in small batches; return how many.

    A workflow's ``retention_days`` counts, else its tenant's; without either, runs are kept. ``seconds`` bounds the
    time spent.
    """
    end = None if seconds is None else time.monotonic() + seconds
    deleted = 0
    for tenant_id, workflow_id, days in _retentions():
        before = first_id_at(timezone.now() - timedelta(days=days))
        while end is None or time.monotonic() < end:
            batch = _prune_batch(tenant_id, workflow_id, before)
            deleted += batch
            if batch < RUNS_A_BATCH:
                break
    if deleted:
        give_space_back()
    # Steps may send to ever other channels, each of which has its row.
    while gates_prune(now=time.time()) == MOST_PRUNED and (end is None or time.monotonic() < end):
        pass
    return deleted + prune_drafts()


def give_space_back() -> None:
    """Let SQLite cut pages that nothing uses off its file, some at a time; other servers do so by themselves."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        # A script would end the transaction that is under way.
        return
    connection.ensure_connection()
    # A script: by itself the driver takes one step of the statement, which gives back one page.
    connection.connection.executescript(f"PRAGMA incremental_vacuum({PAGES_A_BATCH})")


def prune_drafts() -> int:
    """Delete copies of drafts that no run is pinned to any more; return how many."""
    used = Exists(Run.unscoped.filter(version=OuterRef("pk")))
    old = first_id_at(timezone.now() - timedelta(days=1))
    return WorkflowVersion.unscoped.filter(~used, number__isnull=True, pk__lt=old).delete()[0]


def _retentions() -> Iterator[tuple[int, int, int]]:
    """Yield tenant, workflow and days for every workflow whose runs are not kept for ever."""
    defaults = dict(Tenant.objects.values_list("pk", "retention_days"))
    for tenant_id, pk, settings in Workflow.unscoped.values_list("tenant_id", "pk", "settings").iterator():
        days = (settings or {}).get("retention_days") or defaults.get(tenant_id)
        if days:
            yield tenant_id, pk, days


@transaction.atomic
def _prune_batch(tenant_id: int, workflow_id: int, before: int) -> int:
    """Delete one batch of a workflow's ended runs with ids below ``before``: ids sort by time."""
    rows = Run.objects.for_tenant(tenant_id).filter(workflow=workflow_id, pk__lt=before, status__in=_TERMINAL)
    ids = list(rows.order_by("id").values_list("pk", flat=True)[:RUNS_A_BATCH])
    if ids:
        delete_runs(ids)
    return len(ids)


def delete_runs(ids: Iterable[int]) -> None:
    """Delete ended runs and what belongs to them, without loading any of it."""
    wanted = list(ids)
    Run.unscoped.filter(parent__in=wanted).update(parent=None)
    Run.unscoped.filter(rerun_of__in=wanted).update(rerun_of=None)
    for rows in (
        Payload.unscoped.filter(run__in=wanted),
        Answer.unscoped.filter(run__in=wanted),
        TestData.unscoped.filter(run__in=wanted),
        StepState.unscoped.filter(run__in=wanted),
        StepRun.unscoped.filter(run__in=wanted),
        Run.unscoped.filter(pk__in=wanted),
    ):
        rows._raw_delete(connection.alias)


def _clock() -> DatabaseClock:
    """Return this thread's clock, compared with the database's once a minute."""
    clock: DatabaseClock | None = getattr(_state, "clock", None)
    if clock is None:
        clock = _state.clock = DatabaseClock()
    if _is_time_for("clock", CLOCK_EVERY_SECONDS):
        clock.synchronise()
    return clock


def _is_time_for(what: str, every: float) -> bool:
    """Whether ``every`` seconds have passed since this was last true, in this thread."""
    due = getattr(_state, what + "_due", 0.0)
    if time.monotonic() < due:
        return False
    setattr(_state, what + "_due", time.monotonic() + every)
    return True
