"""What a channel is to be told now, and what not yet. Pure.

1. What lasts (a workflow fails, is silent; a credential ends) is told when it begins, once; failures that go on are
   told of again after the channel's quiet time; and it is told when it is well again.
2. What fired and was resolved before anybody could be told is told as over.
3. What happens and does not last is told each time, but of the same thing once in a quiet time.
4. All of it goes into one message. The first goes out at once; while there are more, each waits longer, so that a
   channel hears at most about eight times an hour, whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from orchestrator.alerts.kinds import LASTING, Event, Status

PACE_OVER: Final = timedelta(hours=1)
_FIRST_GAP: Final = timedelta(minutes=1)
_LONGEST_GAP: Final = timedelta(minutes=15)
# What ended so long ago is no news, for whoever was not told.
_STALE: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One alert as it is now."""

    alert_id: int
    event: Event
    workflow_id: int | None
    firing: bool
    fired_at: datetime | None
    last_at: datetime | None
    resolved_at: datetime | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a channel was last told of an alert."""

    at: datetime
    firing: bool
    fired_at: datetime | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A channel: what it hears of, since when, and how long it is left alone. ``workflows`` None means all."""

    events: frozenset[Event]
    workflows: frozenset[int] | None
    quiet: timedelta
    since: datetime


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a message; ``after`` is when the channel was last told of it."""

    standing: Standing
    status: Status
    after: datetime | None


def next_message_at(sent: Sequence[datetime]) -> datetime | None:
    """Return when a channel may be sent its next message, by when those of the last hour were made; None: now."""
    if not sent:
        return None
    gap = min(_FIRST_GAP * (1 << min(len(sent) - 1, 10)), _LONGEST_GAP)
    return max(sent) + gap


def due(listener: Listener, standings: Iterable[Standing], told: Mapping[int, Told], now: datetime) -> list[Item]:
    """Return what the channel is to be told now, the worst first."""
    found = [
        Item(standing=standing, status=status, after=known.at if known else None)
        for standing in standings
        if _concerns(listener, standing)
        for known in [told.get(standing.alert_id)]
        for status in [_status(listener, standing, known, now)]
        if status is not None
    ]
    order = list(Status)
    return sorted(found, key=lambda item: (order.index(item.status), item.standing.alert_id))


def _concerns(listener: Listener, standing: Standing) -> bool:
    if standing.event not in listener.events:
        return False
    return listener.workflows is None or standing.workflow_id is None or standing.workflow_id in listener.workflows


def _status(listener: Listener, standing: Standing, told: Told | None, now: datetime) -> Status | None:
    return next(_statuses(listener, standing, told, now), None)


def _statuses(listener: Listener, standing: Standing, told: Told | None, now: datetime) -> Iterator[Status]:
    """Yield what is to be said, if anything."""
    is_new = told is None or told.fired_at != standing.fired_at
    if standing.event not in LASTING:
        is_news = standing.count > (told.count if told else 0) and _is_heard(listener, standing.last_at, now)
        if is_news and (told is None or now >= told.at + listener.quiet):
            yield Status.HAPPENED
    elif standing.firing:
        if is_new and (standing.event is not Event.RUN_FAILED or _is_heard(listener, standing.last_at, now)):
            yield Status.FIRING
        elif told and not is_new and _goes_on(standing, told) and now >= told.at + listener.quiet:
            yield Status.STILL
    elif told and not is_new and told.firing:
        yield Status.RESOLVED
    elif is_new and standing.fired_at is not None and _is_heard(listener, standing.resolved_at, now):
        if told and told.firing:
            # It was told of an earlier firing, and that one is over as well.
            yield Status.RESOLVED
        elif standing.event is Event.RUN_FAILED:
            yield Status.OVER


def _goes_on(standing: Standing, told: Told) -> bool:
    """Whether there is more to say of what a channel knows: only failures go on by themselves."""
    return standing.event is Event.RUN_FAILED and standing.last_at is not None and standing.last_at > told.at


def _is_heard(listener: Listener, at: datetime | None, now: datetime) -> bool:
    """Whether it is news to a channel that was made when it was."""
    return at is not None and at >= listener.since and now - at < _STALE
