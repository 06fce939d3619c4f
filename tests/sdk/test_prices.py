"""What an answer costs: by the model's family, with what was cached, and not at all where nobody knows."""

from integrations.sdk.chat import MOST_TOKENS, Tokens
from integrations.sdk.completions import tokens as used
from integrations.sdk.prices import AS_OF, PRICES, Price, price_of


def test_a_version_of_a_model_costs_what_the_model_does() -> None:
    for version in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"):
        assert price_of(version) is PRICES["gpt-4o-mini"]
    assert price_of("claude-haiku-4-5-20251001") is PRICES["claude-haiku-4-5"]
    assert price_of("models/gemini-2.5-flash") is PRICES["gemini-2.5-flash"]
    assert price_of("gpt-4o-mini-tts") is None
    assert price_of("") is None


def test_the_operators_price_comes_first_and_has_no_day() -> None:
    own = {"gpt-4o-mini": Price(input=1, output=2, as_of=None)}
    assert price_of("gpt-4o-mini-2024-07-18", own) is own["gpt-4o-mini"]
    assert all(price.as_of == AS_OF for price in PRICES.values())


def test_what_was_cached_costs_less_and_where_that_is_not_known_the_same() -> None:
    tokens = Tokens(model="m", input=1_000_000, output=100_000, cached=400_000)
    assert Price(input=2.0, output=10.0, cached=0.5).of(tokens) == 0.6 * 2 + 0.4 * 0.5 + 1.0
    assert Price(input=2.0, output=10.0).of(tokens) == 3.0


def test_an_endpoint_that_tells_nonsense_earns_nothing_and_breaks_no_sum() -> None:
    told = {"usage": {"prompt_tokens": 10**299, "completion_tokens": -5, "prompt_tokens_details": {"cached_tokens": 7}}}
    assert used(told) == Tokens(model="", input=MOST_TOKENS, cached=7)
    assert Price(input=2.0, output=10.0, cached=0.5).of(Tokens(model="m", input=1_000_000, cached=9_000_000)) == 0.5
