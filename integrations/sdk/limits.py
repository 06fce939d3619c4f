"""How many requests a provider takes in a while, and how requests wait for their turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from integrations.sdk.errors import DeclarationError, RateLimited

# Of the inputs of an action or a trigger: what its requests are counted for.
LimitKey: TypeAlias = Callable[[Any], str]


@dataclass(frozen=True, kw_only=True)
class RateLimit:
    """So many requests in so many seconds, of all workers together.

    ``burst`` is how many may come at once after a pause, as many as ``requests`` where it is left out. They are counted
    for each credential and, where an action or a trigger has a ``rate_limit_key``, for each value of that; with
    ``by_credential`` off for the value alone, whichever credential of the workspace is used.
    """

    requests: int
    seconds: float = 1.0
    burst: int = 0
    by_credential: bool = True

    def __post_init__(self) -> None:
        if self.requests < 1 or self.seconds <= 0 or self.burst < 0:
            raise DeclarationError("a rate limit is of one request or more, in more than no seconds")

    @property
    def interval(self) -> float:
        """Seconds from one request to the next where many wait."""
        return self.seconds / self.requests

    @property
    def slack(self) -> float:
        """How many seconds' worth of requests may come before their time."""
        return self.interval * ((self.burst or self.requests) - 1)


class NotYet(RateLimited):
    """Nothing was sent, because others' requests come first; ``retry_after`` is when this one's turn comes.

    ``turn`` is ``kept`` where the turn is this request's own then, ``later`` where it has to ask again.
    """

    def __init__(
        self, message: str, *, retry_after: float, turn: Literal["kept", "later"], hint: str = "", detail: str = ""
    ) -> None:
        super().__init__(message, retry_after=retry_after, hint=hint, detail=detail)
        self.turn = turn


class TooLate(RateLimited):
    """The next turn comes after the attempt's time, in which something was sent. Nobody else has to wait for that."""


class Gate(Protocol):
    """What the requests of one attempt pass."""

    async def enter(self, seconds: float) -> None:
        """Return when a request may be sent, within so many seconds. Raises NotYet, and TooLate once one was."""

    async def close(self, seconds: float) -> None:
        """Let nobody's requests pass for so long: the provider said so."""
