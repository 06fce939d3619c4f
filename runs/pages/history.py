"""How a workflow's last runs went: a bar for each, with the places where a new version begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _

from orchestrator.tenants.access import Actor
from orchestrator.words import clock
from runs.models import Run
from runs.overview import milliseconds
from runs.states import RunKind, RunStatus

HISTORY: Final = 60
_CSS: Final = {RunStatus.SUCCEEDED.value: "a", RunStatus.FAILED.value: "b2"}


@dataclass(frozen=True, kw_only=True)
class HistoryBar:
    x: float
    y: float
    height: float
    css: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class Since:
    """The version that every failure came after; ``changes_url`` shows what it changed."""

    sentence: str
    changes: str
    changes_url: str


@dataclass(frozen=True, kw_only=True)
class History:
    """The last runs of the same workflow, oldest first; ``versions`` are where others than before begin."""

    bars: tuple[HistoryBar, ...]
    label: str
    counts: str
    versions: tuple[float, ...]
    since: Since | None


def history(actor: Actor, run: Run) -> History | None:
    """Return the last live runs of the same workflow as bars, and when failures began with a version; one query."""
    rows = Run.objects.for_tenant(actor.tenant).filter(workflow=run.workflow_id, kind=RunKind.LIVE, pk__lte=run.pk)
    fields = ("pk", "status", "started_at", "finished_at", "version__number", "version__created_at")
    runs = list(rows.order_by("-pk").values(*fields)[:HISTORY])[::-1]
    if len(runs) < 2:
        return None
    times = [milliseconds(row["started_at"], row["finished_at"]) for row in runs]
    most = max([*times, 1.0])
    first_place = HISTORY - len(runs)
    good, bad = (sum(1 for row in runs if row["status"] == status) for status in ("succeeded", "failed"))
    counts = _("%(good)d succeeded, %(bad)d failed") % {"good": good, "bad": bad}
    begins = _begins(runs)
    return History(
        bars=tuple(_bar(first_place + i, row, times[i] / most, run.pk) for i, row in enumerate(runs)),
        label=_label(runs, begins, counts),
        counts=counts,
        versions=tuple((first_place + index) * 10 - 0.5 for index in begins),
        since=_since(actor, run, runs, begins),
    )


def _bar(index: int, row: dict[str, Any], share: float, current: int) -> HistoryBar:
    height = round(10 + 22 * share, 1)
    css = _CSS.get(row["status"], "n2")
    return HistoryBar(x=index * 10 + 1, y=33 - height, height=height, css=css, current=row["pk"] == current)


def _begins(runs: Sequence[dict[str, Any]]) -> list[int]:
    """Return which of the runs have another version than the one before."""
    numbers = [row["version__number"] for row in runs]
    return [index for index in range(1, len(runs)) if numbers[index] != numbers[index - 1]]


def _label(runs: Sequence[dict[str, Any]], begins: Sequence[int], counts: str) -> str:
    said = _("The last %(count)d runs of this workflow: %(counts)s") % {"count": len(runs), "counts": counts}
    numbers = [runs[index]["version__number"] for index in begins]
    if not numbers:
        return said
    names = ", ".join(_("v%(number)d") % {"number": number} for number in numbers if number)
    return _("%(said)s; new versions: %(names)s") % {"said": said, "names": names}


def _since(actor: Actor, run: Run, runs: Sequence[dict[str, Any]], begins: Sequence[int]) -> Since | None:
    """Return the version that every failure shown came with, where runs before it did not fail."""
    failed = [index for index, row in enumerate(runs) if row["status"] == RunStatus.FAILED]
    began = max((index for index in begins if failed and index <= failed[0]), default=None)
    if began is None or runs[began]["version__number"] is None:
        return None
    number, published = runs[began]["version__number"], runs[began]["version__created_at"]
    args = [actor.tenant.slug, run.workflow_id, number]
    return Since(
        sentence=_sentence(number, published),
        changes=_("What v%(number)d changed") % {"number": number},
        changes_url=reverse("workflow-version", args=args),
    )


def _sentence(number: int, published: datetime) -> str:
    said = {"number": number, "time": clock(published)}
    return _("Every failure came after v%(number)d was published at %(time)s.") % said
