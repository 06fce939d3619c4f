"""A run's page: the outcome as its title, the facts, why it failed, and how the workflow fared of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.ids import first_id_at
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role
from orchestrator.words import duration, short_id
from runs import selectors
from runs.models import Run, StepRun
from runs.outline import TRIGGER, StepOutline, key_of_path, outline
from runs.overview import DAY, milliseconds, typical_range
from runs.pages.approval import Refused
from runs.pages.inspector import Inspector, inspector
from runs.pages.timeline import Scene, Timeline, axis_of, by_key, outcome, timeline
from runs.pages.waiting import Waits, waits_of
from runs.pages.words import KIND_WORDS, again_words, failure_words, run_title, trigger_words
from runs.states import RunKind, RunStatus, StepStatus

ATTEMPTS_READ: Final = 1_200
HISTORY: Final = 60


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact about a run; ``moment`` and ``since`` are drawn as times, ``url`` as a link."""

    label: str
    text: str = ""
    moment: datetime | None = None
    since: datetime | None = None
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run stopped, whether trying again helps, what to do, and how many others stopped for the same reason."""

    message: str
    kind: str
    hint: str
    again: str
    others: str
    others_url: str
    fix_url: str
    from_key: str
    from_name: str


@dataclass(frozen=True, kw_only=True)
class HistoryBar:
    x: float
    y: float
    height: float
    css: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class History:
    """The last runs of the same workflow, oldest first; ``published_x`` is where the run's version begins."""

    bars: tuple[HistoryBar, ...]
    label: str
    counts: str
    published_x: float | None
    sentence: str


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Everything of a run's page that may change while it runs, and what stands around it."""

    run: Run
    title: str
    status: str
    live: bool
    facts: tuple[Fact, ...]
    failure: Failure | None
    waits: Waits
    kind: str
    timeline: Timeline
    inspector: Inspector
    selected: str
    url: str
    changes_url: str
    more_attempts: bool
    may_cancel: bool
    may_rerun: bool
    cancelling: bool


def run_page(
    actor: Actor,
    run: Run,
    *,
    step: str = "",
    attempt: int | None = None,
    tab: str = "",
    refused: Refused | None = None,
) -> RunPage:
    """Return a run's page; ``step`` is the key or path that is selected, by default where it stopped or is.

    ``refused`` is an answer to what the run waits for that was not taken.
    """
    now = timezone.now()
    steps = outline(run.version.definition)
    attempts = list(selectors.step_rows(run).defer("inputs", "output", "logs")[: ATTEMPTS_READ + 1])
    found = by_key(attempts[:ATTEMPTS_READ])
    stopped = key_of_path(str((run.error or {}).get("path") or ""))
    url = reverse("run", args=[actor.tenant.slug, run.pk])
    scene = Scene(
        run=run,
        axis=axis_of(run, attempts, now),
        now=now,
        attempts=found,
        reused=_reused(run),
        selected=_selected(step, steps, found, stopped),
        base_url=url,
        failed_key=stopped,
    )
    live = not RunStatus(run.status).is_terminal
    inspected = inspector(scene, steps, attempt=attempt, tab=tab)
    waits = waits_of(actor, run, steps, refused=refused)
    return RunPage(
        run=run,
        title=waits.title or _title(scene, steps),
        status=run.status,
        live=live,
        facts=_facts(actor, scene),
        failure=_failure(actor, run, steps, stopped) if run.status == RunStatus.FAILED else None,
        waits=waits,
        kind=_kind_words(run),
        timeline=timeline(scene, steps),
        inspector=inspected,
        selected=scene.selected,
        url=url,
        changes_url=reverse("run-changes", args=[actor.tenant.slug, run.pk]),
        more_attempts=len(attempts) > ATTEMPTS_READ,
        may_cancel=live and actor.may(Role.OPERATOR),
        may_rerun=not live and actor.may(Role.OPERATOR),
        cancelling=live and run.cancel_requested_at is not None,
    )


def _reused(run: Run) -> dict[str, Any]:
    steps = selectors.seed_of(run).get("steps") if run.seed else None
    return dict(steps) if isinstance(steps, dict) else {}


def _selected(asked: str, steps: Sequence[StepOutline], found: dict[str, list[StepRun]], stopped: str) -> str:
    """Return what is selected: what was asked for, where the run stopped, what is at work, else its last step."""
    keys = [step.key for step in steps]
    key = asked if asked == TRIGGER else key_of_path(asked)
    if key == TRIGGER or key in keys:
        return key
    if stopped in keys:
        return stopped
    at_work = [key for key in keys if outcome(found.get(key, ())) in (StepStatus.RUNNING, StepStatus.WAITING)]
    done = [key for key in keys if key in found]
    return (at_work or done[-1:] or keys[:1] or [TRIGGER])[0]


def _title(scene: Scene, steps: Sequence[StepOutline]) -> str:
    run = scene.run
    names = {step.key: step.name for step in steps}
    at_work = [key for key in names if outcome(scene.attempts.get(key, ())) in (StepStatus.RUNNING, StepStatus.WAITING)]
    not_reached = [key for key in names if not scene.attempts.get(key) and key not in scene.reused]
    keys = {RunStatus.RUNNING: at_work, RunStatus.CANCELLED: not_reached, RunStatus.FAILED: [scene.failed_key]}
    key = next(iter(keys.get(RunStatus(run.status), ())), "")
    return run_title(
        run.status,
        name=names.get(key, ""),
        waiting_for=run.waiting_for,
        took=duration(milliseconds(run.started_at or run.created_at, run.finished_at)),
        failed_whole=key not in names,
    )


def _kind_words(run: Run) -> str:
    return {RunKind.TEST.value: _("Test of the draft"), RunKind.STEP.value: _("Test of one step")}.get(run.kind, "")


def _facts(actor: Actor, scene: Scene) -> tuple[Fact, ...]:
    run = scene.run
    facts = [Fact(label=_("Started"), moment=run.started_at or run.created_at)]
    if run.finished_at:
        facts.append(
            Fact(label=_("Took"), text=duration(milliseconds(run.started_at or run.created_at, run.finished_at)))
        )
    elif run.started_at:
        facts.append(Fact(label=_("Running for"), since=run.started_at))
        usual = typical_range(actor.tenant, run.workflow_id)
        facts += [Fact(label=_("Usually takes"), text=usual)] if usual else []
    facts.append(
        Fact(label=_("Trigger"), text=trigger_words(run.trigger_type), url=f"{scene.base_url}?step=%40trigger")
    )
    version = _("v%(number)d") % {"number": run.version.number} if run.version.number else _("draft")
    facts.append(Fact(label=_("Version"), text=version))
    if run.rerun_of_id:
        again = reverse("run", args=[actor.tenant.slug, run.rerun_of_id])
        facts.append(Fact(label=_("Again from"), text=short_id(run.rerun_of_id), url=again))
    facts.append(Fact(label=_("Run"), text=str(run.pk)))
    return tuple(facts)


def _failure(actor: Actor, run: Run, steps: Sequence[StepOutline], stopped: str) -> Failure:
    error = run.error or {}
    step = next((step for step in steps if step.key == stopped), None)
    count, url = _others(actor, run)
    said = ngettext(
        "%(count)d other run stopped here for the same reason in the last day.",
        "%(count)d other runs stopped here for the same reason in the last day.",
        count,
    )
    return Failure(
        message=failure_words(error),
        kind=_(KIND_WORDS.get(run.failure_kind or str(error.get("kind", "")), "")),
        hint=str(error.get("hint") or ""),
        again=again_words(error),
        others=said % {"count": count} if count else "",
        others_url=url,
        fix_url=reverse("workflow-step", args=[actor.tenant.slug, run.workflow_id, step.key])
        if step and actor.may(Role.EDITOR)
        else "",
        from_key=step.key if step and step.depth == 0 and run.kind != RunKind.STEP else "",
        from_name=step.name if step else "",
    )


def _others(actor: Actor, run: Run) -> tuple[int, str]:
    """Return how many other runs failed with the very same error in the last day, and where they are listed."""
    rows = Run.objects.for_tenant(actor.tenant).filter(
        workflow=run.workflow_id, status=RunStatus.FAILED, pk__gte=first_id_at(timezone.now() - DAY), error=run.error
    )
    query = f"?workflow={run.workflow_id}&status=failed"
    return rows.exclude(pk=run.pk).count(), reverse("run-list", args=[actor.tenant.slug]) + query


def history(actor: Actor, run: Run) -> History | None:
    """Return the last live runs of the same workflow as bars, and a sentence when failures began with a version."""
    rows = Run.objects.for_tenant(actor.tenant).filter(workflow=run.workflow_id, kind=RunKind.LIVE, pk__lte=run.pk)
    fields = ("pk", "status", "started_at", "finished_at", "version__number")
    runs = list(rows.order_by("-pk").values(*fields)[:HISTORY])[::-1]
    if len(runs) < 2:
        return None
    times = [milliseconds(row["started_at"], row["finished_at"]) for row in runs]
    most = max([*times, 1.0])
    bars = tuple(_bar(index, row, times[index] / most, run.pk) for index, row in enumerate(runs, HISTORY - len(runs)))
    good, bad = (sum(1 for row in runs if row["status"] == status) for status in ("succeeded", "failed"))
    first = next((i for i, row in enumerate(runs) if row["version__number"] == run.version.number), None)
    began = first if first else None
    counts = _("%(good)d succeeded, %(bad)d failed") % {"good": good, "bad": bad}
    return History(
        bars=bars,
        label=_("The last %(count)d runs of this workflow: %(counts)s") % {"count": len(runs), "counts": counts},
        counts=counts,
        published_x=(HISTORY - len(runs) + began) * 10 - 0.5 if began else None,
        sentence=_since_version(runs, run, began),
    )


def _bar(index: int, row: dict[str, Any], share: float, current: int) -> HistoryBar:
    height = round(10 + 22 * share, 1)
    css = {"succeeded": "a", "failed": "b2"}.get(row["status"], "n2")
    return HistoryBar(x=index * 10 + 1, y=33 - height, height=height, css=css, current=row["pk"] == current)


def _since_version(runs: Sequence[dict[str, Any]], run: Run, began: int | None) -> str:
    """Return a sentence when every failure shown came with this run's version and none before it."""
    failed = [index for index, row in enumerate(runs) if row["status"] == RunStatus.FAILED]
    if not failed or began is None or min(failed) < began:
        return ""
    return _("Every failure came after v%(number)d was published.") % {"number": run.version.number}
