"""Rings for a worker: a django-q2 message that carries nothing but "there is work". The only importer of django_q.

It may be lost, doubled or late without harm: the queue is the run rows, and the worker's ticker looks at them too.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from django_q.brokers import get_broker
from django_q.tasks import async_task

DRIVE: Final = "runs.tasks.drive"
# Rings within this time are one ring: the worker that answers the first claims a batch.
COALESCE_SECONDS: Final = 0.02

_lock = threading.Lock()
_local = threading.local()
_last = 0.0


def ring() -> None:
    """Ask for a worker; call it after the commit that made the work."""
    global _last
    now = time.monotonic()
    with _lock:
        if now - _last < COALESCE_SECONDS:
            return
        _last = now
    async_task(DRIVE, broker=_broker(), save=False)


def _broker() -> Any:
    """Return this thread's broker, kept open: making one for every ring would connect to Redis each time."""
    if not hasattr(_local, "broker"):
        _local.broker = get_broker()
    return _local.broker
