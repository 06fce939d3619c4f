"""What passes the gate of values, what does not, and the form in which a large one is stored."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from typing import Any

import pytest

from orchestrator.jsongate import BadJSON
from orchestrator.vault.redaction import MASK, Redactor
from runs.engine.values import INLINE_BYTES, MAX_BYTES, Packed, encoded, gated, kept, off_loop


def as_it_is(value: Any) -> Any:
    return value


def unpacked(packed: Packed | None) -> Any:
    assert packed is not None
    data = zlib.decompress(packed.data)
    assert len(data) == packed.size
    return json.loads(data)


@pytest.mark.parametrize("value", [None, "text", 1.5, [], {"a": [1, {"b": None}]}, "x" * 1_000_000, [2**80]])
def test_plain_data_passes_as_the_very_same_object(value: Any) -> None:
    assert gated(value) is value
    assert asyncio.run(kept(value, as_it_is))[0] is value


@pytest.mark.parametrize("value", [(1, {"a": (2, 3)}), [(1,)] * 10_000])
def test_tuples_become_lists(value: Any) -> None:
    plain = json.loads(json.dumps(value))
    assert gated(value) == plain
    assert asyncio.run(kept(value, as_it_is))[0] == plain


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"when": object()}, r"\$\.when is a object"),
        ({"a": [float("nan")]}, r"\$\.a\[0\] is nan"),
        ({1: 2}, "not a text"),
        ("x" * MAX_BYTES, f"{MAX_BYTES + 2:,} bytes as JSON, at most {MAX_BYTES:,} are kept"),
        # Each character of these is six of JSON.
        ("\x01" * (MAX_BYTES // 5), "are kept"),
        (["ü" * (MAX_BYTES // 4)] * 2 + ["x" * 100], "are kept"),
    ],
)  # fmt: skip
def test_what_is_no_json_or_too_large_is_refused(value: Any, message: str) -> None:
    with pytest.raises(BadJSON, match=message):
        gated(value)
    with pytest.raises(BadJSON, match=message):
        asyncio.run(kept(value, as_it_is))


def test_a_value_that_fits_its_row_is_text_and_a_larger_one_is_packed() -> None:
    fits, larger = "x" * (INLINE_BYTES - 2), "x" * (INLINE_BYTES - 1)
    assert encoded(fits) == (f'"{fits}"', None)
    text, packed = encoded(larger)
    assert text is None
    assert unpacked(packed) == larger
    assert packed is not None
    assert packed.value is larger


def test_a_large_value_is_packed_in_a_thread_and_a_small_one_needs_none() -> None:
    threads: list[threading.Thread] = []

    def clean(value: Any) -> Any:
        threads.append(threading.current_thread())
        return value

    large = [{"n": number, "text": "é" * 100} for number in range(1_000)]
    value, packed = asyncio.run(kept(large, clean))
    assert value is large
    assert unpacked(packed) == large
    assert asyncio.run(kept({"n": 1}, clean)) == ({"n": 1}, None)
    assert [thread is threading.main_thread() for thread in threads] == [False, True]


def test_secrets_are_taken_out_of_what_is_packed() -> None:
    redactor = Redactor(["a-secret"])
    value, packed = asyncio.run(kept({"text": "x" * INLINE_BYTES + "a-secret"}, redactor.clean))
    assert value == {"text": "x" * INLINE_BYTES + MASK}
    assert unpacked(packed) == value


def test_what_is_large_is_computed_off_the_loop() -> None:
    def on_main(value: Any) -> bool:
        return threading.current_thread() is threading.main_thread()

    assert asyncio.run(off_loop(on_main, ["x"] * 100))
    assert not asyncio.run(off_loop(on_main, ["x"] * 100_000))
    assert not asyncio.run(off_loop(on_main, "x" * 1_000_000))
