"""How often a live run's page asks what changed: quickly while something happens, calmly once it does not.

An answer that says what changed asks the page to ask quickly, up to a moment that is in the address it asks at. When
that has passed without a change, one short answer says to go on calmly, with nothing about the run in it. So a run that
works on one step for an hour, or waits, costs no more than it did, and no thread of the server is held for anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest
from django.utils import timezone

from runs.pages.patch import SEEN, from_text
from runs.states import RunStatus

# In ms, by the items of the largest loop: the more there is to count, the more rarely.
POLLS: Final = ((2_000, 300), (20_000, 1_000), (float("inf"), 2_000))
CALM_MS: Final = POLLS[0][1]
QUICK_MS: Final = 100
QUICK_FOR_MS: Final = 1_000
_MOVING: Final = (RunStatus.QUEUED, RunStatus.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Every so many ``ms``; ``asked`` goes into the address, ``until`` in ms since 1970 where it is quick."""

    ms: int
    asked: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Calm:
    """What a page needs to go on calmly: as much of RunPage as ``runs/_poll.html`` shows."""

    poll_url: str
    shown: str
    poll_ms: int = CALM_MS
    live: bool = True


def pace_of(status: str, most_items: int) -> Pace:
    """Return how often to ask after a change of a run in this status, whose largest loop began so many items."""
    ms = next(ms for items, ms in POLLS if most_items < items)
    if ms == CALM_MS and status in _MOVING:
        return Pace(ms=QUICK_MS, asked={"until": _now() + QUICK_FOR_MS})
    return Pace(ms=ms, asked={})


def calm_of(request: HttpRequest) -> Calm | None:
    """Return how a page goes on that asked quickly for long enough without a change; None where it stays as it is."""
    until = request.GET.get("until", "")
    if not (until.isascii() and until.isdigit()) or len(until) > 18 or int(until) > _now():
        return None
    query = request.GET.copy()
    for name in ("until", "waits"):  # the latter is not the address's: the page adds it
        query.pop(name, None)
    seen = request.headers.get(SEEN, "")
    return Calm(poll_url=f"{request.path}?{query.urlencode()}", shown=seen if from_text(seen) else "")


def _now() -> int:
    return int(timezone.now().timestamp() * 1_000)
