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

ODD = st.recursive(
    VALUES | st.floats() | st.just((1, "a")) | st.just(float("nan")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXTS | st.integers(0, 3), inner, max_size=4)
    ),
)


def nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


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


@given(VALUES)
def test_what_is_ours_is_read_as_it_was_written(value: Any) -> None:
    assert same(jsongate.parse(jsongate.dumps(value)), value)
    assert same(jsongate.parse(jsongate.dump_bytes(value)), value)


@given(VALUES, st.booleans())
def test_any_spelling_is_read_as_the_standard_library_reads_it(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1)
    assert same(jsongate.parse(text), json.loads(text))
    assert same(jsongate.loads(text), json.loads(text))


@pytest.mark.parametrize(
    "text",
    [
        "-0", "-0.0", "18446744073709551616", "-9223372036854775809", "1" * 300, "1E5", "0.1", "5e-324", "1e-400",
        "2.2250738585072011e-308", "123456789012345678901234567890.5", '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"',
        '{"a":1,"b":2,"a":3}', ' \n[1]\t', '"\x7f\u2028"',
    ],
)  # fmt: skip
def test_a_text_that_parsers_disagree_on_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert same(jsongate.loads(text), json.loads(text))
    assert same(jsongate.loads(text.encode()), json.loads(text))
    assert same(jsongate.parse(text), json.loads(text))


def test_a_byte_order_mark_is_no_part_of_the_json() -> None:
    assert jsongate.loads(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON"), (b"[1,]", "not valid JSON"), (b"[1] x", "not valid JSON"), (b'"\x01"', "not valid"),
        (b"NaN", "NaN is not JSON"), (b"[-Infinity]", "-Infinity is not JSON"),
        (b'{"a":1e400}', "1e400 is too large a number"),
        (b"1" * 400, "more than 300 digits"), (b'"\xff"', "not UTF-8"), ("[1]".encode("utf-16"), "not"),
        (nested(65).encode(), "deeper than 64"), (nested(65, "1").encode(), "deeper than 64"),
        (nested(100_000).encode(), "deeper than 64"), (b"[" * 100_000, "deeper than 64"),
        (b"[" + b"0," * 1_000_000 + b"0]", "more than 1,000,000 values"), (b" " * (10 * 2**20) + b"1", "10,485,761"),
    ],
)  # fmt: skip
def test_what_is_no_json_or_too_much_of_it_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BadJSON, match=message):
        jsongate.loads(data)


def test_brackets_inside_texts_are_no_depth() -> None:
    text = json.dumps({"a": "[{" * 500, "b": json.loads(nested(63, "1"))})
    assert jsongate.loads(text) == json.loads(text)


@given(ODD)
def test_what_is_refused_is_refused_whichever_way_is_taken(value: Any) -> None:
    try:
        expected = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        with pytest.raises(ValueError, match="not JSON compliant"):
            jsongate.dumps(value)
    else:
        assert same(json.loads(jsongate.dumps(value)), json.loads(expected))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [1, {"b": float("nan")}]}, r"\$\.a\[1\]\.b is nan"),
        ({"a": {1: 2}}, r"\$\.a has the key 1, which is not a text"),
        ([object()], r"\$\[0\] is a object"),
        ([2**1024], r"\$\[0\] is a number of more than 300 digits"),
        ([0] * 1_000_000, "more than 1,000,000 values"),
        (json.loads(nested(65, "1")), "nested deeper than 64 levels"),
    ],
)
def test_a_value_that_is_no_json_is_refused_by_its_path(value: Any, message: str) -> None:
    with pytest.raises(BadJSON, match=message):
        jsongate.check(value)


@given(VALUES)
def test_a_value_that_is_json_passes_as_the_very_same_object(value: Any) -> None:
    assert jsongate.check(value) is value
    assert jsongate.room_beside(value, 10_000, per_item=1, per_character=1) >= 0


@given(ODD)
def test_room_is_left_only_beside_plain_values(value: Any) -> None:
    def is_plain(item: Any) -> bool:
        if type(item) is list:
            return all(map(is_plain, item))
        if type(item) is dict:
            return all(type(key) is str and is_plain(inner) for key, inner in item.items())
        return item is None or type(item) in (str, int, bool) or (type(item) is float and math.isfinite(item))

    assert (jsongate.room_beside(value, 10_000) >= 0) == is_plain(value)


def test_room_counts_items_and_characters_and_ends_with_the_budget() -> None:
    value = {"ab": "cde", "f": [1, [2]]}
    # The value itself and the five in it; six characters.
    assert jsongate.room_beside(value, 100, per_item=10, per_character=1) == 100 - 60 - 6
    assert jsongate.room_beside(value, 66, per_item=10, per_character=1) == 0
    assert jsongate.room_beside(value, 65, per_item=10, per_character=1) < 0
    circle: list[Any] = []
    circle += [circle, circle]
    assert jsongate.room_beside(circle, 1_000) < 0
