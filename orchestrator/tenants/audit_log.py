"""Reading the audit log: narrowed by who, what and when, a page or a file at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from orchestrator.ids import first_id_at
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.tenants.permissions import require_operation

PAGE_ROWS: Final = 50
MOST_EXPORTED: Final = 100_000
_CHUNK: Final = 500
_OFFERED_FROM: Final = 500
COLUMNS: Final = ("id", "at", "actor", "action", "target_type", "target_id", "target", "detail")
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, kw_only=True)
class Narrow:
    """What is asked for: ``who`` a person's name, ``what`` an action or what it is about, times from and before.

    ``target_type`` is the name of a model, like ``workflow``.
    """

    who: str = ""
    what: str = ""
    target_type: str = ""
    target_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def rows(self, tenant: Tenant) -> QuerySet[AuditEvent]:
        """Return the tenant's events that are meant, newest first."""
        rows = AuditEvent.objects.for_tenant(tenant).order_by("-id")
        if self.who:
            # A token's doings are its person's: they are labelled "name (token …)".
            rows = rows.filter(Q(actor_label=self.who) | Q(actor_label__startswith=f"{self.who} (token "))
        if self.what:
            exact = "." in self.what.rstrip(".")
            rows = (
                rows.filter(action=self.what) if exact else rows.filter(action__startswith=self.what.rstrip(".") + ".")
            )
        if self.target_type:
            rows = rows.filter(target_type=self.target_type)
        if self.target_id is not None:
            rows = rows.filter(target_id=self.target_id)
        # Ids sort by time, and are what the index is by.
        if self.since is not None:
            rows = rows.filter(id__gte=first_id_at(self.since))
        if self.until is not None:
            rows = rows.filter(id__lt=first_id_at(self.until))
        return rows


def day_start(day: date | None, *, days_after: int = 0) -> datetime | None:
    """Return the start of a day, in the time zone that is active; the calendar's ends are no bounds."""
    if day is None or not 1970 < day.year < 9000:
        return None
    return timezone.make_aware(datetime.combine(day + timedelta(days=days_after), time.min))


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of events, newest first, and the ids that lead to its neighbours, None where there is none."""

    events: list[AuditEvent] = field(default_factory=list)
    older: int | None = None
    newer: int | None = None


def audit_page(tenant: Tenant, narrow: Narrow, *, older: int | None = None, newer: int | None = None) -> Page:
    """Return the page of events before the id ``older``, after the id ``newer``, or the newest; at most two queries."""
    rows = narrow.rows(tenant)
    if newer is not None:
        found = list(rows.filter(id__gt=newer).order_by("id")[: PAGE_ROWS + 1])
        if len(found) <= PAGE_ROWS:
            # The newest page is always full, so that it is the same whichever way one comes.
            return audit_page(tenant, narrow)
        events = found[:PAGE_ROWS][::-1]
        return Page(events=events, older=events[-1].pk, newer=events[0].pk)
    found = list((rows if older is None else rows.filter(id__lt=older))[: PAGE_ROWS + 1])
    events, more = found[:PAGE_ROWS], len(found) > PAGE_ROWS
    return Page(
        events=events,
        older=events[-1].pk if more else None,
        newer=None if older is None else events[0].pk if events else older - 1,
    )


def audit_offers(tenant: Tenant) -> tuple[list[str], list[str]]:
    """Return the names and the actions of late, to choose from; one query of a bounded number of rows."""
    rows = AuditEvent.objects.for_tenant(tenant).order_by("-id").values_list("actor_label", "action")[:_OFFERED_FROM]
    pairs = list(rows)
    who = {label.partition(" (token ")[0] for label, _action in pairs}
    return sorted(who), sorted({action for _label, action in pairs})


@transaction.atomic
def audit_export(*, actor: Actor, narrow: Narrow, form: str, older: int | None = None) -> Iterator[bytes]:
    """Return the events as a file, newest first, at most 100,000; ``form`` is ``csv`` or ``ndjson``.

    With ``older`` only those before this id are meant: the last one's of a file that is full. That it was taken is
    written to the log itself.
    """
    require_operation(actor, "audit.read")
    asked = {"who": narrow.who, "what": narrow.what, "since": _text(narrow.since), "until": _text(narrow.until)}
    asked |= {"target_type": narrow.target_type, "target_id": "" if narrow.target_id is None else str(narrow.target_id)}
    asked["older"] = "" if older is None else str(older)
    detail = {"format": form, **{name: value for name, value in asked.items() if value}}
    audit.record(actor=actor, action="audit.exported", target=actor.tenant, detail=detail)
    events = _documents(actor.tenant, narrow, older)
    return _csv(events) if form == "csv" else (json.dumps(event).encode() + b"\n" for event in events)


def _documents(tenant: Tenant, narrow: Narrow, older: int | None) -> Iterator[dict[str, Any]]:
    """Yield one document after the other, a few hundred rows a query: no more are in memory."""
    rows, last = narrow.rows(tenant), older
    for _ in range(MOST_EXPORTED // _CHUNK):
        chunk = list((rows if last is None else rows.filter(id__lt=last))[:_CHUNK])
        yield from map(event_document, chunk)
        if len(chunk) < _CHUNK:
            return
        last = chunk[-1].pk


def event_document(event: AuditEvent) -> dict[str, Any]:
    """Return an event as a file and the API give it."""
    return {
        "id": str(event.pk),
        "at": _text(event.at),
        "actor": event.actor_label,
        "action": event.action,
        "target_type": event.target_type,
        "target_id": None if event.target_id is None else str(event.target_id),
        "target": event.target_label,
        "detail": event.detail,
    }


def _csv(events: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
    yield _line(COLUMNS)
    for event in events:
        cells = {**event, "detail": json.dumps(event["detail"]), "target_id": event["target_id"] or ""}
        yield _line([cell(cells[name]) for name in COLUMNS])


def cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe before it."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) or text.startswith(_FORMULA) else text


def _line(cells: list[str] | tuple[str, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", "backslashreplace")


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
