"""What a driver writes about its runs: rows in a transaction, each guarded by the run's fence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import F

from orchestrator import jsongate
from orchestrator.types import JSONValue
from runs.endings import end_open_steps, runs_ended
from runs.engine.ports import LeaseLost
from runs.engine.records import Attempt, Failure
from runs.models import Payload, Run, StepRun
from runs.states import RunStatus
from runs.values import split


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What becomes of the run itself: its end, or a wait.

    ``at`` is now, by the database's clock. A run that comes to a wait is due at once when there are more answers from
    outside than ``signals``. ``is_followed``: something follows from this end, see ``runs.endings``. ``is_resumed``:
    another driver had the run before, and may have left steps open that nobody entered again.
    """

    status: RunStatus
    at: datetime
    signals: int = 0
    is_followed: bool = False
    is_resumed: bool = False
    failure: Failure | None = None
    path: str = ""
    output: JSONValue = None
    wake_at: datetime | None = None
    waiting_for: Mapping[str, JSONValue] | None = None
    finished_at: datetime | None = None
    active_ms: int = 0


@dataclass(kw_only=True, eq=False)
class Write:
    """Changes of one run that are committed together, or not at all. ``done`` is called in the writer's thread."""

    run_id: int
    tenant_id: int
    fence: int
    done: Callable[[BaseException | None], None]
    new: Sequence[Attempt] = ()
    ended: Sequence[Attempt] = ()
    ending: Ending | None = None


def write_all(owner: str, writes: Sequence[Write], *, again: bool = False) -> list[Callable[[], None]]:
    """Write, inside a transaction, what belongs to runs that ``owner`` still has; return what to call after it.

    ``again``: some of it may have been committed before, by a commit whose answer was lost.
    """
    if not writes:
        return []
    ours = _leases(owner, {write.run_id for write in writes})
    kept = [write for write in writes if ours.get(write.run_id) == write.fence]
    _insert(kept, again=again)
    _update_attempts([(write, attempt) for write in kept for attempt in write.ended])
    _end_runs([write for write in kept if write.ending is not None])
    bumped = {write.run_id for write in kept} - {write.run_id for write in kept if write.ending is not None}
    if bumped:
        Run.unscoped.filter(pk__in=bumped).update(revision=F("revision") + 1)
    kept_ids = {id(write) for write in kept}
    return [_outcome(write, lost=id(write) not in kept_ids) for write in writes]


def _outcome(write: Write, *, lost: bool) -> Callable[[], None]:
    error = LeaseLost(f"run {write.run_id} is driven by somebody else") if lost else None
    return lambda: write.done(error)


def _leases(owner: str, run_ids: set[int]) -> dict[int, int]:
    """Return the fences of those runs that ``owner`` has, locked until the end of the transaction."""
    rows = Run.unscoped.filter(pk__in=sorted(run_ids), lease_owner=owner, status=RunStatus.RUNNING)
    if connection.features.has_select_for_no_key_update:
        rows = rows.order_by("pk").select_for_update(no_key=True)
    return dict(rows.values_list("pk", "fence"))


def _insert(writes: Sequence[Write], *, again: bool) -> None:
    payloads: list[Payload] = []
    rows = [_row(write, attempt, payloads) for write in writes for attempt in write.new]
    if payloads:
        Payload.unscoped.bulk_create(payloads, ignore_conflicts=again)
    if rows:
        StepRun.unscoped.bulk_create(rows, ignore_conflicts=again)


def _row(write: Write, attempt: Attempt, payloads: list[Payload]) -> StepRun:
    inputs = split(attempt.inputs, tenant_id=write.tenant_id, run_id=write.run_id)
    output = split(attempt.output, tenant_id=write.tenant_id, run_id=write.run_id)
    payloads += [part.payload for part in (inputs, output) if part.payload is not None]
    return StepRun(
        id=attempt.row_id,
        tenant_id=write.tenant_id,
        run_id=write.run_id,
        path=attempt.path,
        loop=attempt.loop,
        item=attempt.item,
        key=attempt.key,
        name=attempt.name,
        action=attempt.action,
        resolved_as=attempt.resolved_as,
        attempt=attempt.number,
        status=attempt.status.value,
        failure_kind=attempt.failure.kind.value if attempt.failure else "",
        inputs=inputs.inline,
        inputs_ref=inputs.ref,
        output=output.inline,
        output_ref=output.ref,
        error=attempt.failure.as_document() if attempt.failure else None,
        logs=list(attempt.logs) or None,
        idempotency_key=attempt.idempotency_key,
        retry_at=attempt.retry_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )


# Rows with values of their own each: executemany, where the ORM would write one long CASE.
_UPDATE_ATTEMPT: Final = (
    "UPDATE runs_steprun SET status = %s, failure_kind = %s, output = %s, output_ref = %s, error = %s, logs = %s, "
    "retry_at = %s, finished_at = %s WHERE id = %s"
)
# More than a run ever has of signals.
_NEVER: Final = 2**31 - 1
_END_RUN: Final = (
    "UPDATE runs_run SET status = %s, failure_kind = %s, error = %s, output = %s, output_ref = %s, "
    "wake_at = CASE WHEN signals > %s THEN %s ELSE %s END, "
    "waiting_for = %s, finished_at = %s, active_ms = %s, lease_owner = '', lease_expires_at = NULL, "
    "crash_count = CASE WHEN %s THEN 0 ELSE crash_count END, revision = revision + 1 WHERE id = %s AND fence = %s"
)


def _update_attempts(ended: Sequence[tuple[Write, Attempt]]) -> None:
    if not ended:
        return
    payloads: list[Payload] = []
    parameters = []
    for write, attempt in ended:
        output = split(attempt.output, tenant_id=write.tenant_id, run_id=write.run_id)
        if output.payload is not None:
            payloads.append(output.payload)
        parameters.append(
            (
                attempt.status.value,
                attempt.failure.kind.value if attempt.failure else "",
                _json(output.inline),
                output.ref,
                _json(attempt.failure.as_document() if attempt.failure else None),
                _json(list(attempt.logs) or None),
                _moment(attempt.retry_at),
                _moment(attempt.finished_at),
                attempt.row_id,
            )
        )
    if payloads:
        Payload.unscoped.bulk_create(payloads)
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE_ATTEMPT, parameters)


def _end_runs(writes: Sequence[Write]) -> None:
    if not writes:
        return
    payloads: list[Payload] = []
    parameters = []
    for write in writes:
        ending = write.ending
        assert ending is not None
        output = split(ending.output, tenant_id=write.tenant_id, run_id=write.run_id)
        if output.payload is not None:
            payloads.append(output.payload)
        parameters.append(
            (
                ending.status.value,
                ending.failure.kind.value if ending.failure else "",
                _json({**ending.failure.as_document(), "path": ending.path} if ending.failure else None),
                _json(output.inline),
                output.ref,
                ending.signals if ending.status == RunStatus.WAITING else _NEVER,
                _moment(ending.at),
                _moment(ending.wake_at),
                _json(dict(ending.waiting_for) if ending.waiting_for else None),
                _moment(ending.finished_at),
                ending.active_ms,
                # A run that came to a wait did not take its worker down: earlier crashes are forgiven.
                ending.status == RunStatus.WAITING,
                write.run_id,
                write.fence,
            )
        )
    if payloads:
        Payload.unscoped.bulk_create(payloads)
    with connection.cursor() as cursor:
        cursor.executemany(_END_RUN, parameters)
    resumed = [write for write in writes if write.ending is not None and write.ending.is_resumed]
    if resumed:
        end_open_steps(
            [write.run_id for write in resumed],
            now=max(write.ending.at for write in resumed if write.ending),
            lost=True,
        )
    followed = [write for write in writes if write.ending is not None and write.ending.is_followed]
    if followed:
        runs_ended([write.run_id for write in followed], now=max(write.ending.at for write in followed if write.ending))


def _json(value: Any) -> str | None:
    return None if value is None else jsongate.dumps(value)


def _moment(value: datetime | None) -> Any:
    return connection.ops.adapt_datetimefield_value(value)
