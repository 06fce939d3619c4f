"""What a trigger got of late, and which data the draft is built with: the panel listens as long as it is open."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.builder.polling_form import polled
from orchestrator.builder.subscribed import subscribed
from orchestrator.errors import ServiceError
from orchestrator.flow.names import KEY_PATTERN, TriggerType
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role
from orchestrator.tenants.shell import page
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Step, Trigger, Workflow
from runs import samples
from runs.models import Run, TestData
from runs.pages.words import scalars
from runs.states import RunKind

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

RUNS_OFFERED: Final = 30
_FIELDS_SHOWN: Final = 4
_ID_DIGITS: Final = 18  # what a database takes


@dataclass(frozen=True, kw_only=True)
class Line:
    """A request that came: a sample, or the run that it started. ``value`` chooses it: ``run-5`` or ``sample-5``."""

    at: datetime
    words: str
    status: str
    url: str
    value: str
    is_chosen: bool


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The last requests; ``mark`` changes whenever one of them does, or who else is there."""

    lines: tuple[Line, ...]
    mark: str
    url: str
    choose_url: str
    may_choose: bool


@dataclass(frozen=True, kw_only=True)
class Using:
    """The data that the draft is built with: ``words`` where it is not the latest."""

    words: str = ""
    url: str = ""
    choose_url: str


def listening(board: Board, trigger: Trigger) -> Listening:
    """Return the last requests of a trigger, newest first."""
    found = samples.received(trigger)
    lines = tuple(_line(board, each, board.chosen) for each in found)
    polls = [polled(trigger).mark] if trigger.type == TriggerType.POLLING.value else []
    if trigger.type == TriggerType.EVENT.value:
        polls = [subscribed(board, trigger).mark]
    told = [*polls, *(f"{line.value}{line.status}" for line in lines[:3]), _value_of(board.chosen), _others_mark(board)]
    mark = "-".join(told)
    url = board.url("workflow-trigger", trigger.key)
    return Listening(
        lines=lines,
        mark=mark,
        url=f"{url}?{urlencode({'mark': mark})}",
        choose_url=board.url("workflow-data-choose"),
        may_choose=board.actor.may(Role.EDITOR),
    )


def _others_mark(board: Board) -> str:
    """Return what changes with who else edits the draft and where, empty while nobody does."""
    text = repr(sorted(board.others.items()))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8] if board.others else ""


def _line(board: Board, found: samples.Received, chosen: TestData | None) -> Line:
    value = f"run-{found.run_id}" if found.run_id else f"sample-{found.sample_id}"
    return Line(
        at=found.at,
        words=said(found.body),
        status=found.status,
        url=reverse("run", args=[board.tenant.slug, found.run_id]) if found.run_id else "",
        value=value,
        is_chosen=value == _value_of(chosen),
    )


def said(body: JSONValue) -> str:
    """Return a body in few words."""
    return " · ".join(islice(scalars(body), _FIELDS_SHOWN)) or (_("no body") if body is None else "{…}")


def _value_of(chosen: TestData | None) -> str:
    if chosen is None:
        return ""
    return f"run-{chosen.run_id}" if chosen.run_id else f"sample-{chosen.sample_id}"


def using(board: Board, key: str) -> Using:
    """Return which data the builder shows beside the step ``key``."""
    chosen = board.chosen
    choose_url = f"{board.url('workflow-data')}?step={key}"
    if chosen is None:
        return Using(choose_url=choose_url)
    if chosen.run is None:
        return Using(words=_("a kept request"), choose_url=choose_url)
    url = reverse("run", args=[board.tenant.slug, chosen.run_id])
    number = chosen.run.version.number
    words = _("a run of version %(number)s") % {"number": number} if number else _("an earlier test")
    return Using(words=words, url=url, choose_url=choose_url)


def as_curl(address: str, method: str, sample: str) -> str:
    """Return the command that sends a sample to an address."""
    parts = ["curl", "-X", method, address]
    if sample.strip():
        parts += ["-H", "Content-Type: application/json", "-d", _compact(sample)]
    return shlex.join(parts)


def _compact(sample: str) -> str:
    try:
        return json.dumps(json.loads(sample), ensure_ascii=False)
    except ValueError:
        return sample


@require_safe
@tenant_page()
def data_page(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the workflow's last runs, one of which the draft can be built with."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    chosen = samples.data_chosen(workflow)
    rows = Run.objects.for_tenant(actor.tenant).filter(workflow=workflow).exclude(kind=RunKind.STEP)
    runs = list(rows.select_related("version").defer("version__definition", "version__bindings")[:RUNS_OFFERED])
    context = {
        "workflow": workflow,
        "lines": list(_offered(actor, runs, chosen)),
        "chosen": chosen,
        "step": _key(request.GET.get("step", "")),
    }
    return page(request, actor, "builder/data_runs.html", context, nav="workflow-list", narrow=True)


def _offered(actor: Actor, runs: Sequence[Run], chosen: TestData | None) -> Iterator[Line]:
    for run in runs:
        body = run.trigger.get("body") if isinstance(run.trigger, dict) else None
        number = run.version.number
        version = _("version %(number)s") % {"number": number} if number else _("draft")
        yield Line(
            at=run.created_at,
            words=f"{version} · {said(body)}",
            status=str(run.status),
            url=reverse("run", args=[actor.tenant.slug, run.pk]),
            value=f"run-{run.pk}",
            is_chosen=chosen is not None and chosen.run_id == run.pk,
        )


@require_POST
@tenant_page(Role.EDITOR)
def data_choose(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Build the draft with the data of a run or a sample, ``use=run-5``; with an empty ``use`` with the latest."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    kind, _dash, number = request.POST.get("use", "").partition("-")
    is_id = number.isascii() and number.isdigit() and len(number) <= _ID_DIGITS
    if kind and not is_id:
        messages.error(request, _("Nothing was chosen: this is neither a run nor a kept request."))
        return _back(request, actor, workflow)
    run = get_for_tenant_or_404(Run, actor.tenant, pk=int(number)) if kind == "run" else None
    try:
        sample = samples.sample_of(workflow=workflow, pk=int(number)) if kind and run is None else None
        samples.data_choose(actor=actor, workflow=workflow, run=run, sample=sample)
    except ServiceError as error:
        messages.error(request, error.message)
    return _back(request, actor, workflow)


def _back(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    """Lead to the step or trigger that was looked at, if it is there."""
    parts = (actor.tenant.slug, workflow.pk)
    step, trigger = (_key(request.POST.get(name, "")) for name in ("step", "trigger"))
    if Step.objects.for_tenant(actor.tenant).filter(workflow=workflow, key=step).exists():
        return redirect("workflow-step", *parts, step)
    if Trigger.objects.for_tenant(actor.tenant).filter(workflow=workflow, key=trigger, in_draft=True).exists():
        return redirect("workflow-trigger", *parts, trigger)
    return redirect("workflow", *parts)


def _key(text: str) -> str:
    """Return a step's or trigger's key, empty for what can be none."""
    return text if re.fullmatch(KEY_PATTERN, text) else ""
