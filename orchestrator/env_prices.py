"""What the operator says that language models cost: ``MODEL_PRICES``, in US dollars a million tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "MODEL_PRICES"
_MOST = 1_000_000
_PARTS = {"input", "output", "cached"}


def prices(found: Mapping[str, Any]) -> tuple[dict[str, dict[str, float]], str | None]:
    """Return the prices by model, and what is wrong with them in one sentence."""
    result: dict[str, dict[str, float]] = {}
    for model, price in found.items():
        if not isinstance(price, dict) or not {"input", "output"} <= price.keys() <= _PARTS:
            return {}, (
                f"{NAME} entry {model!r} needs input and output, and may have cached: "
                'write it like {"input": 0.15, "output": 0.6, "cached": 0.075}.'
            )
        if not all(_is_price(value) for value in price.values()):
            return {}, f"{NAME} entry {model!r} holds what is no price: write US dollars a million tokens."
        result[model] = {part: float(value) for part, value in price.items()}
    return result, None


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST
