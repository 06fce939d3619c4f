"""What a driver writes about its runs: rows in a transaction, each guarded by the run's fence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import compress
from typing import Any, Final

from django.db import connection

from orchestrator import jsongate
from orchestrator.ids import new_id
from orchestrator.large import Large, Stored
from orchestrator.types import JSONValue
from runs.endings import end_open_steps, runs_ended
from runs.engine.ports import LeaseLost
from runs.engine.records import Attempt, Failure
from runs.engine.values import Packed, encoded
from runs.rows import UPDATE_ENDED, UPDATE_PROGRESS, Moment, PayloadRow, StepEnd, StepRow, execute_many, insert, moments
from runs.states import RunStatus
from runs.values import PayloadSource


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
    rows: Rows | None = None


def write_all(owner: str, writes: Sequence[Write], *, again: bool = False) -> list[Callable[[], None]]:
    """Write, inside a transaction, what belongs to runs that ``owner`` still has; return what to call after it.

    ``again``: some of it may have been committed before, by a commit whose answer was lost.
    """
    if not writes:
        return []
    prepared = [prepare(write) for write in writes]
    ours = _leases(owner, {write.run_id for write in writes})
    is_ours = [ours.get(write.run_id) == write.fence for write in writes]
    kept = list(compress(prepared, is_ours))
    insert([row for rows in kept for row in rows.payloads], again=again)
    insert([row for rows in kept for row in rows.steps], again=again)
    execute_many(UPDATE_ENDED, [row for rows in kept for row in rows.ends])
    execute_many(UPDATE_PROGRESS, [row for rows in kept for row in rows.progress])
    execute_many(_END_RUN, [row for rows in kept for row in rows.run_ends])
    _after(list(compress(writes, is_ours)))
    return [_outcome(write, lost=not mine) for write, mine in zip(writes, is_ours, strict=True)]


def _after(writes: Sequence[Write]) -> None:
    """Bump the revision of runs that go on, and do what follows from the ends of others."""
    ended = {write.run_id for write in writes if write.ending is not None}
    bumped = {write.run_id for write in writes} - ended
    if bumped:
        _bump(bumped)
    resumed = {write.run_id: write.ending.at for write in writes if write.ending and write.ending.is_resumed}
    if resumed:
        end_open_steps(resumed, now=max(resumed.values()), lost=True)
    followed = {write.run_id: write.ending.at for write in writes if write.ending and write.ending.is_followed}
    if followed:
        runs_ended(followed, now=max(followed.values()))


def _outcome(write: Write, *, lost: bool) -> Callable[[], None]:
    error = LeaseLost(f"run {write.run_id} is driven by somebody else") if lost else None
    if error is None and write.rows is not None and write.rows.larges:
        return partial(_let_go, write, write.rows.larges)
    return lambda: write.done(error)


def _let_go(write: Write, larges: Sequence[tuple[Stored, int]]) -> None:
    """Call what waits for a write that is committed, and forget the large values that were written."""
    for stored, ref in larges:
        stored.let_go(PayloadSource(tenant_id=write.tenant_id, run_id=write.run_id, ref=ref))
    write.rows = None
    write.done(None)


def _leases(owner: str, run_ids: set[int]) -> dict[int, int]:
    """Return the fences of those runs that ``owner`` has, locked until the end of the transaction."""
    lock = " ORDER BY id FOR NO KEY UPDATE" if connection.features.has_select_for_no_key_update else ""
    sql = f"SELECT id, fence FROM runs_run WHERE {_places(run_ids)} AND lease_owner = %s AND status = 'running'{lock}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [*sorted(run_ids), owner])
        return dict(cursor.fetchall())


def _bump(run_ids: set[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE runs_run SET revision = revision + 1 WHERE {_places(run_ids)}", list(run_ids))  # noqa: S608


def _places(run_ids: set[int]) -> str:
    return f"id IN ({', '.join(['%s'] * len(run_ids))})"


@dataclass(kw_only=True)
class Rows:
    """What is written for attempts and endings, prepared before the transaction: it holds locks."""

    payloads: list[PayloadRow] = field(default_factory=list)
    # Of the large values among them: once they are written, they need not be in memory.
    larges: list[tuple[Stored, int]] = field(default_factory=list)
    steps: list[StepRow] = field(default_factory=list)
    ends: list[StepEnd] = field(default_factory=list)
    run_ends: list[tuple[Any, ...]] = field(default_factory=list)
    progress: list[tuple[str, int]] = field(default_factory=list)


def prepare(write: Write) -> Rows:
    """Return a write's rows, made once: a repeated write is the same one. Raises BadJSON for a value too large."""
    if write.rows is None:
        rows, moment = Rows(), moments()
        rows.steps += [_step_row(write, attempt, rows, moment) for attempt in write.new]
        rows.ends += [_step_end(write, attempt, rows, moment) for attempt in write.ended]
        rows.progress += [
            (_json(attempt.progress), attempt.row_id or 0)
            for attempt in (*write.new, *write.ended)
            if attempt.progress is not None
        ]
        if write.ending is not None:
            rows.run_ends.append(_run_end(write, write.ending, rows, moment))
        write.rows = rows
    return write.rows


def _step_row(write: Write, attempt: Attempt, rows: Rows, moment: Callable[[datetime | None], Moment]) -> StepRow:
    inputs, inputs_ref = _value(write, attempt.inputs, attempt.packed_inputs, rows)
    output, output_ref = _value(write, attempt.output, attempt.packed_output, rows)
    failure = attempt.failure
    return StepRow(
        id=attempt.row_id or 0,
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
        failure_kind=failure.kind.value if failure else "",
        inputs=inputs,
        inputs_ref=inputs_ref,
        output=output,
        output_ref=output_ref,
        error=_json(failure.as_document()) if failure else None,
        logs=_json(list(attempt.logs)) if attempt.logs else None,
        usage=_json(dict(attempt.usage)) if attempt.usage else None,
        idempotency_key=attempt.idempotency_key,
        retry_at=moment(attempt.retry_at),
        started_at=moment(attempt.started_at),
        finished_at=moment(attempt.finished_at),
    )


def _step_end(write: Write, attempt: Attempt, rows: Rows, moment: Callable[[datetime | None], Moment]) -> StepEnd:
    output, output_ref = _value(write, attempt.output, attempt.packed_output, rows)
    failure = attempt.failure
    return StepEnd(
        status=attempt.status.value,
        failure_kind=failure.kind.value if failure else "",
        output=output,
        output_ref=output_ref,
        error=_json(failure.as_document()) if failure else None,
        logs=_json(list(attempt.logs)) if attempt.logs else None,
        usage=_json(dict(attempt.usage)) if attempt.usage else None,
        retry_at=moment(attempt.retry_at),
        finished_at=moment(attempt.finished_at),
        id=attempt.row_id or 0,
    )


# More than a run ever has of signals.
_NEVER: Final = 2**31 - 1
_END_RUN: Final = (
    "UPDATE runs_run SET status = %s, failure_kind = CASE WHEN %s THEN failure_kind ELSE %s END, "
    "error = CASE WHEN %s THEN error ELSE %s END, output = %s, output_ref = %s, "
    "wake_at = CASE WHEN signals > %s THEN %s ELSE %s END, "
    "waiting_for = %s, finished_at = %s, active_ms = %s, lease_owner = '', lease_expires_at = NULL, "
    "crash_count = CASE WHEN %s THEN 0 ELSE crash_count END, revision = revision + 1 WHERE id = %s AND fence = %s"
)


def _run_end(write: Write, ending: Ending, rows: Rows, moment: Callable[[datetime | None], Moment]) -> tuple[Any, ...]:
    output, output_ref = _value(write, ending.output, None, rows)
    # Whoever asked the run to stop may have said why: that holds unless it came to another end first.
    keeps = ending.failure is None and ending.status not in (RunStatus.SUCCEEDED, RunStatus.FAILED)
    return (
        ending.status.value,
        keeps,
        ending.failure.kind.value if ending.failure else "",
        keeps,
        _json({**ending.failure.as_document(), "path": ending.path}) if ending.failure else None,
        output,
        output_ref,
        ending.signals if ending.status == RunStatus.WAITING else _NEVER,
        moment(ending.at),
        moment(ending.wake_at),
        _json(dict(ending.waiting_for)) if ending.waiting_for else None,
        moment(ending.finished_at),
        ending.active_ms,
        # A run that came to a wait did not take its worker down: earlier crashes are forgiven.
        ending.status == RunStatus.WAITING,
        write.run_id,
        write.fence,
    )


def _value(write: Write, value: JSONValue, packed: Packed | None, rows: Rows) -> tuple[str | None, int | None]:
    """Return a value's text, or the id of the Payload row that it is put into."""
    if value is None:
        return None, None
    if isinstance(value, Large):
        return None, _large(write, value, rows)
    if packed is None or packed.value is not value:
        text, packed = encoded(value)
        if packed is None:
            return text, None
    row = PayloadRow(id=new_id(), tenant_id=write.tenant_id, run_id=write.run_id, size=packed.size, data=packed.data)
    rows.payloads.append(row)
    return None, row.id


def _large(write: Write, large: Large, rows: Rows) -> int:
    """Return the id of the Payload row of a large value, which is there already for one that was read from it."""
    stored = large.stored
    if isinstance(stored.source, PayloadSource):
        # Another run's value is packed anew when a step gives it: its row goes with that run.
        assert stored.source.run_id == write.run_id
        return stored.source.ref
    assert stored.data is not None
    row = PayloadRow(id=new_id(), tenant_id=write.tenant_id, run_id=write.run_id, size=stored.size, data=stored.data)
    rows.payloads.append(row)
    rows.larges.append((stored, row.id))
    return row.id


def _json(value: Any) -> str:
    return jsongate.dumps(value)
