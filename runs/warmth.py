"""What each process of a worker does first, done once in their leader before it forks.

Django makes much of its machinery at the first query of a kind. Made before the fork, it is in memory once; made after
it, once in every process.
"""

from __future__ import annotations

import logging

from django.db import transaction

from runs import doorbell, sweeper, tracing
from runs.claims import Claimer
from runs.clock import DatabaseClock
from runs.models import WorkerBeat
from runs.slots import Slots

log = logging.getLogger(__name__)


def spread() -> None:
    """Ask what a ticker asks, claim without keeping it, and pack a message. Nothing is changed, and nothing raised."""
    try:
        if tracing.is_on():
            tracing.load()
        clock = DatabaseClock()
        clock.synchronise()
        sweeper.free_dead_drivers(clock.now())
        _claim(clock)
        doorbell.rehearse()
    except Exception as error:
        log.warning("The worker begins cold (%s)", type(error).__name__)


def _claim(clock: DatabaseClock) -> None:
    claimer = Claimer(owner="nobody", slots=Slots(), clock=clock)
    claimer.due_in()
    with transaction.atomic():
        claimer.claim()
        WorkerBeat.objects.filter(pk="nobody").update(active_runs=0)
        transaction.set_rollback(True)
