"""The lines of a list of runs: one sentence of cause, one square for each step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Case, Count, F, Max, Q, QuerySet, When
from django.db.models.functions import Length
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.fields import JSONTextField
from orchestrator.tenants.models import Tenant
from orchestrator.words import clock, span_words
from orchestrator.workflows.models import WorkflowVersion
from runs.models import Run, StepRun
from runs.outline import StepOutline, outside_loops, trees_of, walk
from runs.overview import milliseconds
from runs.pages.summary import summaries
from runs.pages.words import (
    failure_words,
    ordinal,
    place_words,
    trigger_words,
    waiting_so_far,
    waiting_words,
)
from runs.paths import key_of_path
from runs.states import RunKind, RunStatus, StepStatus

_SQUARES: Final = 12
_SMALL_TRIGGER: Final = 4_000  # characters: larger ones are not read for a line of a list
_MOST_KEYS: Final = 10_000  # what a database takes at once; fifty workflows of the most steps have more
_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)


@dataclass(frozen=True, kw_only=True)
class Squares:
    """A square for each step: ``o`` good, ``f`` failed, ``l`` at work, ``k`` skipped, ``s`` not reached."""

    css: tuple[str, ...]
    more: int
    label: str


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One line of a list of runs; ``data`` are texts below each other."""

    id: int
    url: str
    workflow: str
    status: str
    sentence: str
    data: tuple[str, ...]
    trigger: str
    kind: str
    squares: Squares
    took_ms: float | None
    running_since: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class StepTally:
    """What became of one step of one run, over all its attempts."""

    failed: int
    succeeded: int
    skipped: int
    open: int
    attempts: int

    @property
    def css(self) -> str:
        if self.open:
            return "l"
        if self.failed:
            return "f"
        return "o" if self.succeeded else "k"


def with_trigger_head(rows: QuerySet[Run]) -> QuerySet[Run]:
    """Annotate ``small_trigger``: what the run was started with, unless it is large."""
    return rows.annotate(trigger_length=Length("trigger")).annotate(
        small_trigger=Case(
            When(trigger_length__lt=_SMALL_TRIGGER, then=F("trigger")), default=None, output_field=JSONTextField()
        )
    )


def run_rows(tenant: Tenant, runs: Sequence[Any]) -> list[RunRow]:
    """Return the lines for these runs; two queries however many there are.

    One more when one of them waits, one when a workflow's settings name what its steps gave to be shown, and one when
    they name something in a long trigger.
    """
    if not runs:
        return []
    trees = _trees(tenant, {run.version_id for run in runs})
    once = {pk: tuple(outside_loops(roots)) for pk, roots in trees.items()}
    tallies = _tallies(tenant, [run.pk for run in runs], {step.key for steps in once.values() for step in steps})
    waits = _waits(tenant, [run for run in runs if run.status == RunStatus.WAITING])
    data = summaries(tenant, runs)
    rows = []
    for run in runs:
        steps, names = once.get(run.version_id, ()), _names(trees.get(run.version_id, ()))
        rows.append(_row(tenant, run, steps, names, tallies[run.pk], waits.get(run.pk), data[run.pk]))
    return rows


def _waits(tenant: Tenant, runs: Sequence[Any]) -> dict[int, StepRun]:
    """Return the last attempt of what each of these runs waits for, with ``small_inputs``, what it was asked with."""
    paths = {run.pk: str((run.waiting_for or {}).get("path", "")) for run in runs}
    if not paths:
        return {}
    small = Case(When(length__lt=_SMALL_TRIGGER, then=F("inputs")), default=None, output_field=JSONTextField())
    rows = StepRun.objects.for_tenant(tenant).filter(run__in=list(paths), path__in=sorted(set(paths.values())))
    rows = rows.alias(length=Length("inputs")).annotate(small_inputs=small).order_by("attempt")
    found = rows.only("tenant_id", "run_id", "path", "action", "started_at")
    return {row.run_id: row for row in found if paths[row.run_id] == row.path}


def _trees(tenant: Tenant, version_ids: Iterable[int]) -> dict[int, tuple[StepOutline, ...]]:
    return trees_of(WorkflowVersion.objects.for_tenant(tenant).filter(pk__in=version_ids))


def _names(roots: Iterable[StepOutline]) -> dict[str, str]:
    return {step.key: step.name for step in walk(roots)}


def _tallies(tenant: Tenant, run_ids: Sequence[int], keys: Iterable[str]) -> dict[int, dict[str, StepTally]]:
    """Count the attempts of what runs once, by run and step. A loop is one step, however many rows its items have."""
    found: dict[int, dict[str, StepTally]] = defaultdict(dict)
    rows = (
        StepRun.objects.for_tenant(tenant)
        # By path, which has an index; outside of loops it is the key.
        .filter(run__in=run_ids, path__in=sorted(keys)[:_MOST_KEYS])
        .order_by()
        .values("run_id", "key")
        .annotate(
            # An attempt that was tried again is not the step's outcome.
            failed=Count("pk", filter=Q(status__in=[StepStatus.FAILED, StepStatus.LOST], retry_at__isnull=True)),
            succeeded=Count("pk", filter=Q(status=StepStatus.SUCCEEDED)),
            skipped=Count("pk", filter=Q(status=StepStatus.SKIPPED)),
            open=Count("pk", filter=Q(status__in=_OPEN)),
            attempts=Max("attempt"),
        )
    )
    for row in rows:
        found[row["run_id"]][row["key"]] = StepTally(
            **{name: row[name] for name in ("failed", "succeeded", "skipped", "open", "attempts")}
        )
    return found


def _row(
    tenant: Tenant,
    run: Any,
    steps: Sequence[StepOutline],
    names: Mapping[str, str],
    tallies: Mapping[str, StepTally],
    wait: StepRun | None,
    data: tuple[str, ...],
) -> RunRow:
    return RunRow(
        id=run.pk,
        url=reverse("run", args=[tenant.slug, run.pk]),
        workflow=run.workflow.name,
        status=run.status,
        sentence=_said(run, steps, names, tallies, wait),
        data=data,
        trigger=trigger_words(run.trigger_type),
        kind=_("Test of the draft") if run.kind == RunKind.TEST else "",
        squares=_squares(steps, tallies),
        took_ms=_took_ms(run),
        running_since=run.started_at if run.status == RunStatus.RUNNING else None,
        created_at=run.created_at,
    )


def _took_ms(run: Any) -> float | None:
    """Return how long a run took, or how long one that waits has been under way; the page counts what runs."""
    if run.status == RunStatus.WAITING:
        return milliseconds(run.started_at, timezone.now())
    return milliseconds(run.started_at or run.created_at, run.finished_at) if run.finished_at else None


def _said(
    run: Any,
    steps: Sequence[StepOutline],
    names: Mapping[str, str],
    tallies: Mapping[str, StepTally],
    wait: StepRun | None,
) -> str:
    if run.status == RunStatus.FAILED:
        return _failed(run, names)
    return _waiting(run, wait) if wait is not None else _sentence(run, steps, tallies)


def _waiting(run: Any, wait: StepRun) -> str:
    """Return for what, for whom and since when a run waits: ``For priya to answer, 42 min so far``."""
    kind = str((run.waiting_for or {}).get("kind", ""))
    if kind == "time" and run.wake_at:
        return _("Goes on at %(time)s") % {"time": clock(run.wake_at)}
    inputs = getattr(wait, "small_inputs", None)
    names = inputs.get("approvers") if isinstance(inputs, dict) else None
    return waiting_so_far(kind, names, span_words(max(timedelta(), timezone.now() - wait.started_at)))


def _sentence(run: Any, steps: Sequence[StepOutline], tallies: Mapping[str, StepTally]) -> str:
    """Return what happened in one sentence."""
    sentences = {
        RunStatus.QUEUED: _queued,
        RunStatus.RUNNING: _running,
        RunStatus.WAITING: lambda run, steps, tallies: waiting_words(run.waiting_for),
        RunStatus.SUCCEEDED: _succeeded,
        RunStatus.CANCELLED: _cancelled,
    }
    return sentences[RunStatus(run.status)](run, steps, tallies)


def _queued(run: Any, steps: Sequence[StepOutline], tallies: Mapping[str, StepTally]) -> str:
    if run.wake_at and run.wake_at > timezone.now():
        return _("Starts at %(time)s") % {"time": f"{timezone.localtime(run.wake_at):%H:%M:%S}"}
    return _("Waits for a worker") if run.wake_at else _("Waits for its turn: as many runs are under way as may be")


def _running(run: Any, steps: Sequence[StepOutline], tallies: Mapping[str, StepTally]) -> str:
    done = sum(1 for tally in tallies.values() if not tally.open)
    at = next((step.name for step in reversed(steps) if step.key in tallies and tallies[step.key].open), "")
    if run.cancel_requested_at:
        return _("Is being stopped")
    progress = _("%(done)d of %(all)d steps done") % {"done": done, "all": len(steps)}
    return _("At “%(name)s”, %(progress)s") % {"name": at, "progress": progress} if at else progress


def _succeeded(run: Any, steps: Sequence[StepOutline], tallies: Mapping[str, StepTally]) -> str:
    tried = [(step, tallies[step.key]) for step in steps if step.key in tallies and tallies[step.key].attempts > 1]
    if tried:
        step, tally = tried[0]
        return _("“%(name)s” worked on the %(ordinal)s try") % {"name": step.name, "ordinal": ordinal(tally.attempts)}
    done = sum(1 for tally in tallies.values() if tally.succeeded)
    skipped = sum(1 for tally in tallies.values() if tally.skipped and not tally.succeeded)
    said = ngettext("%(count)d step done", "%(count)d steps done", done) % {"count": done}
    return said + (_(", %(count)d skipped") % {"count": skipped} if skipped else "")


def _failed(run: Any, names: Mapping[str, str]) -> str:
    message = failure_words(run.error)
    path = str((run.error or {}).get("path") or "")
    if key_of_path(path) not in names:
        return message
    return _("Stopped at %(place)s: %(message)s") % {"place": place_words(path, names), "message": message}


def _cancelled(run: Any, steps: Sequence[StepOutline], tallies: Mapping[str, StepTally]) -> str:
    if run.error:
        return failure_words(run.error)
    done = sum(1 for tally in tallies.values() if tally.succeeded)
    return ngettext("Cancelled after %(count)d step", "Cancelled after %(count)d steps", done) % {"count": done}


def _squares(steps: Sequence[StepOutline], tallies: Mapping[str, StepTally]) -> Squares:
    css = tuple(tallies[step.key].css if step.key in tallies else "s" for step in steps)
    done = sum(1 for mark in css if mark == "o")
    return Squares(
        css=css[:_SQUARES],
        more=max(0, len(css) - _SQUARES),
        label=_("%(done)d of %(all)d steps done") % {"done": done, "all": len(css)},
    )
