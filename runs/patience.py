"""Waiting for a run's end inside a request. It holds a web thread, so few may; the others answer at once."""

from __future__ import annotations

import threading
import time
from typing import Final

from django.conf import settings

from orchestrator.tenants.models import Tenant
from runs.models import Run
from runs.states import RUN_TERMINAL

POLL_SECONDS: Final = 0.02
POLL_SLOWEST: Final = 0.25
_TERMINAL: Final = [status.value for status in RUN_TERMINAL]

waiting = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))


def wait_for_end(tenant: Tenant | int, run_id: int, seconds: float) -> bool:
    """Wait until a run has ended, at most so long; return whether it has. At once when too many wait already.

    Each look is one query by primary key outside any transaction; the longer it takes, the rarer they get.
    """
    rows = Run.objects.for_tenant(tenant).filter(pk=run_id, status__in=_TERMINAL)
    if not waiting.acquire(blocking=False):
        return bool(rows.exists())
    try:
        start = time.monotonic()
        while not rows.exists():
            waited = time.monotonic() - start
            if waited >= seconds:
                return False
            time.sleep(min(max(POLL_SECONDS, waited / 10), POLL_SLOWEST, seconds - waited))
        return True
    finally:
        waiting.release()
