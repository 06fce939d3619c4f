"""Many runs at once: each on its own, so that one that cannot be done stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Limited, ServiceError
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import require_operation
from runs import services
from runs.models import Run
from runs.selectors import RunFilter, run_list
from runs.states import RUN_TERMINAL
from runs.sweeper import delete_runs

# Each is a handful of statements: so many are done within a second or so.
MOST_AT_ONCE: Final = 100
MOST_COUNTED: Final = 10_000
_ENDED: Final = [status.value for status in RUN_TERMINAL]


class BulkAction(StrEnum):
    CANCEL = "cancel"
    RERUN = "rerun"
    DELETE = "delete"


# What each needs, so that it is refused as a whole before anything is looked for.
_OPERATIONS: Final = {
    BulkAction.CANCEL: "run.cancel",
    BulkAction.RERUN: "run.rerun",
    BulkAction.DELETE: "run.delete",
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of many: the runs that came of it, and which were refused why; ``limited`` stopped it halfway."""

    done: tuple[Run, ...]
    refused: tuple[tuple[Run, str], ...]
    limited: Limited | None = None

    @property
    def tried(self) -> int:
        return len(self.done) + len(self.refused)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far a bulk change came: runs with ids up to ``after`` are done with, those beyond ``upto`` came later."""

    after: int
    upto: int

    def __str__(self) -> str:
        return f"{self.after}-{self.upto}"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch of a bulk change. ``left`` are the runs still to do, counted up to MOST_COUNTED; ``next`` goes on."""

    outcome: Outcome
    left: int
    next: Reach | None


def runs_rerun(*, actor: Actor, runs: Iterable[Run]) -> Outcome:
    """Start the same again as new runs, each with its own input and version; those under way are refused."""
    return _each(runs, lambda run: services.run_rerun(actor=actor, run=run))


def runs_cancel(*, actor: Actor, runs: Iterable[Run]) -> Outcome:
    """Stop runs; those that have ended are refused."""
    return _each(runs, lambda run: services.run_cancel(actor=actor, run=run))


def runs_delete(*, actor: Actor, runs: Iterable[Run]) -> Outcome:
    """Delete runs that have ended, with all that they hold; others, and those that another still reads, are refused."""
    require_operation(actor, "run.delete")
    return _each(runs, lambda run: _delete(actor, run))


def runs_change(*, actor: Actor, action: BulkAction, wanted: RunFilter, reach: Reach | None = None) -> Batch:
    """Do it to the next MOST_AT_ONCE runs that a filter finds and that it can be done to, oldest first.

    Runs that begin meanwhile, reruns among them, are none of its business. Raises Forbidden.
    """
    require_operation(actor, _OPERATIONS[action])
    rows = _open_to(action, run_list(actor.tenant, wanted)).order_by("pk")
    if reach is None:
        reach = Reach(after=0, upto=rows.order_by("-pk").values_list("pk", flat=True).first() or 0)
    rows = rows.filter(pk__gt=reach.after, pk__lte=reach.upto)
    runs = list(rows.select_related("version", "workflow", "tenant").defer(None)[:MOST_AT_ONCE])
    outcome = _ACTIONS[action](actor=actor, runs=runs)
    after = runs[outcome.tried - 1].pk if outcome.tried else reach.after
    left = rows.filter(pk__gt=after)[:MOST_COUNTED].count()
    return Batch(outcome=outcome, left=left, next=Reach(after=after, upto=reach.upto) if left else None)


def _open_to(action: BulkAction, rows: QuerySet[Run]) -> QuerySet[Run]:
    """Return the runs that something can be done to at all."""
    if action is BulkAction.CANCEL:
        return rows.filter(finished_at__isnull=True, cancel_requested_at__isnull=True)
    return rows.filter(finished_at__isnull=False)


@transaction.atomic
def _delete(actor: Actor, run: Run) -> Run:
    rows = Run.objects.for_tenant(actor.tenant)
    if not rows.select_for_update(of=("self",)).filter(pk=run.pk, status__in=_ENDED).exists():
        raise Conflict(_("This run has not ended, or is gone. Cancel it first, then delete it."))
    if run.parent_id and rows.filter(pk=run.parent_id).exclude(status__in=_ENDED).exists():
        raise Conflict(_("Another run called this one and goes on with what it gave. Delete it once that has ended."))
    if rows.filter(rerun_of=run.pk).exclude(status__in=_ENDED).exists():
        raise Conflict(_("A run that goes on from this one is under way. Delete it once that has ended."))
    audit.record(actor=actor, action="run.deleted", target=run)
    delete_runs([run.pk])
    return run


def _each(runs: Iterable[Run], act: Callable[[Run], Run]) -> Outcome:
    done, refused = list[Run](), list[tuple[Run, str]]()
    for run in runs:
        try:
            done.append(act(run))
        except Limited as error:
            # The next would be refused for the same reason: they are left for later.
            return Outcome(done=tuple(done), refused=tuple(refused), limited=error)
        except ServiceError as error:
            refused.append((run, error.message))
    return Outcome(done=tuple(done), refused=tuple(refused))


_ACTIONS: Final = {
    BulkAction.CANCEL: runs_cancel,
    BulkAction.RERUN: runs_rerun,
    BulkAction.DELETE: runs_delete,
}
