"""The gate for JSON: quick ways give what the standard library gives, and refuse what it is bounded to."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import jsongate
from orchestrator.jsongate import BadJSON

# Lone surrogates, integers of any size and every float that is a number.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5))
ODD = st.recursive(
    LEAVES | st.floats() | st.just((1, "a")) | st.just(float("nan")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXTS | st.integers(0, 3), inner, max_size=4)
    ),
)


def nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


def same(left: Any, right: Any) -> bool:
    """Whether two values are alike in types too: in Python 1 is True and 1.0."""
    return repr(left) == repr(right)


@given(VALUES)
def test_what_is_written_is_read_back_alike(value: Any) -> None:
    assert same(json.loads(jsongate.dumps(value)), value)
    assert same(jsongate.parse(jsongate.dumps(value)), value)
    assert same(jsongate.parse(jsongate.dump_bytes(value)), value)
    assert same(jsongate.loads(jsongate.dump_bytes(value)), value)


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
        (b"NaN", "NaN is not JSON"), (b"[-Infinity]", "-Infinity is not JSON"), (b'{"a":1e400}', r"\$\.a is inf"),
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
