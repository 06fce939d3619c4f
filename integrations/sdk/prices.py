"""What language models cost, as their providers listed it on a day. Prices are in US dollars a million tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from integrations.sdk.chat import Tokens

# The day as of which the lists were compared; a provider may have changed its prices since.
AS_OF: Final = date(2026, 6, 21)
_MILLION: Final = 1_000_000
# Names of single versions: gpt-4o-mini-2024-07-18, claude-haiku-4-5-20251001, gemini-2.5-flash-001, models/gemini-….
_VERSION: Final = re.compile(r"(?:-\d{4}-\d{2}-\d{2}|-20\d{6}|-\d{3}|-latest)$")


@dataclass(frozen=True, kw_only=True)
class Price:
    """``cached`` is for tokens of the question that the provider had already read; ``as_of`` is None for one of the
    operator's own."""

    input: float
    output: float
    cached: float | None = None
    as_of: date | None = AS_OF

    def of(self, tokens: Tokens) -> float:
        """Return what an answer cost, in US dollars."""
        price = self.input if self.cached is None else self.cached
        # An endpoint may say that more was cached than was asked: nothing is earned by that.
        cached = min(tokens.cached, tokens.input)
        whole = (tokens.input - cached) * self.input + cached * price + tokens.output * self.output
        return whole / _MILLION


def _price(asked: float, answered: float, cached: float) -> Price:
    return Price(input=asked, output=answered, cached=cached)


PRICES: Final[Mapping[str, Price]] = {
    # https://platform.openai.com/docs/pricing
    "gpt-5.1": _price(1.25, 10.0, 0.125),
    "gpt-5": _price(1.25, 10.0, 0.125),
    "gpt-5-mini": _price(0.25, 2.0, 0.025),
    "gpt-5-nano": _price(0.05, 0.4, 0.005),
    "gpt-4.1": _price(2.0, 8.0, 0.5),
    "gpt-4.1-mini": _price(0.4, 1.6, 0.1),
    "gpt-4.1-nano": _price(0.1, 0.4, 0.025),
    "gpt-4o": _price(2.5, 10.0, 1.25),
    "gpt-4o-mini": _price(0.15, 0.6, 0.075),
    "o3": _price(2.0, 8.0, 0.5),
    "o4-mini": _price(1.1, 4.4, 0.275),
    "text-embedding-3-small": Price(input=0.02, output=0.0),
    "text-embedding-3-large": Price(input=0.13, output=0.0),
    # https://platform.claude.com/docs/en/about-claude/pricing
    "claude-opus-4-8": _price(5.0, 25.0, 0.5),
    "claude-opus-4-7": _price(5.0, 25.0, 0.5),
    "claude-opus-4-6": _price(5.0, 25.0, 0.5),
    "claude-opus-4-5": _price(5.0, 25.0, 0.5),
    "claude-opus-4-1": _price(15.0, 75.0, 1.5),
    "claude-sonnet-4-6": _price(3.0, 15.0, 0.3),
    "claude-sonnet-4-5": _price(3.0, 15.0, 0.3),
    "claude-haiku-4-5": _price(1.0, 5.0, 0.1),
    "claude-3-5-haiku": _price(0.8, 4.0, 0.08),
    # https://ai.google.dev/gemini-api/docs/pricing
    "gemini-2.5-flash": _price(0.3, 2.5, 0.03),
    "gemini-2.5-flash-lite": _price(0.1, 0.4, 0.01),
}


def price_of(model: str, own: Mapping[str, Price] = {}) -> Price | None:
    """Return what a model costs: by the operator's ``own`` prices, else by the table; None where neither knows it.

    A version of a model (``gpt-4o-mini-2024-07-18``) costs what the model does, unless it has a price of its own.
    """
    name = model.removeprefix("models/")
    family = _VERSION.sub("", name)
    return own.get(name) or own.get(family) or PRICES.get(name) or PRICES.get(family)
