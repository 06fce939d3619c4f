"""What language models cost here: by what the operator says, else by the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.conf import settings

from integrations.sdk.prices import Price, price_of


def model_price() -> Callable[[str], Price | None]:
    """Return what tells a model's price: the operator's own come before the table."""
    own = {name: Price(**price, as_of=None) for name, price in settings.ENV.model_prices.items()}
    return partial(price_of, own=own)
