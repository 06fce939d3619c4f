"""A run's page: the outcome as its title, the facts, why it failed, and how the workflow fared of late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator import jsongate
from orchestrator.flow.names import TriggerType
from orchestrator.ids import first_id_at
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role
from orchestrator.words import duration, short_id
from orchestrator.workflows.models import Workflow
from runs.models import Run
from runs.outline import TRIGGER
from runs.overview import DAY, milliseconds, typical_range
from runs.pages.address import Address
from runs.pages.again import Again, Typed, again
from runs.pages.approval import Refused
from runs.pages.inspector import Inspector, inspector
from runs.pages.pace import Pace, pace_of
from runs.pages.patch import Seen, as_text, seen_of
from runs.pages.reading import Reading, read
from runs.pages.timeline import Timeline, scene_of, timeline
from runs.pages.waiting import Waits, waits_of
from runs.pages.words import KIND_WORDS, again_words, failure_words, place_words, run_title, trigger_words
from runs.paths import items_around, key_of_path
from runs.states import RunKind, RunStatus, StepStatus
from runs.usage import run_usage, usage_words

_OPEN: Final = (StepStatus.RUNNING, StepStatus.WAITING)
# The window's icon, and what its title begins with, for who has it in the background; ● is on its way.
ICONS: Final[Mapping[str, str]] = {
    RunStatus.SUCCEEDED: "icon-ok.svg", RunStatus.FAILED: "icon-bad.svg", RunStatus.WAITING: "icon-wait.svg",
    RunStatus.CANCELLED: "icon.svg",
}  # fmt: skip
SIGNS: Final[Mapping[str, str]] = {RunStatus.SUCCEEDED: "✓", RunStatus.FAILED: "✕", RunStatus.CANCELLED: "–"}


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
    from_path: str


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Everything of a run's page that may change while it runs, and what stands around it.

    ``sign`` is its status in the window's title, ``icon`` in the window's icon. ``poll_url`` asks for what changed,
    every ``poll_ms``; ``shown`` is ``seen`` as text, which goes with whatever the page asks for.
    """

    run: Run
    title: str
    sign: str
    icon: str
    status: str
    live: bool
    facts: tuple[Fact, ...]
    failure: Failure | None
    limited: str
    waits: Waits
    kind: str
    timeline: Timeline
    inspector: Inspector
    again: Again | None
    edit_input_url: str
    url: str
    poll_url: str
    poll_ms: int
    seen: Seen
    shown: str
    more_attempts: bool
    may_cancel: bool
    may_rerun: bool
    cancelling: bool


def run_page(
    actor: Actor, run: Run, query: Mapping[str, str], *, refused: Refused | None = None, typed: Typed | None = None
) -> RunPage:
    """Return a run's page, as its address asks for it; without a selected step, where it stopped or is.

    ``refused`` is an answer to what the run waits for that was not taken, ``typed`` an input to run it again with.
    """
    url = reverse("run", args=[actor.tenant.slug, run.pk])
    address = Address.read(url, query)
    reading = read(run, address)
    live = not RunStatus(run.status).is_terminal
    drawn = timeline(scene_of(reading, timezone.now(), roomy=live))
    inspected = inspector(reading)
    waits = waits_of(actor, run, tuple(reading.steps.values()), refused=refused)
    title, facts, cancelling = (
        waits.title or _title(reading),
        _facts(actor, reading),
        run.cancel_requested_at is not None,
    )
    pace = _pace(reading)
    seen = seen_of((title, run.status, facts, cancelling, _limited(run)), drawn)
    return RunPage(
        run=run,
        title=title,
        sign=SIGNS.get(run.status, "●"),
        icon=icon_of(run),
        status=run.status,
        live=live,
        facts=facts,
        failure=_failure(actor, reading) if run.status == RunStatus.FAILED else None,
        limited=_limited(run),
        waits=waits,
        kind=_kind_words(run),
        timeline=drawn,
        inspector=inspected,
        again=again(actor, reading, typed),
        edit_input_url=reading.address.selecting(TRIGGER).url,
        url=url,
        poll_url=_poll_url(actor, reading, inspected.mark, pace),
        poll_ms=pace.ms,
        seen=seen,
        shown=as_text(seen, len(drawn.rows)),
        more_attempts=reading.more,
        may_cancel=live and actor.may(Role.OPERATOR),
        may_rerun=not live and actor.may(Role.OPERATOR),
        cancelling=live and cancelling,
    )


def icon_of(run: Run) -> str:
    """Return the static file that is the window's icon."""
    return ICONS.get(run.status, "icon-live.svg")


def _poll_url(actor: Actor, reading: Reading, mark: str, pace: Pace) -> str:
    address = reading.address
    # What was chosen for the person is theirs from now on, but for the items of a loop: those are followed.
    kept = replace(
        address, base=reverse("run-changes", args=[actor.tenant.slug, reading.run.pk]), step=reading.selected
    )
    asked = {"after": reading.run.revision, "mark": mark, "icon": icon_of(reading.run), **pace.asked}
    return f"{kept.url}&{urlencode(asked)}"


def _pace(reading: Reading) -> Pace:
    return pace_of(reading.run.status, max([state.begun for state in reading.loops.values()], default=0))


def _title(reading: Reading) -> str:
    run = reading.run
    if _is_held(run):
        return _("Waiting for its turn")
    failed_at = bool(reading.stopped) and key_of_path(reading.stopped) in reading.steps
    name = ""
    if run.status == RunStatus.RUNNING:
        name = _at_work(reading)
    elif run.status == RunStatus.CANCELLED:
        name = _not_reached(reading)
    elif failed_at:
        name = place_words(reading.stopped, reading.names)
    return run_title(
        run.status,
        name=name,
        waiting_for=run.waiting_for,
        took=duration(milliseconds(run.started_at or run.created_at, run.finished_at)),
        failed_whole=not failed_at,
    )


def _at_work(reading: Reading) -> str:
    """Return what a run does: the loop it is in and how far that is, else the step that began last."""
    open_ = [path for path, rows in reading.attempts.items() if rows[-1].item is None and rows[-1].status in _OPEN]
    for path in open_:
        state = reading.loops.get(path)
        if state is not None and state.total:
            done = state.done + state.failed + state.given
            said = {"name": reading.steps[path].name, "done": f"{done:,}", "all": f"{state.total:,}"}
            return _("%(name)s, %(done)s of %(all)s") % said
    return reading.steps[key_of_path(open_[-1])].name if open_ else ""


def _not_reached(reading: Reading) -> str:
    """Return the step before which a run was cancelled, where that is one of the outermost."""
    known = {*reading.attempts, *reading.given}
    return next((step.name for step in reading.roots if step.key not in known), "")


def _kind_words(run: Run) -> str:
    return {RunKind.TEST.value: _("Test of the draft"), RunKind.STEP.value: _("Test of one step")}.get(run.kind, "")


def _facts(actor: Actor, reading: Reading) -> tuple[Fact, ...]:
    run = reading.run
    facts = [Fact(label=_("Started"), moment=run.started_at or run.created_at)]
    if run.finished_at:
        facts.append(
            Fact(label=_("Took"), text=duration(milliseconds(run.started_at or run.created_at, run.finished_at)))
        )
    elif run.started_at:
        facts.append(Fact(label=_("Running for"), since=run.started_at))
        usual = typical_range(actor.tenant, run.workflow_id)
        facts += [Fact(label=_("Usually takes"), text=usual)] if usual else []
    url = reading.address.selecting(TRIGGER).url
    facts.append(Fact(label=_("Trigger"), text=trigger_words(run.trigger_type), url=url))
    facts.append(_version(run))
    facts += _attempts(reading)
    usage = run_usage(run)
    facts += [Fact(label=_("Models"), text=usage_words(usage))] if usage and usage["answers"] else []
    facts += _relatives(actor, run)
    facts.append(Fact(label=_("Run"), text=str(run.pk)))
    return tuple(facts)


def _version(run: Run) -> Fact:
    number = run.version.number
    if not number:
        return Fact(label=_("Version"), text=_("draft"))
    url = reverse("workflow-version", args=[run.tenant.slug, run.workflow_id, number])
    return Fact(label=_("Version"), text=_("v%(number)d") % {"number": number}, url=url)


def _attempts(reading: Reading) -> list[Fact]:
    """Return how often the step was tried where the run stopped, if that was more than once."""
    step = reading.steps.get(key_of_path(reading.stopped)) if reading.stopped else None
    count = len(reading.attempts.get(reading.stopped, ()))
    if step is None or count < 2:
        return []
    return [Fact(label=_("Attempts"), text=_("%(count)d on step %(number)d") % {"count": count, "number": step.number})]


def _relatives(actor: Actor, run: Run) -> list[Fact]:
    """Return the run that called this one, the one it repeats, and the latest that repeats it."""
    own = Run.objects.for_tenant(actor.tenant)
    facts = []
    if run.parent_id:
        caller = own.filter(pk=run.parent_id).values_list("workflow__name", flat=True).first()
        url = f"{reverse('run', args=[actor.tenant.slug, run.parent_id])}?{urlencode({'step': run.parent_path})}"
        facts.append(Fact(label=_("Called by"), text=f"{caller} {short_id(run.parent_id)}", url=url))
    if run.rerun_of_id:
        again = reverse("run", args=[actor.tenant.slug, run.rerun_of_id])
        facts.append(Fact(label=_("Again from"), text=short_id(run.rerun_of_id), url=again))
    facts += _of_errors(actor, run)
    later = own.filter(rerun_of=run).order_by("-pk").values_list("pk", flat=True).first() if run.finished_at else None
    if later:
        url = reverse("run", args=[actor.tenant.slug, later])
        facts.append(Fact(label=_("Run again as"), text=short_id(later), url=url))
    return facts


def _of_errors(actor: Actor, run: Run) -> list[Fact]:
    """Return the run that a failure of this one started, or the one whose failure started this one."""
    own = Run.objects.for_tenant(actor.tenant)
    found, label = None, ""
    if run.trigger_type == TriggerType.ERROR:
        told = (run.trigger or {}).get("body") if run.trigger_ref is None else None
        failed = str(((told or {}).get("run") or {}).get("id") or "")
        found = own.filter(pk=int(failed)).values("pk", "workflow__name").first() if failed.isdecimal() else None
        label = _("Because of")
    elif run.status == RunStatus.FAILED:
        slug = ((run.version.definition or {}).get("settings") or {}).get("error_workflow")
        hears = Q(slug=slug) if slug else Q()
        alarms = Workflow.objects.for_tenant(actor.tenant).filter(hears | Q(triggers__type=TriggerType.ERROR.value))
        told = own.filter(workflow__in=alarms, dedupe_key=f"error:{run.pk}").order_by("pk")
        found, label = told.values("pk", "workflow__name").first(), _("Error workflow")
    if found is None:
        return []
    url = reverse("run", args=[actor.tenant.slug, found["pk"]])
    return [Fact(label=label, text=f"{found['workflow__name']} {short_id(found['pk'])}", url=url)]


def _failure(actor: Actor, reading: Reading) -> Failure:
    run = reading.run
    error = run.error or {}
    step = reading.steps.get(key_of_path(reading.stopped)) if reading.stopped else None
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
        fix_url=_fix_url(run, step.key, error) if step and actor.may(Role.EDITOR) else "",
        from_path=reading.stopped if step and run.kind != RunKind.STEP else "",
    )


def _fix_url(run: Run, key: str, error: Mapping[str, Any]) -> str:
    """Return where in the builder a step is mended, with the run's data: at the field that failed, if it is named."""
    url = f"{reverse('workflow-step', args=[run.tenant.slug, run.workflow_id, key])}?run={run.pk}"
    field = str(error.get("field") or "")
    return f"{url}#field-{field}" if field.isidentifier() else url


def _is_held(run: Run) -> bool:
    """Whether a limit keeps a run back until another one ends."""
    return run.status == RunStatus.QUEUED and run.wake_at is None


def _limited(run: Run) -> str:
    """Return why a run has not begun, or was cancelled though nobody stopped it: what happened, and what to do."""
    if _is_held(run):
        return _("As many runs are under way as the workflow or its team may have. It starts when one of them ends.")
    error = run.error or {}
    if run.status != RunStatus.CANCELLED or not error:
        return ""
    return " ".join(part for part in (failure_words(error), str(error.get("hint") or "")) if part)


def _others(actor: Actor, run: Run) -> tuple[int, str]:
    """Return how many other runs failed with the same error at this step in the last day, and where they are listed."""
    rows = Run.objects.for_tenant(actor.tenant).filter(
        workflow=run.workflow_id, status=RunStatus.FAILED, pk__gte=first_id_at(timezone.now() - DAY)
    )
    error = run.error or {}
    around = items_around(str(error.get("path") or ""))
    if around:
        # In another item it is the same step: the error's text may differ between the outermost loop and the step.
        start, end = jsongate.dumps({**error, "path": f"{around[0][0]}["})[:-2], f'].{key_of_path(error["path"])}"}}'
        rows = rows.alias(text=Cast("error", TextField())).filter(text__startswith=start, text__endswith=end)
    else:
        rows = rows.filter(error=error)
    query = f"?workflow={run.workflow_id}&status=failed"
    return rows.exclude(pk=run.pk).count(), reverse("run-list", args=[actor.tenant.slug]) + query
