"""Which runs of a tenant ask a person something, and whom. Reads only.

A run that waits says for what in ``waiting_for``. What is asked stands with the attempt that asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from pydantic import ValidationError

from integrations.builtin.flow import ApproveInputs
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.workflows.models import Workflow
from runs.answers import refusal
from runs.asked import Asked, Place, Standing, asked_of
from runs.links import link_url
from runs.models import Answer, Run, StepRun
from runs.states import RunStatus

# How many waiting runs are looked at for those that ask this person: the ones that have waited longest.
LOOKED_AT: Final = 100
_LARGE: Final = ("trigger", "output", "seed", "version__definition", "version__bindings")


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something that a person is asked. ``link`` is the approval's own address, for who may not answer on the run."""

    asked: Asked
    link: str

    @property
    def message(self) -> str:
        """The first line of what an approval asks."""
        approval = self.asked.approval
        return approval.message.strip().split("\n", 1)[0][:200] if approval else ""


def questions_for(actor: Actor, most: int) -> list[Question]:
    """Return what waits for this very person, the oldest first and at most ``most``; four queries."""
    runs = _asking(actor.tenant)
    rows = _rows(actor.tenant, runs)
    found = (_question(actor, run, rows.get((run.pk, run.waiting_for["path"]))) for run in runs)
    return [question for question in found if question is not None][:most]


def _asking(tenant: Tenant) -> list[Run]:
    """Return runs that wait for a person, those that have waited longest.

    From the workflows, so that they are found by the index of waiting runs: with the tenant on the run, a database
    reads all of its runs in their order instead. It costs with how many wait, not with how many there are.
    """
    waiting = Workflow.objects.for_tenant(tenant).filter(runs__status=RunStatus.WAITING)
    told = waiting.annotate(waits=Cast("runs__waiting_for", TextField()))
    asks = told.filter(Q(waits__contains='"approval"') | Q(waits__contains='"outcome_unknown"'))
    ids = list(asks.order_by("runs__pk").values_list("runs__pk", flat=True)[:LOOKED_AT])
    if not ids:
        return []
    rows = Run.objects.for_tenant(tenant).filter(pk__in=ids, status=RunStatus.WAITING, cancel_requested_at__isnull=True)
    return list(rows.select_related("workflow", "version", "tenant").defer(*_LARGE).order_by("pk"))


def _rows(tenant: Tenant, runs: Sequence[Run]) -> Mapping[tuple[int, str], StepRun]:
    """Return the last attempt of each step that asks, without those that are answered already."""
    if not runs:
        return {}
    ids, paths = [run.pk for run in runs], {run.waiting_for["path"] for run in runs}
    asking = StepRun.objects.for_tenant(tenant).filter(run__in=ids, path__in=paths).defer("output", "logs")
    answers = Answer.objects.for_tenant(tenant).filter(run__in=ids, path__in=paths)
    answered = set(answers.values_list("run_id", "path", "attempt"))
    last = {(row.run_id, row.path): row for row in asking.order_by("attempt")}
    return {key: row for key, row in last.items() if (*key, row.attempt) not in answered}


def _question(actor: Actor, run: Run, row: StepRun | None) -> Question | None:
    if row is None:
        return None
    asked, may_open = _asked(run, row), actor.may(MINIMUM_ROLE["run.resolve"])
    if asked.kind == "outcome_unknown":
        return Question(asked=asked, link="") if may_open else None
    approval = asked.approval
    if approval is None or refusal(asked, actor) or not (may_open or approval.approvers):
        return None
    if approval.timeout is not None and row.started_at + timedelta(seconds=approval.timeout) <= timezone.now():
        return None
    return Question(asked=asked, link="" if may_open else link_url(row.action, run.pk, row.path))


def _asked(run: Run, row: StepRun) -> Asked:
    if row.inputs_ref is not None:
        return asked_of(run, row.path)
    place = Place(name=row.name or row.key, action=row.action, loops=(), asks=False)
    kind = run.waiting_for["kind"]
    inputs = _inputs(row) if kind == "approval" else None
    return Asked(run=run, path=row.path, place=place, kind=kind, standing=Standing.OPEN, row=row, inputs=inputs)


def _inputs(row: StepRun) -> ApproveInputs | None:
    try:
        return ApproveInputs.model_validate(row.inputs)
    except ValidationError:
        return None
