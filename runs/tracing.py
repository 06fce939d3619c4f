"""Traces of runs: a span for each run that has ended, and below it one for each attempt of a step.

1. Off unless the operator names a collector; nothing of OpenTelemetry is imported then.
2. What is recorded is told only once it is committed, so a driver that lost its lease tells nothing.
3. Ids are made from those of runs (``traceparents``): whoever goes on with a run goes on with its trace.
4. A trace of somebody else that a run was started in is linked, not joined: its ids are the sender's choice, and two
   tenants must not meet in one trace. So is the run that called it.
5. No inputs, outputs or payloads: what a span says of an attempt is its place, its action and its redacted error.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.db import transaction

from integrations.registry import registry
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.names import TriggerType
from orchestrator.flow.tools import AGENT, own_keys
from runs import traceparents
from runs.engine.frame import LOOPS
from runs.engine.memo import Memo
from runs.engine.records import Attempt, Failure, RunOrder
from runs.models import Run, StepRun
from runs.states import RunStatus, StepStatus
from runs.traceparents import Place

if TYPE_CHECKING:
    from runs.spans import Spans

log = logging.getLogger(__name__)

# Of an error's message in a span.
MOST_MESSAGE: Final = 2_000
_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)
_BAD: Final = frozenset({StepStatus.FAILED, StepStatus.LOST})


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span that has ended. ``error`` says why it failed, redacted; ``ok`` that it succeeded.

    ``kind`` is ``run``, ``call`` (of something outside) or ``inside``; ``parent`` is a span of the same trace.
    """

    place: Place
    name: str
    kind: str
    begun: datetime
    ended: datetime
    parent: int | None = None
    ok: bool = False
    error: str | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)
    links: Sequence[Place] = ()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the spans of a run say of it; ``trigger`` is what its trigger gave, ``parent_id`` the run that called it."""

    run_id: int
    tenant_id: int
    workflow_id: int
    kind: str
    trigger_type: str
    created_at: datetime
    parent_id: int | None = None
    tenant: str = ""
    workflow: str = ""
    version: int | None = None
    trigger: Any = field(default=None, repr=False)

    @property
    def origin(self) -> Place | None:
        """Where in another trace it was started: the step that called it, or what its sender named."""
        if self.parent_id is None:
            return traceparents.of_trigger(self.trigger)
        is_called = self.trigger_type == TriggerType.WORKFLOW and isinstance(self.trigger, Mapping)
        path = self.trigger.get("key") if is_called else None
        return traceparents.place(self.parent_id, *((path, 1) if isinstance(path, str) else ()))


class _Kept:
    """What takes the spans of this process; made when it is first asked for, after the fork."""

    lock = threading.Lock()
    pid = 0
    spans: Spans | None = None


def is_on() -> bool:
    """Whether the operator named a collector."""
    return bool(settings.ENV.telemetry)


def here() -> Spans | None:
    """Return what takes the spans of this process, None where none are to be sent."""
    if not is_on():
        return None
    with _Kept.lock:
        if _Kept.pid != os.getpid():
            _Kept.pid, _Kept.spans = os.getpid(), _opened(settings.ENV.telemetry)
        return _Kept.spans


def _opened(environment: Mapping[str, str]) -> Spans | None:
    # The SDK reads the environment alone; these may be of the file.
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    try:
        return load()(environment=environment)
    except Exception:
        # Runs matter more than their traces.
        log.exception("Traces cannot be sent: one of the variables OTEL_… is not what the SDK takes")
        return None


def load() -> type[Spans]:
    """Import the SDK. A worker does so before it forks, so that it is in memory once."""
    from runs.spans import Spans

    return Spans


def close() -> None:
    """Send what waits, and let go of the collector."""
    with _Kept.lock:
        spans, _Kept.spans, _Kept.pid = _Kept.spans, None, 0
    if spans is not None:
        spans.close()


class RunTrace:
    """The trace of one run, as its driver tells it; ``engine.ports.Trace``. It lives in the driver's loop."""

    def __init__(self, spans: Spans, facts: Facts) -> None:
        self.facts = facts
        self._spans = spans
        self._taken = spans.takes(traceparents.trace_id(facts.run_id))
        self._above: Mapping[str, tuple[str, bool]] = {}
        self._common: dict[str, str | int] = {
            "orchestrator.run.id": str(facts.run_id),
            "orchestrator.tenant.id": str(facts.tenant_id),
        }
        # Failed attempts that may be recorded once more, with no next one.
        self._told: set[int] = set()

    def know(self, order: RunOrder, *, tenant: str) -> None:
        """Learn what the run is of. A step that is run alone is below no other."""
        number = order.workflow.get("version")
        self.facts = replace(
            self.facts,
            tenant=tenant,
            workflow=order.definition.slug,
            version=number if isinstance(number, int) else None,
            trigger=order.trigger,
        )
        if order.only is None:
            self.follow(order.definition)

    def follow(self, definition: WorkflowDefinition) -> None:
        """Put the attempts of steps below those that hold them."""
        self._above = steps_above(definition)

    def parent(self, path: str, number: int) -> str:
        return traceparents.written(traceparents.place(self.facts.run_id, path, number), sampled=self._taken)

    def written(self, attempts: Iterable[Attempt]) -> None:
        """Tell of those attempts that have ended; they are committed."""
        if not self._taken:
            return
        for attempt in attempts:
            if attempt.finished_at is None or attempt.status in _OPEN or attempt.row_id in self._told:
                continue
            if attempt.retry_at is not None and attempt.row_id is not None:
                self._told.add(attempt.row_id)
            self._attempt(attempt, attempt.finished_at)

    def ended(self, status: RunStatus, failure: Failure | None, *, path: str, at: datetime) -> None:
        """Tell of the run, which has ended; that is committed."""
        if not self._taken:
            return
        facts = self.facts
        optional = {
            "orchestrator.tenant.slug": facts.tenant,
            "orchestrator.workflow.slug": facts.workflow,
            "orchestrator.workflow.version": facts.version,
            "orchestrator.failed_step": path,
            "error.type": failure.kind.value if failure else "",
        }
        self._spans.write(
            Span(
                place=traceparents.place(facts.run_id),
                name=f"run {facts.workflow}".strip(),
                kind="run",
                begun=facts.created_at,
                ended=at,
                ok=status is RunStatus.SUCCEEDED,
                error=_said(failure) if status is RunStatus.FAILED else None,
                attributes={
                    **self._common,
                    "orchestrator.workflow.id": str(facts.workflow_id),
                    "orchestrator.run.status": status.value,
                    "orchestrator.run.kind": facts.kind,
                    "orchestrator.trigger.type": facts.trigger_type,
                    **{name: value for name, value in optional.items() if value},
                },
                links=[origin] if (origin := facts.origin) else [],
            )
        )

    def _attempt(self, attempt: Attempt, ended: datetime) -> None:
        run_id, failure = self.facts.run_id, attempt.failure
        action = registry.get(attempt.action)
        attributes: dict[str, str | int] = {
            **self._common,
            "orchestrator.step.path": attempt.path,
            "orchestrator.step.key": attempt.key,
            "orchestrator.step.status": attempt.status.value,
            "orchestrator.action": attempt.action,
            "orchestrator.attempt": attempt.number,
        }
        if action is not None:
            attributes["orchestrator.provider"] = action.provider.key
        if failure is not None:
            attributes["error.type"] = failure.kind.value
        self._spans.write(
            Span(
                place=traceparents.place(run_id, attempt.path, attempt.number),
                parent=self._parent(attempt),
                name=attempt.key,
                kind="inside" if action is not None and action.pure else "call",
                begun=attempt.started_at,
                ended=ended,
                ok=attempt.status is StepStatus.SUCCEEDED,
                error=_said(failure) if attempt.status in _BAD else None,
                attributes=attributes,
            )
        )

    def _parent(self, attempt: Attempt) -> int:
        """Return the span of the step that holds this one, which has one attempt alone; else that of the run."""
        run_id = self.facts.run_id
        above, is_loop = self._above.get(attempt.key, ("", False))
        if not above:
            return traceparents.span_id(run_id)
        path = attempt.loop if is_loop else f"{attempt.path[: -len(attempt.key)]}{above}"
        return traceparents.span_id(run_id, path, 1)


def _said(failure: Failure | None) -> str:
    # Half a surrogate pair would have the whole batch dropped.
    return failure.message[:MOST_MESSAGE].encode("utf-8", "replace").decode() if failure else ""


def _steps_above(definition: WorkflowDefinition) -> dict[str, tuple[str, bool]]:
    agents = [step.key for _, step in definition.walk() if step.action == AGENT]
    own = {row: (key, True) for key in agents for row in own_keys(key)}
    return own | {
        inner.key: (step.key, step.action in LOOPS)
        for _, step in definition.walk()
        for lane in step.lanes.values()
        for inner in lane
    }


# For each step in a lane: the key of the step that holds it, and whether that is a loop.
steps_above: Final = Memo[WorkflowDefinition, Mapping[str, tuple[str, bool]]](_steps_above)


def undriven_ended(run_ids: Sequence[int], *, now: datetime) -> None:
    """Tell, once it is committed, of runs that ended without a driver, and of what was open in them; ended at ``now``.

    Call it in the transaction that ends them.
    """
    if is_on() and run_ids:
        transaction.on_commit(partial(_tell, list(run_ids), now), robust=True)


_OF_RUN: Final = (
    "pk", "tenant_id", "workflow_id", "kind", "trigger_type", "created_at", "tenant__slug", "workflow__slug",
    "version__number", "version__definition", "trigger", "parent_id", "status", "error", "finished_at",
)  # fmt: skip


def _tell(run_ids: Sequence[int], now: datetime) -> None:
    spans = here()
    if spans is None:
        return
    for row in Run.unscoped.filter(pk__in=run_ids, finished_at=now).values(*_OF_RUN):
        trace = RunTrace(spans, _facts(row))
        trace.follow(WorkflowDefinition.model_validate(row["version__definition"]))
        steps = StepRun.objects.for_tenant(row["tenant_id"]).filter(run=row["pk"], finished_at=now)
        trace.written(_attempt(step) for step in steps.defer("inputs", "output", "logs").iterator(chunk_size=500))
        error = row["error"]
        failure = Failure.from_document(error) if error else None
        trace.ended(RunStatus(row["status"]), failure, path=str((error or {}).get("path", "")), at=row["finished_at"])


def _facts(row: Mapping[str, Any]) -> Facts:
    return Facts(
        run_id=row["pk"],
        tenant_id=row["tenant_id"],
        workflow_id=row["workflow_id"],
        kind=row["kind"],
        trigger_type=row["trigger_type"],
        created_at=row["created_at"],
        tenant=row["tenant__slug"],
        workflow=row["workflow__slug"],
        version=row["version__number"],
        parent_id=row["parent_id"],
        trigger=row["trigger"],
    )


def _attempt(row: StepRun) -> Attempt:
    return Attempt(
        path=row.path,
        loop=row.loop,
        item=row.item,
        key=row.key,
        action=row.action,
        number=row.attempt,
        status=StepStatus(row.status),
        started_at=row.started_at,
        finished_at=row.finished_at,
        failure=Failure.from_document(row.error) if row.error else None,
        row_id=row.pk,
    )
