"""How many runs a driver takes, and of whom: no tenant can fill it. Pure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Final, TypeVar

CAPACITY: Final = 125
# A tenant may hold this many times the places that are free. One tenant alone comes to 100 of 125; each further one
# makes them all hold less, and there is always a place for a tenant that has none yet.
SHARE: Final = 4
# A suspect is driven beside runs that take longer than this, rather than have everybody wait for them.
DRAIN_SECONDS: Final = 20.0

_T = TypeVar("_T")


class Slots:
    """The places of one driver, shared by the thread that claims and the loop that drives."""

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._held: Counter[int] = Counter()
        self._total = 0
        self._lock = threading.Lock()
        self._closed = False
        self._draining_since: float | None = None
        self._suspect: int | None = None

    @property
    def held(self) -> int:
        return self._total

    @property
    def drains(self) -> bool:
        """Whether nothing is taken until a suspect can be driven alone."""
        return self._draining_since is not None

    @property
    def room(self) -> int:
        """Return how many runs may be taken now, of whichever tenants."""
        if self._closed or self._suspect is not None or (self.drains and not self.suits_a_suspect):
            return 0
        return self._capacity - self._total

    @property
    def suits_a_suspect(self) -> bool:
        """Whether a suspect may be taken: nobody else is here, or who is here has been waited for long enough."""
        if self._total == 0:
            return True
        since = self._draining_since
        return since is not None and self._clock() - since > DRAIN_SECONDS

    @property
    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def reopen(self) -> None:
        self._closed = False

    def take(self, tenant_id: int) -> bool:
        """Take a place for a run of this tenant, if it may have one more."""
        with self._lock:
            free = self._capacity - self._total
            if free <= 0 or self._held[tenant_id] >= SHARE * free:
                return False
            self._held[tenant_id] += 1
            self._total += 1
            return True

    def give(self, tenant_id: int, run_id: int) -> None:
        """Give the place of a run back."""
        with self._lock:
            self._held[tenant_id] -= 1
            if not self._held[tenant_id]:
                del self._held[tenant_id]
            self._total -= 1
            if self._suspect == run_id:
                self._suspect = None

    def drain(self) -> None:
        """Take nothing more until a suspect can be taken."""
        if self._draining_since is None:
            self._draining_since = self._clock()

    def stop_draining(self) -> None:
        self._draining_since = None

    def drive_alone(self, run_id: int) -> None:
        """Take nothing beside this run until its place is given back."""
        self._suspect, self._draining_since = run_id, None


def round_robin(groups: Iterable[Sequence[_T]]) -> Iterator[_T]:
    """Yield the first of every group, then the second of every group, and so on."""
    missing = object()
    for row in zip_longest(*groups, fillvalue=missing):
        for item in row:
            if item is not missing:
                yield item  # type: ignore[misc]
