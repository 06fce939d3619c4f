"""Reads of runs: lists, documents in the API's shape, and what earlier runs left for later ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from orchestrator.errors import NotFound
from orchestrator.large import Stored
from orchestrator.tenants.models import Tenant
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Workflow
from runs.attempts import attempts_after
from runs.models import Payload, Run, StepRun
from runs.states import RunKind, StepStatus
from runs.usage import run_usage
from runs.values import SEED_LEVELS, PayloadSource, lean, opened, unfolded

STEPS_A_PAGE: Final = 200
_PASSED: Final = [StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.LOST]
_LIST_DEFERS: Final = ("trigger", "output", "seed", "version__definition", "version__bindings")


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """What a list of runs is narrowed to by the API; ``q`` is an id or part of a workflow's name."""

    workflow: Workflow | None = None
    status: str | None = None
    since: datetime | None = None
    q: str | None = None


def run_list(tenant: Tenant, wanted: RunFilter) -> QuerySet[Run]:
    """Return the tenant's runs, newest first, without their large columns.

    Tests of single steps are left out: they are part of building, not of what the workflow did.
    """
    rows = Run.objects.for_tenant(tenant).exclude(kind=RunKind.STEP)
    if wanted.workflow is not None:
        rows = rows.filter(workflow=wanted.workflow)
    if wanted.status is not None:
        rows = rows.filter(status=wanted.status)
    if wanted.since is not None:
        rows = rows.filter(created_at__gte=wanted.since)
    if wanted.q:
        rows = rows.filter(_matching(tenant, wanted.q.strip()))
    return rows.select_related("version", "workflow").defer(*_LIST_DEFERS).order_by("-id")


def _matching(tenant: Tenant, q: str) -> Q:
    named = Workflow.objects.for_tenant(tenant).filter(Q(name__icontains=q) | Q(slug__icontains=q))
    matches = Q(workflow__in=named.values("pk"))
    if q.isascii() and q.isdigit() and len(q) < 19:
        matches |= Q(pk=int(q))
    return matches


def run_summary(run: Run) -> dict[str, Any]:
    """Return a run as it stands in a list."""
    return {
        "id": str(run.pk),
        "workflow": str(run.workflow_id),
        "version": run.version.number,
        "status": run.status,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "revision": run.revision,
        "error": run.error,
    }


def run_document(run: Run) -> dict[str, Any]:
    """Return a run with its first 200 attempts in the shape that the API answers; at most six queries."""
    steps, more = _steps_after(run, cursor=0, path=None)
    sizes = _sizes(run, [run.trigger_ref, run.output_ref, *_refs(steps)])
    trigger = _shown(run, run.trigger, run.trigger_ref, sizes)
    return {
        **run_summary(run),
        "kind": run.kind,
        "trigger": trigger,
        "payload": trigger if run.trigger_ref is not None else _body(run.trigger),
        "output": _shown(run, run.output, run.output_ref, sizes),
        "waiting_for": run.waiting_for,
        "usage": run_usage(run),
        "rerun_of": str(run.rerun_of_id) if run.rerun_of_id else None,
        "steps": [step_document(run, step, sizes) for step in steps],
        "steps_next": _steps_url(run, steps[-1].pk, None) if more else None,
    }


def step_page(run: Run, *, cursor: str | None = None, path: str | None = None) -> dict[str, Any]:
    """Return a page of attempts after ``cursor``, oldest first. Raises NotFound for a cursor that is none of ours.

    ``path`` is that of a step, with which comes what its lanes hold, or of an iteration, like ``each[3]``.
    """
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
        raise NotFound(_("There is no such page: start again without a cursor."))
    steps, more = _steps_after(run, cursor=int(cursor or 0), path=path)
    sizes = _sizes(run, _refs(steps))
    return {
        "results": [step_document(run, step, sizes) for step in steps],
        "next": _steps_url(run, steps[-1].pk, path) if more else None,
        "previous": None,
    }


def step_rows(run: Run, *, path: str | None = None) -> QuerySet[StepRun]:
    """Return a run's attempts in start order."""
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run)
    return (rows.filter(path=path) if path else rows).order_by("id")


def step_document(run: Run, step: StepRun, sizes: Mapping[int, int]) -> dict[str, Any]:
    """Return one attempt; ``sizes`` are those of the payloads it refers to."""
    return {
        "path": step.path,
        "key": step.key,
        "action": step.action,
        "resolved_as": step.resolved_as,
        "attempt": step.attempt,
        "status": step.status,
        "inputs": _shown(run, step.inputs, step.inputs_ref, sizes),
        "output": _shown(run, step.output, step.output_ref, sizes),
        "error": step.error,
        "logs": step.logs or [],
        "progress": step.progress,
        "usage": step.usage,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "duration_ms": duration_ms(step.started_at, step.finished_at),
    }


def duration_ms(start: datetime | None, end: datetime | None) -> int | None:
    """Return the whole milliseconds between two moments, None while one is missing."""
    if start is None or end is None:
        return None
    return max(0, round((end - start).total_seconds() * 1000))


def payload_value(run: Run, ref: int) -> JSONValue:
    """Return a large value of a run, whole. Raises NotFound when the run has no such value."""
    return opened(_payload(run, ref))


def _payload(run: Run, ref: int) -> Payload:
    payload = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk=ref).first()
    if payload is None:
        raise NotFound(_("This run has no such value."))
    return payload


def payload_pieces(run: Run, ref: int) -> tuple[int, Iterator[bytes]]:
    """Return the bytes of JSON that a large value has, and these in pieces. Raises NotFound as ``payload_value``."""
    size = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk=ref).values_list("size", flat=True).first()
    if size is None:
        raise NotFound(_("This run has no such value."))
    return size, Stored(source=PayloadSource(tenant_id=run.tenant_id, run_id=run.pk, ref=ref)).pieces()


def trigger_of(run: Run) -> dict[str, JSONValue]:
    """Return what the run saw as ``trigger``; what is large in it is Large."""
    value = run.trigger if run.trigger_ref is None else unfolded(lean(_payload(run, run.trigger_ref)), 1)
    return value if isinstance(value, dict) else {}


def seed_of(run: Run) -> dict[str, Any]:
    """Return where the run starts from; outputs in it that are large are Large."""
    seed = run.seed or {}
    if "ref" not in seed:
        return dict(seed)
    value = unfolded(lean(_payload(run, seed["ref"])), SEED_LEVELS)
    return value if isinstance(value, dict) else {}


def step_outcomes(run: Run, *, loop: str = "", item: int | None = None) -> dict[str, dict[str, JSONValue]]:
    """Return how each path of a run ended, as ``{path: {"output", "status", "error"}}``: what a later run takes over.

    Without ``loop`` those outside of loops, else those of one iteration. What the run itself took over is in it.
    """
    seed = seed_of(run).get("steps")
    given = seed if isinstance(seed, dict) else {}
    found: dict[str, dict[str, JSONValue]] = {
        path: outcome for path, outcome in given.items() if outcome.get("status") != StepStatus.RUNNING
    }
    rows = step_rows(run).filter(status__in=_PASSED, retry_at__isnull=True, item=item)
    for row in rows.filter(loop=loop) if loop else rows:
        found[row.path] = {"output": _whole(row), "status": row.status, "error": row.error}
    return found


def iteration_outputs(run: Run, *, loop: str, key: str, also_failed: bool) -> Iterator[tuple[int, JSONValue]]:
    """Yield item and output of each iteration of a loop whose last step, ``key``, has ended well.

    ``also_failed``: a failure of that step lets the iteration go on, so it gives null.
    """
    ended = [StepStatus.SUCCEEDED, StepStatus.SKIPPED, *([StepStatus.FAILED] if also_failed else [])]
    rows = step_rows(run).filter(loop=loop, item__isnull=False, key=key, status__in=ended, retry_at__isnull=True)
    for row in rows.only("tenant_id", "run_id", "item", "output", "output_ref").iterator(chunk_size=1_000):
        yield row.item or 0, _whole(row)


def decision_of(run: Run, path: str) -> JSONValue:
    """Return what a step that holds lanes decided, also one that did not end well; None when it did not."""
    row = step_rows(run, path=path).only("tenant_id", "run_id", "output", "output_ref").last()
    if row is not None:
        return _whole(row)
    given = (seed_of(run).get("steps") or {}).get(path)
    return given.get("output") if isinstance(given, dict) else None


def _whole(row: StepRun) -> JSONValue:
    if row.output_ref is None:
        return row.output  # type: ignore[no-any-return]
    payload = Payload.objects.for_tenant(row.tenant_id).filter(run=row.run_id, pk=row.output_ref).first()
    return None if payload is None else lean(payload)


def _steps_after(run: Run, *, cursor: int, path: str | None) -> tuple[Sequence[StepRun], bool]:
    rows = attempts_after(run, cursor=cursor, path=path, limit=STEPS_A_PAGE + 1)
    return rows[:STEPS_A_PAGE], len(rows) > STEPS_A_PAGE


def _steps_url(run: Run, cursor: int, path: str | None) -> str:
    query = {"cursor": str(cursor), **({"path": path} if path else {})}
    return f"/api/v1/runs/{run.pk}/steps/?{urlencode(query)}"


def _refs(steps: Iterable[StepRun]) -> list[int | None]:
    return [ref for step in steps for ref in (step.inputs_ref, step.output_ref)]


def _sizes(run: Run, refs: Iterable[int | None]) -> dict[int, int]:
    wanted = [ref for ref in refs if ref is not None]
    if not wanted:
        return {}
    rows = Payload.objects.for_tenant(run.tenant_id).filter(run=run, pk__in=wanted)
    return dict(rows.values_list("pk", "size"))


def _shown(run: Run, value: JSONValue, ref: int | None, sizes: Mapping[int, int]) -> JSONValue:
    if ref is None:
        return value
    return {"truncated": True, "size": sizes.get(ref, 0), "url": f"/api/v1/runs/{run.pk}/values/{ref}/"}


def _body(trigger: Any) -> JSONValue:
    return trigger.get("body") if isinstance(trigger, dict) else None
