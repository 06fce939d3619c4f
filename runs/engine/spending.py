"""What an agent has used, and which of its limits it has reached. Pure: the same from a record as from a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from integrations.builtin.ai import AgentInputs
from integrations.sdk.chat import Tokens
from integrations.sdk.prices import Price
from integrations.words import declared, ngettext
from integrations.words import gettext as _
from orchestrator.types import JSONValue
from runs.engine.records import Failure
from runs.states import FailureKind

# Of all messages together, in characters of JSON: they are sent, and kept, with every question.
MOST_SAID = 2_000_000


def usage_of(tokens: Tokens, price: Callable[[str], Price | None], clean: Callable[[str], str]) -> dict[str, JSONValue]:
    """Return what is recorded of a model's answer: its tokens and, where its price is known, what they cost.

    ``{"model", "input_tokens", "output_tokens", "cached_tokens", "cost", "price_as_of"}``: ``cost`` in US dollars is
    null where the price is not known; ``price_as_of`` is the day of the price list, or ``operator``. ``clean`` takes
    secrets out of the model's name, which is whatever the endpoint says.
    """
    found = price(tokens.model)
    as_of = None if found is None else "operator" if found.as_of is None else found.as_of.isoformat()
    return {
        "model": clean(tokens.model)[:200],
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cached_tokens": tokens.cached,
        "cost": None if found is None else round(found.of(tokens), 9),
        "price_as_of": as_of,
    }


@dataclass(kw_only=True)
class Spending:
    """``cost`` is None from the first answer on whose model has no known price."""

    inputs: AgentInputs
    price: Callable[[str], Price | None]
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = 0.0

    def add(self, tokens: Tokens) -> None:
        """Count an answer."""
        self.input_tokens += tokens.input
        self.output_tokens += tokens.output
        self.cached_tokens += tokens.cached
        price = self.price(tokens.model) or self.price(self.inputs.model)
        self.cost = None if price is None or self.cost is None else self.cost + price.of(tokens)

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def reached(self) -> str:
        """Return the name of the limit that allows no further question, empty while there is none."""
        inputs, cost = self.inputs, self.cost
        limits = (
            ("max_model_calls", inputs.max_model_calls, self.model_calls),
            ("max_tokens", inputs.max_tokens, self.tokens),
            ("max_cost", inputs.max_cost, 0.0 if cost is None else cost),
            ("max_seconds", inputs.max_seconds, self.seconds),
        )
        return next((name for name, most, used in limits if most is not None and used >= most), "")

    def longest_answer(self) -> int:
        """Return how many tokens the next answer may have."""
        most = self.inputs.max_tokens
        left = self.inputs.max_answer_tokens if most is None else most - self.tokens
        return max(1, min(self.inputs.max_answer_tokens, left))

    def seconds_left(self, most: float) -> float:
        """Return how long the next question may take."""
        left = most if self.inputs.max_seconds is None else self.inputs.max_seconds - self.seconds
        return max(0.1, min(most, left))

    def as_document(self) -> dict[str, Any]:
        """Return the output's ``usage``."""
        return {
            "model_calls": self.model_calls,
            "tool_calls": self.tool_calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "seconds": round(self.seconds, 3),
            "cost": None if self.cost is None else round(self.cost, 6),
        }

    def failure(self, limit: str) -> Failure:
        """Return why an agent failed that reached a limit, with what it used."""
        asked, tools = self.model_calls, self.tool_calls
        used = _("%(questions)s and %(uses)s, with %(tokens)s tokens in %(seconds).3g s") % {
            "questions": ngettext("%(count)s question to the model", "%(count)s questions to the model", asked)
            % {"count": asked},
            "uses": ngettext("%(count)s use of a tool", "%(count)s uses of tools", tools) % {"count": tools},
            "tokens": f"{self.tokens:,}",
            "seconds": self.seconds,
        }
        if self.cost is not None:
            used = _("%(used)s for %(cost).4g US dollars") % {"used": used, "cost": self.cost}
        return Failure(
            kind=FailureKind.PERMANENT,
            message=_("The agent reached its limit “%(limit)s” before it was done: %(used)s.")
            % {"limit": _named(limit), "used": used},
            hint=_("Raise the limit, give it less to do, or choose stop under “%(option)s”.")
            % {"option": _named("on_budget")},
        )


def _named(name: str) -> str:
    """Return what an input is called on an agent's form."""
    field = AgentInputs.model_fields.get(name)
    return declared(str(field.title)) if field else _("Length of the conversation")
