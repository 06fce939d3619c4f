"""Who drives a run: claimed under a lease with a fence, renewed, given back, and given up as poison.

1. A run is due when its ``wake_at`` has come, or when its driver let the lease expire.
2. A claim sets owner and expiry, and adds one to the fence: the number that every write of the run must still find.
3. Taking over an expired lease counts as a crash. A run with SUSPECT_AFTER crashes is driven alone, so that it takes
   no other run down with it; after ALONE_CRASHES more it is failed.
4. A run whose member or token is gone is cancelled instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce

from orchestrator.tenants.selectors import Authority, valid_authorities
from runs import tracing
from runs.clock import DatabaseClock
from runs.endings import end_open_steps, end_undriven, runs_ended
from runs.engine.classify import crowded_out, poisoned, replaced, revoked
from runs.engine.records import Failure
from runs.limits import REFRESH_SECONDS, Limits, hold
from runs.models import Run
from runs.rows import moments, read
from runs.slots import Slots, round_robin
from runs.states import RunStatus

LEASE: Final = timedelta(seconds=15)
SUSPECT_AFTER: Final = 2
ALONE_CRASHES: Final = 3
POISON_AFTER: Final = SUSPECT_AFTER + ALONE_CRASHES
# An expired lease is seconds old anyway: it is looked for less often than fresh work.
EXPIRED_EVERY_SECONDS: Final = 1.0
TENANTS_A_LOOK: Final = 64
AUTHORITY_SECONDS: Final = 1.0

_COLUMNS: Final = (
    "id", "tenant_id", "workflow_id", "version_id", "kind", "status", "fence", "crash_count", "active_ms",
    "trigger", "trigger_ref", "seed", "by_person", "started_by_id", "token_id", "created_at", "started_at",
    "cancel_requested_at", "signals", "parent_id", "depth", "trigger_type",
)  # fmt: skip
# By hand: the ORM compiles a query anew for every look, and a driver looks hundreds of times a second.
_FROM_RUNS: Final = "FROM runs_run WHERE"
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} {_FROM_RUNS}"
_DUE: Final = f"{_SELECT} wake_at <= %s ORDER BY wake_at LIMIT %s"
_DUE_OF_TENANT: Final = f"{_SELECT} wake_at <= %s AND tenant_id = %s ORDER BY wake_at LIMIT %s"
_EXPIRED: Final = f"{_SELECT} lease_expires_at < %s ORDER BY lease_expires_at LIMIT %s"
# One step each in two small indexes.
_NEXT: Final = (
    f"SELECT (SELECT MIN(wake_at) {_FROM_RUNS} wake_at IS NOT NULL), "
    f"(SELECT MIN(lease_expires_at) {_FROM_RUNS} lease_expires_at IS NOT NULL)"
)
_MARK: Final = (
    "UPDATE runs_run SET crash_count = CASE WHEN status = 'running' THEN crash_count + 1 ELSE crash_count END, "
    "status = 'running', lease_owner = %s, lease_expires_at = %s, fence = fence + 1, wake_at = NULL, "
    "waiting_for = NULL, started_at = COALESCE(started_at, %s), revision = revision + 1"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A run that is ours until its lease ends. ``fresh``: nobody drove it before, so nothing of it is journaled."""

    run_id: int
    tenant_id: int
    workflow_id: int
    version_id: int
    kind: str
    fence: int
    active_ms: int
    trigger: Any
    trigger_ref: int | None
    seed: dict[str, Any] | None
    authority: Authority | None
    created_at: datetime
    fresh: bool
    signals: int = 0
    parent_id: int | None = None
    depth: int = 0
    trigger_type: str = ""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Which of a driver's runs have to stop: they have another driver, a person asked, or their authority is gone.

    ``signals`` says of each of the others how many answers from outside there are.
    """

    lost: frozenset[int]
    cancelled: frozenset[int]
    revoked: frozenset[int]
    signals: Mapping[int, int]


def next_due() -> tuple[datetime | None, datetime | None]:
    """Return when the next run is to be woken, and when the next lease runs out; either may be past, or None."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT)
        wakes_at, expires_at = cursor.fetchone()
    return _moment(wakes_at), _moment(expires_at)


def _moment(value: datetime | str | None) -> datetime | None:
    """Return what the database gave as a moment: SQLite has text, without the zone, which is UTC."""
    return datetime.fromisoformat(value).replace(tzinfo=UTC) if isinstance(value, str) else value


class Authorities:
    """Who may still act, asked at most once a second."""

    def __init__(self) -> None:
        self._valid: frozenset[Authority] = frozenset()
        self._asked: frozenset[Authority] = frozenset()
        self._at = 0.0

    def refresh(self, wanted: Iterable[Authority]) -> frozenset[Authority]:
        """Return those of ``wanted`` that still hold."""
        needed = frozenset(wanted)
        if needed and (not needed <= self._asked or time.monotonic() - self._at > AUTHORITY_SECONDS):
            self._at, self._asked = time.monotonic(), needed
            self._valid = valid_authorities(needed)
        return needed & self._valid


class Claimer:
    """Claims for one driver. Its methods run in the thread that writes, inside its transaction."""

    def __init__(self, *, owner: str, slots: Slots, clock: DatabaseClock) -> None:
        self.owner = owner
        self._slots, self._clock = slots, clock
        self.limits = Limits()
        self._authorities = Authorities()
        self._last_tenant = 0
        self._expired_looked_at = 0.0

    def due_in(self) -> float:
        """Return in how many seconds a claim would find something, infinity when nothing is known of.

        A few small queries and no transaction; it also reads what a claim would have to, so that this one is quick.
        """
        if self._slots.room <= 0:
            return float("inf")
        now = self._clock.now()
        wakes_at, expires_at = next_due()
        is_expired = expires_at is not None and expires_at < now
        # A claim looks for expired leases now if there are any, and need not if there are none.
        self._expired_looked_at = float("-inf") if is_expired else time.monotonic()
        if is_expired:
            return 0.0
        self.limits.refresh(older_than=REFRESH_SECONDS / 2)
        return float("inf") if wakes_at is None else max(0.0, (wakes_at - now).total_seconds())

    def claim(self) -> list[Claimed]:
        """Take as many due runs as there are places for."""
        room, now = self._slots.room, self._clock.now()
        if room <= 0:
            return []
        rows = self._due(now, room)
        if self._looks_for_expired():
            self._expired_looked_at = time.monotonic()
            rows = [*_rows(_EXPIRED, now, room), *rows]
        return self._take(self._admitted(self._without_lost_causes(rows, now), now), now)

    def renew(self, run_ids: Iterable[int]) -> None:
        """Prolong our leases; one that another driver has taken stays theirs."""
        mine = Run.unscoped.filter(pk__in=list(run_ids), lease_owner=self.owner, status=RunStatus.RUNNING)
        mine.update(lease_expires_at=self._clock.now() + LEASE)

    def watch(self, known: Mapping[int, Authority | None]) -> Watched:
        """Return which of the runs that we drive have to stop; ``known`` says for whom each of them acts."""
        rows = Run.unscoped.filter(pk__in=known, lease_owner=self.owner, status=RunStatus.RUNNING)
        found = list(rows.values_list("pk", "cancel_requested_at", "signals"))
        asked = {run_id: at for run_id, at, _ in found}
        valid = self._authorities.refresh([authority for authority in known.values() if authority])
        return Watched(
            lost=frozenset(known.keys() - asked.keys()),
            cancelled=frozenset(run_id for run_id, at in asked.items() if at is not None),
            revoked=frozenset(run_id for run_id, who in known.items() if who is not None and who not in valid),
            signals={run_id: signals for run_id, _, signals in found},
        )

    def _looks_for_expired(self) -> bool:
        return self._slots.drains or time.monotonic() - self._expired_looked_at >= EXPIRED_EVERY_SECONDS

    def _due(self, now: datetime, room: int) -> list[dict[str, Any]]:
        """Return due runs: all of them when there is room, else of every tenant in turn."""
        oldest = _rows(_DUE, now, room + 1)
        if len(oldest) <= room:
            return oldest
        tenants = self._tenants_in_turn(now)
        if len(tenants) <= 1:
            return oldest[:room]
        return list(round_robin([_rows(_DUE_OF_TENANT, now, tenant, room) for tenant in tenants]))

    def _tenants_in_turn(self, now: datetime) -> list[int]:
        """Return tenants with something queued, beginning after the one that was served last."""
        found = _tenants_with_work(after=self._last_tenant)
        if len(found) < TENANTS_A_LOOK:
            found += [tenant for tenant in _tenants_with_work(after=-1) if tenant not in found]
        return found

    def _without_lost_causes(self, rows: Sequence[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
        """End what nobody should drive any more; return the rest."""
        asked = [authority for row in rows if (authority := _authority(row))]
        valid = self._authorities.refresh(asked)
        going_on, ended = [], []
        for row in rows:
            authority = _authority(row)
            if row["cancel_requested_at"] is not None:
                ended.append(_end(row, RunStatus.CANCELLED, None, now))
            elif authority is not None and authority not in valid:
                ended.append(_end(row, RunStatus.CANCELLED, revoked(), now))
            elif _crashes(row) >= POISON_AFTER:
                ended.append(_end(row, RunStatus.FAILED, poisoned(_crashes(row)), now))
            else:
                going_on.append(row)
        if ended:
            end_open_steps(ended, now=now, lost=True)
            runs_ended(ended, now=now)
            tracing.undriven_ended(ended, now=now)
        return going_on

    def _admitted(self, rows: Sequence[dict[str, Any]], now: datetime) -> Sequence[dict[str, Any]]:
        """Return the rows for which limits leave room; hold back or end the others."""
        found = self.limits.admit(rows)
        hold(found.held)
        if found.skipped:
            end_undriven(found.skipped, RunStatus.CANCELLED, crowded_out(), now=now)
        for workflow_id in found.replaced:
            _replace(workflow_id, now)
        return found.taken

    def _take(self, rows: Sequence[dict[str, Any]], now: datetime) -> list[Claimed]:
        suspects = [row for row in rows if _crashes(row) >= SUSPECT_AFTER]
        if suspects and not self._slots.suits_a_suspect:
            self._slots.drain()
            return []
        self._slots.stop_draining()
        chosen = [row for row in suspects[:1] or rows if self._slots.take(row["tenant_id"])]
        if not chosen:
            return []
        if suspects:
            self._slots.drive_alone(chosen[0]["id"])
        self._last_tenant = chosen[-1]["tenant_id"]
        claimed = [_claimed(row) for row in chosen]
        try:
            self._mark(chosen, now)
        except BaseException:
            self.undo(claimed)
            raise
        return claimed

    def undo(self, claimed: Iterable[Claimed]) -> None:
        """Free the places of a claim that was not committed."""
        for run in claimed:
            self._slots.give(run.tenant_id, run.run_id)

    def _mark(self, rows: Sequence[dict[str, Any]], now: datetime) -> None:
        moment = moments()
        expires, began = moment(now + LEASE), moment(now)
        with connection.cursor() as cursor:
            cursor.execute(
                f"{_MARK} WHERE id IN ({', '.join(['%s'] * len(rows))})",
                [self.owner, expires, began, *(row["id"] for row in rows)],
            )


def _rows(sql: str, now: datetime, *rest: int) -> list[dict[str, Any]]:
    lock = " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    return read(Run, _COLUMNS, sql + lock, [moments()(now), *rest])


def _claimed(row: Mapping[str, Any]) -> Claimed:
    return Claimed(
        run_id=row["id"],
        tenant_id=row["tenant_id"],
        workflow_id=row["workflow_id"],
        version_id=row["version_id"],
        kind=row["kind"],
        fence=row["fence"] + 1,
        active_ms=row["active_ms"],
        trigger=row["trigger"],
        trigger_ref=row["trigger_ref"],
        seed=row["seed"],
        authority=_authority(row),
        created_at=row["created_at"],
        fresh=row["fence"] == 0,
        signals=row["signals"],
        parent_id=row["parent_id"],
        depth=row["depth"],
        trigger_type=row["trigger_type"],
    )


def _authority(row: Mapping[str, Any]) -> Authority | None:
    """Return for whom the run acts, None when it acts for the tenant itself."""
    return (row["tenant_id"], row["started_by_id"], row["token_id"]) if row["by_person"] else None


def _crashes(row: Mapping[str, Any]) -> int:
    """Return the crashes of a run, with the one that a claim of its expired lease would count."""
    return int(row["crash_count"]) + int(row["status"] == RunStatus.RUNNING)


def _end(row: Mapping[str, Any], status: RunStatus, failure: Failure | None, now: datetime) -> int:
    """End a run that is not driven; return its id. Without a failure, why it was to stop stays as it was told."""
    why = {"failure_kind": failure.kind, "error": {**failure.as_document(), "path": ""}} if failure else {}
    Run.unscoped.filter(pk=row["id"]).update(
        status=status,
        **why,
        finished_at=now,
        started_at=Coalesce(F("started_at"), Value(now)) if status == RunStatus.FAILED else F("started_at"),
        wake_at=None,
        waiting_for=None,
        lease_owner="",
        lease_expires_at=None,
        crash_count=_crashes(row),
        fence=F("fence") + 1,
        revision=F("revision") + 1,
    )
    return int(row["id"])


def _replace(workflow_id: int, now: datetime) -> None:
    """Stop the runs of a workflow that are under way: a newer one takes their place."""
    driven = Run.unscoped.filter(workflow=workflow_id, lease_expires_at__isnull=False, cancel_requested_at__isnull=True)
    failure = replaced()
    told = {"failure_kind": failure.kind, "error": {**failure.as_document(), "path": ""}}
    driven.update(cancel_requested_at=now, revision=F("revision") + 1, **told)
    waiting = Run.unscoped.filter(workflow=workflow_id, status=RunStatus.WAITING).values_list("pk", flat=True)
    end_undriven(waiting, RunStatus.CANCELLED, failure, now=now)


def _tenants_with_work(*, after: int) -> list[int]:
    """Return ids of tenants with a run that waits to be woken, in order: one step in the index for each of them."""
    table = connection.ops.quote_name(Run._meta.db_table)
    one = f"SELECT MIN(tenant_id) FROM {table} WHERE wake_at IS NOT NULL AND tenant_id >"  # noqa: S608
    sql = (
        f"WITH RECURSIVE t(id) AS (SELECT * FROM ({one} %s) AS a UNION ALL "  # noqa: S608
        f"SELECT ({one} t.id) FROM t WHERE t.id IS NOT NULL) SELECT id FROM t WHERE id IS NOT NULL LIMIT %s"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [after, TENANTS_A_LOOK])
        return [row[0] for row in cursor.fetchall()]


@transaction.atomic
def release_dead(*, owners: Iterable[str], now: datetime) -> int:
    """Let the leases of drivers that are known to be gone expire at once; return how many there were."""
    held = Run.unscoped.filter(lease_owner__in=list(owners), status=RunStatus.RUNNING, lease_expires_at__gt=now)
    return held.update(lease_expires_at=now - timedelta(microseconds=1))
