"""What is wrong at present, kept by what was seen: an alert fires, goes on, and is resolved.

Applied to the same facts again it changes nothing, so that a look which was cut short is simply made again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q

from orchestrator.alerts.kinds import Event
from orchestrator.alerts.models import Alert
from orchestrator.ids import first_id_at

# So long without a failure is well again; for what failed again within the hour, an hour.
SETTLE_MINUTES: Final = 5
SETTLE_AGAIN_MINUTES: Final = 60
_AGAIN: Final = timedelta(minutes=SETTLE_AGAIN_MINUTES)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Something that was seen of one workflow, trigger or credential.

    ``at`` by event: the last failure, ``first_at`` being the first of those that were looked at; when a trigger was
    seen to fail, ``first_at`` being since when it does; the last success (silence, None for none); when it happened, or
    since when it is so.
    """

    tenant_id: int
    event: Event
    subject: str
    at: datetime | None
    first_at: datetime | None = None
    workflow_id: int | None = None
    credential_id: int | None = None
    count: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)


def alerts_apply(*, tenant_id: int, seen: Iterable[Seen], well: Collection[int], now: datetime) -> None:
    """Write down what was seen of one tenant; ``well`` are the ids of firing alerts that are over.

    Call it in a transaction that no other look at this tenant shares.
    """
    found = list(seen)
    rows = Alert.objects.for_tenant(tenant_id).filter(Q(firing=True) | Q(subject__in={each.subject for each in found}))
    known = {(row.event, row.subject): row for row in rows}
    for each in found:
        key = (each.event.value, each.subject)
        alert = known.get(key) or Alert(
            tenant_id=tenant_id,
            event=each.event,
            subject=each.subject,
            workflow_id=each.workflow_id,
            credential_id=each.credential_id,
        )
        if _CHANGES[each.event](alert, each, now):
            _save(alert, now, is_new=key not in known)
            known[key] = alert
    for alert in known.values():
        if alert.firing and alert.pk in well and alert.updated_at != now:
            _resolve(alert, now)
            _save(alert, now)


def _save(alert: Alert, now: datetime, *, is_new: bool = False) -> None:
    alert.updated_at = now
    alert.save(force_insert=is_new)


def _fire(alert: Alert, at: datetime) -> None:
    alert.firing, alert.fired_at, alert.resolved_at = True, at, None


def _resolve(alert: Alert, now: datetime) -> None:
    alert.firing, alert.resolved_at = False, now


def _fails(alert: Alert, seen: Seen, now: datetime) -> bool:
    assert seen.at is not None
    if alert.last_at is not None and seen.at <= alert.last_at:
        return False
    if not alert.firing:
        is_again = alert.resolved_at is not None and seen.at - alert.resolved_at < _AGAIN
        alert.settle_minutes = SETTLE_AGAIN_MINUTES if is_again else SETTLE_MINUTES
        first = seen.first_at if seen.first_at and (alert.last_at is None or seen.first_at > alert.last_at) else seen.at
        _fire(alert, first)
    alert.last_at, alert.after_id = seen.at, first_id_at(seen.at)
    return True


def _goes_on_failing(alert: Alert, seen: Seen, now: datetime) -> bool:
    """Fails, of the same thing for whatever reason it fails by now."""
    if not _fails(alert, seen, now):
        return False
    alert.detail = dict(seen.detail)
    return True


def _is_silent(alert: Alert, seen: Seen, now: datetime) -> bool:
    """Silent since its last success, or since it is watched, whichever is later."""
    before = (alert.last_at, alert.firing, dict(alert.detail))
    alert.detail = dict(seen.detail)
    succeeded = seen.at is not None and alert.last_at is not None and seen.at > alert.last_at
    last = seen.at if succeeded else alert.last_at or now
    assert last is not None
    alert.last_at = last
    is_due = now - last >= timedelta(minutes=int(seen.detail["minutes"]))
    if is_due and not alert.firing:
        _fire(alert, now)
    elif not is_due and alert.firing:
        _resolve(alert, now)
    return before != (alert.last_at, alert.firing, alert.detail)


def _needs_somebody(alert: Alert, seen: Seen, now: datetime) -> bool:
    """Fires once as it gets worse: it ends soon, then it is refused."""
    if alert.firing and alert.detail.get("health") == seen.detail["health"]:
        return False
    _fire(alert, now)
    alert.last_at, alert.detail = now, dict(seen.detail)
    return True


def _happened(alert: Alert, seen: Seen, now: datetime) -> bool:
    assert seen.at is not None
    if alert.last_at is not None and seen.at <= alert.last_at:
        return False
    alert.last_at = alert.fired_at = seen.at
    alert.count += seen.count
    alert.detail = dict(seen.detail)
    return True


_CHANGES: Final[Mapping[Event, Callable[[Alert, Seen, datetime], bool]]] = {
    Event.RUN_FAILED: _fails,
    Event.SILENT: _is_silent,
    Event.CREDENTIAL: _needs_somebody,
    Event.MISSED: _happened,
    Event.RETURNED: _happened,
    Event.TRIGGER: _goes_on_failing,
}
