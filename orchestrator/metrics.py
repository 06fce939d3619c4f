"""``/metrics`` for Prometheus: how much waits, runs and fails over all tenants, and who works; nothing of any tenant.

Read from the rows when it is asked, so that it does not matter which process answers; each query is bounded. Only a
caller in the same network is answered: what comes through a proxy, as the public does, is not.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Final

from django.db import DatabaseError, connection
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from orchestrator.health import LIVE
from orchestrator.ids import first_id_at
from orchestrator.workflows.models import Trigger
from runs.models import Run, StepRun, WorkerBeat
from runs.states import RunStatus

# Rows of one kind that are counted at the most.
COUNTED: Final = 20_000
RECENT: Final = timedelta(minutes=5)
STEPS_SAMPLED: Final = 2_000
_FORWARDED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
_LEVELS: Final = (0.5, 0.95, 0.99)
_LEAST: Final = 2  # values that a quantile needs


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer in the text format of Prometheus, 503 while the database does not answer, 404 to who is not near."""
    if not _is_near(request):
        return HttpResponse(status=404)
    registry = CollectorRegistry()
    registry.register(_Rows())
    try:
        text = generate_latest(registry)
    except DatabaseError:
        connection.close()
        return HttpResponse("The database does not answer.\n", status=503, content_type="text/plain")
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _is_near(request: HttpRequest) -> bool:
    """Whether the caller is of this machine or its network, and asks by itself."""
    if any(request.META.get(name) for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(str(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return False
    return address.is_loopback or address.is_private


class _Rows(Collector):
    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        yield from _waiting(now)
        yield _recent(now)
        yield _step_seconds(now)
        beats = WorkerBeat.objects.filter(beat_at__gte=now - LIVE)
        yield _gauge("orchestrator_workers", "Drivers that told of themselves in the last 10 s.", beats.count())
        due = Trigger.unscoped.filter(next_fire_at__lt=now).order_by("next_fire_at").values_list("next_fire_at").first()
        late = (now - due[0]).total_seconds() if due and due[0] else 0.0
        yield _gauge("orchestrator_schedule_late_seconds", "How long the latest schedule has waited to fire.", late)


def _gauge(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


def _waiting(now: datetime) -> Iterator[Metric]:
    """Yield what has not ended, each kind by its partial index."""
    kinds = {
        "due": Q(wake_at__lte=now),
        "later": Q(wake_at__gt=now),
        "driven": Q(lease_expires_at__isnull=False),
        "held": Q(status=RunStatus.QUEUED, wake_at__isnull=True),
        "waiting": Q(status=RunStatus.WAITING),
    }
    family = GaugeMetricFamily(
        "orchestrator_runs", f"Runs that have not ended, up to {COUNTED:,} of each state.", labels=["state"]
    )
    for state, condition in kinds.items():
        family.add_metric([state], Run.unscoped.filter(condition).order_by().values("pk")[:COUNTED].count())
    yield family
    oldest = Run.unscoped.filter(wake_at__lte=now).order_by("wake_at").values_list("wake_at", flat=True).first()
    age = (now - oldest).total_seconds() if oldest is not None else 0.0
    yield _gauge("orchestrator_queue_age_seconds", "How long the run that is due the longest has waited.", age)


def _recent(now: datetime) -> Metric:
    rows = Run.unscoped.filter(pk__gte=first_id_at(now - RECENT)).order_by("-pk").values_list("status", flat=True)
    counts = Counter(rows[:COUNTED])
    family = GaugeMetricFamily(
        "orchestrator_runs_recent", "Runs begun in the last five minutes by status now.", labels=["status"]
    )
    for status in RunStatus:
        family.add_metric([status.value], counts[status.value])
    return family


def _step_seconds(now: datetime) -> Metric:
    since = first_id_at(now - RECENT)
    rows = StepRun.unscoped.filter(pk__gte=since, finished_at__isnull=False).order_by("-pk")
    times = sorted(
        max(0.0, (end - start).total_seconds())
        for start, end in rows.values_list("started_at", "finished_at")[:STEPS_SAMPLED]
        if end is not None
    )
    cuts = quantiles(times, n=100, method="inclusive") if len(times) >= _LEAST else []
    family = GaugeMetricFamily(
        "orchestrator_step_seconds",
        f"How long steps took that ended in the last five minutes, of the newest {STEPS_SAMPLED:,}.",
        labels=["quantile"],
    )
    for level in _LEVELS if cuts else ():
        family.add_metric([str(level)], cuts[round(level * 100) - 1])
    return family
