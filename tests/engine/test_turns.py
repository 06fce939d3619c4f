"""Only a provider that asks for a pause has others wait, and whoever called hears of its failure all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integrations.sdk.errors import IntegrationError, RateLimited, Transient
from integrations.sdk.limits import NotYet, TooLate
from runs.engine.turns import passing_on


class Watched:
    """A gate that notes for how long it was closed, and is away where that is said."""

    def __init__(self, away: Exception | None = None) -> None:
        self.closed: list[float] = []
        self.away = away

    async def enter(self, seconds: float) -> None:
        """Let everybody pass."""

    async def close(self, seconds: float) -> None:
        self.closed.append(seconds)
        if self.away is not None:
            raise self.away


def call(gate: Watched | None, error: Exception) -> None:
    async def main() -> None:
        async with passing_on(gate):
            raise error

    with pytest.raises(type(error)) as caught:
        asyncio.run(main())
    assert caught.value is error


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        (RateLimited("Slow.", retry_after=5), [5]),
        (RateLimited("Slow."), []),
        (RateLimited("Slow.", retry_after=float("nan")), []),
        (RateLimited("Slow.", retry_after=-1), []),
        (RateLimited("Slow.", retry_after="5"), []),  # type: ignore[arg-type]
        (NotYet("Others come first.", retry_after=5, turn="later"), []),
        (TooLate("Others come first.", retry_after=5), []),
        (Transient("Away.", retry_after=5), []),
    ],
)
def test_a_gate_is_closed_by_what_the_provider_asks_for_alone(error: IntegrationError, closed: list[Any]) -> None:
    gate = Watched()
    call(gate, error)
    assert gate.closed == closed


def test_a_gate_that_cannot_be_closed_hides_no_failure() -> None:
    gate = Watched(away=Transient("The database is away."))
    call(gate, RateLimited("Slow.", retry_after=5))
    assert gate.closed == [5]
    call(None, RateLimited("Slow.", retry_after=5))
