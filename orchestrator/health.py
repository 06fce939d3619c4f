"""What a load balancer asks: does this process answer (``/healthz``), and can it do its work (``/readyz``)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from runs.models import Run, WorkerBeat

# A worker looks for work four times a second, so what waits longer than this has nobody.
LATE: Final = timedelta(seconds=10)
LIVE: Final = timedelta(seconds=10)


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer that the process answers; asks nobody."""
    return JsonResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database can be asked and no run waits for a worker in vain, else 503 with what is wrong."""
    checks = _checks()
    is_ready = all(state == "ok" for state in checks.values())
    body = {"status": "ok" if is_ready else "not_ready", "checks": checks}
    return JsonResponse(body, status=200 if is_ready else 503, headers={"Cache-Control": "no-store"})


def _checks() -> dict[str, str]:
    try:
        return {"database": "ok", "workers": _workers()}
    except DatabaseError:
        connection.close()
        return {"database": "The database does not answer.", "workers": "Unknown while the database does not answer."}


def _workers() -> str:
    """Return ``ok`` unless work has waited for a while and no driver lives."""
    now = timezone.now()
    if not Run.unscoped.filter(wake_at__lt=now - LATE).exists():
        return "ok"
    if WorkerBeat.objects.filter(beat_at__gte=now - LIVE).exists():
        return "ok"
    return "Runs wait and no worker drives them: start `python manage.py worker`."
