"""The turns of requests that a provider limits: one row for what is counted together, shared by all drivers.

A row holds the time from which on nobody would have to wait (``free_at``), in seconds since 1970 by the database's
clock. Taking a turn moves it by one interval, in a statement of its own that locks the row for no longer than that. A
time farther ahead than any turn can be is of a clock that was wrong, and counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Greatest

from integrations.sdk.limits import RateLimit
from integrations.sdk.status import MAX_RETRY_AFTER
from orchestrator.ids import new_id
from runs.models import RateGate

# Turns are given out for so long ahead. A run that is cancelled keeps its turns: it must not hold up others for longer.
HORIZON_SECONDS: Final = 300.0
# The longest that a provider can close a gate.
CLOSED_SECONDS: Final = MAX_RETRY_AFTER
_KEPT_SECONDS: Final = 3600.0
MOST_PRUNED: Final = 1_000

_TAKE: Final = (
    "INSERT INTO runs_rategate (id, tenant_id, key, free_at, closed_until) VALUES (%s, %s, %s, %s, 0) "
    "ON CONFLICT (tenant_id, key) DO UPDATE SET free_at = %s "
    "+ CASE WHEN runs_rategate.free_at > %s AND runs_rategate.free_at <= %s THEN runs_rategate.free_at ELSE %s END "
    "WHERE runs_rategate.free_at <= %s OR runs_rategate.free_at > %s RETURNING free_at"
)


def turns_take(
    *, tenant_id: int, key: str, limit: RateLimit, count: int, now: float, ahead: float = HORIZON_SECONDS
) -> Sequence[float] | None:
    """Take ``count`` turns and return when each comes, the first first; None where too many wait already.

    They are fewer where so many would take longer than turns are given out ahead. None is taken where the first would
    come later than ``ahead``.
    """
    count = min(count, max(1, int(HORIZON_SECONDS / limit.interval)))
    length = count * limit.interval
    farthest = now + ahead + limit.slack
    wrong = now + HORIZON_SECONDS + limit.slack + max(CLOSED_SECONDS, HORIZON_SECONDS + limit.interval)
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [new_id(), tenant_id, key, now + length, length, now, wrong, now, farthest, wrong])
        row = cursor.fetchone()
    if row is None:
        return None
    first = row[0] - length - limit.slack
    return [max(now, first + place * limit.interval) for place in range(count)]


def turn_comes_in(*, tenant_id: int, key: str, limit: RateLimit, now: float) -> float:
    """Return in how many seconds a turn would come that is asked for now; it is not taken."""
    free_at = RateGate.objects.for_tenant(tenant_id).filter(key=key).values_list("free_at", flat=True).first()
    return max(0.0, (free_at or now) - limit.slack - now)


def gate_close(*, tenant_id: int, key: str, limit: RateLimit, until: float) -> None:
    """Let nothing pass before ``until``, and after it one by one."""
    opens = until + limit.slack
    row = RateGate(tenant_id=tenant_id, key=key, free_at=opens, closed_until=until)
    if RateGate.objects.for_tenant(tenant_id).bulk_create([row], ignore_conflicts=True):
        RateGate.objects.for_tenant(tenant_id).filter(key=key).update(
            free_at=Greatest(F("free_at"), Value(opens)), closed_until=Greatest(F("closed_until"), Value(until))
        )


def closed_until(*, tenant_id: int, key: str, now: float) -> float:
    """Return until when a gate is closed, 0 where it never was."""
    rows = RateGate.objects.for_tenant(tenant_id).filter(
        key=key, closed_until__lte=now + CLOSED_SECONDS + HORIZON_SECONDS
    )
    return rows.values_list("closed_until", flat=True).first() or 0.0


def gates_prune(*, now: float) -> int:
    """Delete rows that nobody waits at any more, some at a time; return how many."""
    old = RateGate.unscoped.filter(free_at__lt=now - _KEPT_SECONDS).values_list("pk", flat=True)[:MOST_PRUNED]
    return RateGate.unscoped.filter(pk__in=list(old)).delete()[0]
