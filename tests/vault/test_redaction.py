from __future__ import annotations

import base64
import html
import json
import re
import time
import tracemalloc
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vault.redaction import MASK, Redactor

SECRET = 'sk-live/9+a b"c\\ü?'
secrets = st.text(min_size=6, max_size=40).filter(lambda text: len(set(text)) > 4)


@pytest.mark.parametrize(
    "encoded",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(SECRET, safe="")),
        quote_plus(SECRET),
        urlencode({"key": SECRET})[4:],
        quote(quote(SECRET, safe=""), safe=""),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(SECRET))[3:-3],
        html.escape(SECRET),
        repr(SECRET)[1:-1],
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        quote(base64.b64encode(SECRET.encode()).decode(), safe=""),
    ],
)
def test_a_secret_is_found_however_it_is_encoded(encoded: str) -> None:
    assert encoded not in Redactor([SECRET]).text(f"before {encoded} after")


@given(secrets, st.binary(max_size=8), st.binary(max_size=8))
def test_a_secret_inside_a_base64_text_is_found_at_every_alignment(secret: str, before: bytes, after: bytes) -> None:
    raw = secret.encode("utf-8", "surrogatepass")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(before + raw + after).decode()
        cleaned = Redactor([secret]).text(text)
        assert MASK in cleaned
        # What is left on either side encodes bytes of the neighbours alone.
        left, right = cleaned.index(MASK), len(text) - len(cleaned) + cleaned.rindex(MASK) + len(MASK)
        assert left * 6 <= len(before) * 8
        assert right * 6 >= (len(before) + len(raw)) * 8 or right == len(text)


@given(st.lists(secrets, max_size=3), st.lists(secrets, max_size=3))
def test_nothing_of_a_secret_stays_and_nothing_else_is_touched(hidden: list[str], shown: list[str]) -> None:
    redactor = Redactor(hidden)
    cleaned = redactor.clean({"a": ["".join(hidden), dict.fromkeys(hidden, 1)]})
    text = json.dumps(cleaned, ensure_ascii=False)
    assert not any(secret in text for secret in hidden)
    for text in shown:
        if not redactor.found_in(text):
            assert redactor.text(text) is text


def test_a_secret_that_is_the_beginning_of_another_hides_both() -> None:
    assert Redactor(["abcd", "abcdefgh"]).text("x abcdefgh abcd y") == f"x {MASK} {MASK} y"


def test_overlapping_secrets_leave_no_rest() -> None:
    assert Redactor(["abcdef", "defghi"]).text("-abcdefghi-") == f"-{MASK}-"


def test_keys_numbers_and_nested_values_are_cleaned() -> None:
    redactor = Redactor(["98765432", "tok-1234"])
    value = {"tok-1234": [{"n": 98765432, "ok": True, "none": None, "f": 1.5}], "x": ("tok-1234", "y")}
    assert redactor.clean(value) == {MASK: [{"n": MASK, "ok": True, "none": None, "f": 1.5}], "x": [MASK, "y"]}


def test_two_keys_that_differ_in_their_secret_alone_stay_two() -> None:
    assert list(Redactor(["aaaa", "bbbb"]).clean({"aaaa": 1, "bbbb": 2}).values()) == [1, 2]


def test_a_value_without_a_secret_comes_back_as_the_same_object() -> None:
    value = {"a": [1, {"b": "text"}], "c": 2.5}
    assert Redactor(["tok-1234"]).clean(value) is value
    assert Redactor().clean(value) is value


def test_a_short_secret_is_not_replaced_blindly() -> None:
    assert Redactor(["abc", ""]).text("abc of the abc") == "abc of the abc"


def test_secrets_learnt_later_are_hidden_too() -> None:
    redactor = Redactor(["first-secret"])
    redactor.add(["second-secret"])
    assert redactor.text("first-secret second-secret") == f"{MASK} {MASK}"


def test_a_repr_shows_no_secret() -> None:
    assert "first-secret" not in repr(Redactor(["first-secret"]))


def test_a_megabyte_without_a_secret_costs_milliseconds() -> None:
    redactor = Redactor([f"secret-number-{n}" for n in range(10)])
    text = "lorem ipsum dolor sit amet " * 40_000
    started = time.perf_counter()
    assert redactor.text(text) is text
    assert time.perf_counter() - started < 1.0


@given(st.text("ab", min_size=4, max_size=7), st.text("abc", max_size=60))
def test_what_overlaps_is_masked_once_and_nothing_stays(secret: str, value: str) -> None:
    expected, done = "", 0
    for at in range(len(value) + 1):
        if value.startswith(secret, at):
            # One mask for all that overlap, another one for what begins right behind.
            expected += MASK if at >= done else ""
            done = at + len(secret)
        if at >= done:
            expected += value[at : at + 1]
    assert Redactor([secret]).text(value) == expected


def test_a_text_of_nothing_but_a_secret_fills_no_memory() -> None:
    tracemalloc.start()
    try:
        assert Redactor(["aaaa"]).text("a" * 300_000) == MASK
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
