"""data.set: values are named, and nothing else happens to them."""

from typing import Any

import pytest

from integrations.builtin.data import set_values
from integrations.sdk import InputError
from integrations.sdk.testing import make_context, run_action


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"customer": "Ada", "plan": "trial"},
        {"n": 1, "x": 1.5, "yes": True, "none": None, "list": [1, [2]], "deep": {"a": {"b": []}}},
        {"a key with spaces": "é\u2028", "{{ looks.like }}": "{{ an.expression }}"},
    ],
)
def test_the_output_is_what_was_given(values: dict[str, Any]) -> None:
    result = run_action(set_values, {"values": values})
    assert result.output == values
    assert result.requests == []


def test_types_are_kept() -> None:
    output = run_action(set_values, {"values": {"text": "1", "number": 1, "yes": True}}).output
    assert [type(output[name]) for name in ("text", "number", "yes")] == [str, int, bool]


@pytest.mark.parametrize("inputs", [{}, {"values": None}, {"values": []}, {"values": "a=1"}])
def test_anything_but_names_and_values_is_an_input_error(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        run_action(set_values, inputs)
    assert caught.value.field == "values"


def test_it_may_always_run_again() -> None:
    ctx, _ = make_context(set_values, {"values": {"a": 1}})
    assert set_values.pure
    assert set_values.repeatable(ctx.inputs)
