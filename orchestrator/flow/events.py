"""What the config of a trigger may say whose provider calls, and when the provider is talked to. Pure; times in UTC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.errors import Problem
from orchestrator.flow.facts import Catalog, CredentialFacts
from orchestrator.flow.names import TriggerType
from orchestrator.flow.polling import MOST_TOLD, AppConfig, app_problems

# How often a subscription without an end is looked at: whether its credential is there, whether the provider knows it.
CHECK: Final = timedelta(hours=1)
# How long before its end one is renewed, and at most which part of its time: what fails needs time to be tried again.
_BEFORE: Final = timedelta(days=1)
_PART: Final = 4
_FIRST_WAIT: Final = timedelta(seconds=30)
_MOST_WAIT: Final = timedelta(hours=1)
_DOUBLED: Final = 7  # then the longest wait is reached


class EventConfig(AppConfig):
    """What the provider is asked to tell."""


def config_of(config: Any) -> EventConfig:
    """Return a stored config. Raises ValidationError for one that was never checked."""
    return EventConfig.model_validate(config)


def event_problems(
    path: str, config: EventConfig, *, catalog: Catalog, credentials: Mapping[str, CredentialFacts]
) -> Iterator[Problem]:
    """Yield what is wrong with a config beyond its shape; ``path`` is the config's."""
    yield from app_problems(path, TriggerType.EVENT, config, catalog=catalog, credentials=credentials)


def next_look(now: datetime, expires_at: datetime | None) -> datetime:
    """Return when a subscription is renewed or looked at next: well before its end, where it has one."""
    if expires_at is None:
        return now + CHECK
    left = max(expires_at - now, timedelta())
    return min(now + CHECK, expires_at - min(_BEFORE, left / _PART))


def backoff(failures: int, *, retry_after: float | None = None) -> timedelta:
    """Return how long to wait after so many failures in a row; at least as long as the other side asked, if it did."""
    doubled: int = 2 ** min(max(failures, 1) - 1, _DOUBLED)
    waits = min(_FIRST_WAIT * doubled, _MOST_WAIT)
    told = min(retry_after, MOST_TOLD.total_seconds()) if retry_after and retry_after > 0 else 0
    return max(waits, timedelta(seconds=told))
