"""Versions that may go back by themselves: how their first runs went, and whether that is enough.

1. A publish that wants it leaves its version *watched*; nothing is done when a run starts or ends.
2. The ticker looks at what is watched, which is little or nothing, and counts the version's first live runs that
   succeeded or failed: those of other versions, tests, and runs that somebody stopped say nothing of it.
3. So many failures: what was live before is live again, at most once, whoever else looks at the same time.
4. So many successes that it cannot come to that any more: the watch is over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

from django.db import DatabaseError
from django.db.models import Count, Q

from orchestrator.ids import first_id_at
from orchestrator.workflows.models import WorkflowVersion
from orchestrator.workflows.services import version_return, watch_end
from runs.models import Run
from runs.states import RunKind, RunStatus

log = logging.getLogger(__name__)

# A run's id may be of a host whose clock is a little behind.
_CLOCKS: Final = timedelta(minutes=1)
_COUNTED: Final = (RunStatus.SUCCEEDED, RunStatus.FAILED)


class Verdict(StrEnum):
    WAIT = "wait"
    GO_BACK = "go_back"
    OVER = "over"


def verdict(ended: Sequence[str], *, failures: int, runs: int) -> Verdict:
    """Judge the statuses of a version's first ``runs`` ended runs. Pure."""
    failed = sum(status == RunStatus.FAILED for status in ended[:runs])
    if failed >= failures:
        return Verdict.GO_BACK
    good = len(ended[:runs]) - failed
    return Verdict.OVER if good > runs - failures else Verdict.WAIT


def look_at_watched() -> int:
    """Let every watched version go back whose runs failed so often; return how many did.

    One query where none is watched, two however many are, and more only for those whose watch ends now.
    """
    watched = WorkflowVersion.unscoped.filter(watched=True).order_by("id")
    limits = {
        pk: (failures, runs) for pk, failures, runs in watched.values_list("pk", "return_failures", "return_runs")
    }
    if not limits:
        return 0
    decided = [pk for pk, ended in _counts(limits) if _is_decided(ended, *limits[pk])]
    found = watched.filter(pk__in=decided).select_related("workflow").defer("definition", "bindings")
    return sum(map(_is_back, found)) if decided else 0


def _counts(version_ids: Iterable[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield how many live runs of each version have failed and succeeded: few, as a watch ends with the first ones."""
    rows = Run.unscoped.filter(version__in=list(version_ids), kind=RunKind.LIVE, status__in=_COUNTED)
    failed, good = (Count("pk", filter=Q(status=status)) for status in (RunStatus.FAILED, RunStatus.SUCCEEDED))
    for row in rows.order_by().values("version_id").annotate(failed=failed, good=good):
        yield row["version_id"], (row["failed"], row["good"])


def _is_decided(ended: tuple[int, int], failures: int | None, runs: int | None) -> bool:
    """Whether so many have ended that the first of them decide, as ``verdict`` does."""
    failed, good = ended
    return failed >= (failures or 0) or good > (runs or 0) - (failures or 0)


def _is_back(version: WorkflowVersion) -> bool:
    try:
        return _look(version)
    except DatabaseError:
        raise
    except Exception:
        # The ticker's other work goes on, and this is not tried again every second.
        log.exception("Version %s could not go back", version.pk, extra={"tenant_id": str(version.tenant_id)})
        watch_end(version)
        return False


def _look(version: WorkflowVersion) -> bool:
    failures, runs = version.return_failures or 0, version.return_runs or 0
    ended = _ended(version, runs)
    match verdict(ended, failures=failures, runs=runs):
        case Verdict.GO_BACK:
            failed = sum(status == RunStatus.FAILED for status in ended)
            is_back = version_return(version=version, failed=failed, runs=len(ended))
            if is_back:
                of_tenant = {"tenant_id": str(version.tenant_id)}
                log.warning(
                    "Version %s went back: %s of %s runs failed", version.pk, failed, len(ended), extra=of_tenant
                )
            return is_back
        case Verdict.OVER:
            watch_end(version)
    return False


def _ended(version: WorkflowVersion, most: int) -> list[str]:
    """Return how the version's first live runs ended; ids sort by time, so that nothing older is looked through."""
    rows = Run.objects.for_tenant(version.tenant_id).filter(
        version=version,
        kind=RunKind.LIVE,
        status__in=_COUNTED,
        pk__gte=first_id_at(version.created_at - _CLOCKS),
    )
    return list(rows.order_by("pk").values_list("status", flat=True)[:most])
