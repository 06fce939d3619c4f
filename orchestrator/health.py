"""What a load balancer asks: does this process answer (``/healthz``), and can it do its work (``/readyz``)."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs.clock import database_now
from runs.models import Run, WorkerBeat

# A worker looks for work four times a second, so what waits longer than this has nobody.
LATE: Final = timedelta(seconds=10)
LIVE: Final = timedelta(seconds=10)
FAR_APART: Final = timedelta(seconds=30)
BROKER_SECONDS: Final = 1.0


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process answers; asks nobody."""
    return JsonResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database can be asked, its clock agrees with ours and no run waits for a worker in vain, else
    503 with what is wrong. A broker that is away is told and takes no web away: runs only begin a little later.
    """
    checks = _checks()
    is_ready = all(state == "ok" for name, state in checks.items() if name != "broker")
    body = {"status": "ok" if is_ready else "not_ready", "checks": checks}
    return JsonResponse(body, status=200 if is_ready else 503, headers={"Cache-Control": "no-store"})


def _checks() -> dict[str, str]:
    try:
        return {"database": "ok", "broker": _broker(), "workers": _workers(), "clock": _clock()}
    except DatabaseError:
        connection.close()
        unknown = "Unknown while the database does not answer."
        return {"database": "The database does not answer.", **dict.fromkeys(("broker", "workers", "clock"), unknown)}


def _broker() -> str:
    """Return ``ok`` where the doorbell can be rung."""
    parts = urlsplit(settings.ENV.redis_url or "")
    if not parts.hostname:
        return "ok"  # the database is the broker
    try:
        socket.create_connection((parts.hostname, parts.port or 6379), timeout=BROKER_SECONDS).close()
    except OSError as error:
        return f"The broker does not answer ({type(error).__name__}): check REDIS_URL and that server."
    return "ok"


def _clock() -> str:
    """Return ``ok`` unless this host's clock is so far from the database's that leases would be lost."""
    apart = abs(database_now() - timezone.now())
    if apart <= FAR_APART:
        return "ok"
    return f"This host's clock is {apart.total_seconds():.0f} s from the database's: set it by NTP."


def _workers() -> str:
    """Return ``ok`` unless work has waited for a while and no driver lives."""
    now = timezone.now()
    if not Run.unscoped.filter(wake_at__lt=now - LATE).exists():
        return "ok"
    if WorkerBeat.objects.filter(beat_at__gte=now - LIVE).exists():
        return "ok"
    return "Runs wait and no worker drives them: start `python manage.py worker`."
