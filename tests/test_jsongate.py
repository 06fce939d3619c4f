"""The gate for JSON from outside: what it lets through is what the standard library reads, and JSON can express."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import jsongate
from orchestrator.jsongate import MAX_DEPTH, MAX_ITEMS, BadJSON

TEXTS = st.text(st.characters(codec=None), max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=30,
)


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same, types and signs of zero too."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


@given(VALUES)
def test_what_is_read_is_what_the_standard_library_reads(value: Any) -> None:
    text = json.dumps(value)
    assert same(jsongate.loads(text), json.loads(text))
    assert same(jsongate.loads(text.encode()), json.loads(text))


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    for write in (jsongate.dumps, jsongate.dumps_checked):
        assert same(jsongate.loads(write(value)), value)


@given(st.text(st.sampled_from('[]{}",:0129-+.eE \\nultrfasNIinfy\ud800\ufeff'), max_size=30))
def test_a_text_is_refused_just_where_it_is_no_json(text: str) -> None:
    try:
        expected: Any = json.loads(text, parse_constant=lambda name: pytest.fail(name))
        jsongate.check(expected)
    except (ValueError, RecursionError, pytest.fail.Exception):
        with pytest.raises(BadJSON):
            jsongate.loads(text)
    else:
        assert same(jsongate.loads(text), expected)


@pytest.mark.parametrize(
    "text", ["1e400", "-1e400", "1" + "0" * 400 + ".0", "[1e309]", "NaN", "-Infinity", '{"a": Infinity}']
)
def test_what_json_cannot_express_is_refused(text: str) -> None:
    with pytest.raises(BadJSON):
        jsongate.loads(text)


@pytest.mark.parametrize("sign", ["", "-"])
def test_whole_numbers_are_taken_up_to_1024_bits(sign: str) -> None:
    assert jsongate.loads(f"{sign}{2**1024 - 1}") == int(f"{sign}{2**1024 - 1}")
    for digits in (str(2**1024), "9" * 400, "9" * 5_000, "9" * 100_000):
        with pytest.raises(BadJSON, match="more than 300 digits"):
            jsongate.loads(sign + digits)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_taken_up_to_the_depth_that_check_takes(opening: str, closing: str) -> None:
    for depth in (MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 100_000):
        text = opening * depth + "1" + closing * depth
        if depth > MAX_DEPTH:
            with pytest.raises(BadJSON, match="nested"):
                jsongate.loads(text)
        else:
            jsongate.check(jsongate.loads(text))


def test_more_values_than_are_taken_are_refused() -> None:
    with pytest.raises(BadJSON, match="more than"):
        jsongate.loads("[" + "1," * MAX_ITEMS + "1]")
    assert len(jsongate.loads("[" + "1," * (MAX_ITEMS - 10) + "1]")) == MAX_ITEMS - 9  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": -math.inf}])
def test_what_is_not_finite_is_never_written(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        jsongate.dumps(value)
