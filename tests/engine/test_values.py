"""What passes the gate of values, what does not, and the form in which a large one is stored."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.jsongate import BadJSON
from orchestrator.large import LARGE_BYTES, Large
from orchestrator.vault.redaction import MASK, Redactor
from runs.engine.keeping import keep
from runs.engine.values import INLINE_BYTES, MAX_BYTES, Packed, encoded, is_quick
from tests.engine.world import Journal, World


def kept(value: Any, clean: Callable[[Any], Any] | None = None) -> tuple[Any, Packed | None]:
    """Return a value as the engine keeps it."""
    world = World()
    ports = world.ports(Journal(world, 1))
    if clean is not None:
        redactor = Redactor()
        redactor.clean = clean  # type: ignore[method-assign]
        ports = replace(ports, redactor=redactor)
    return asyncio.run(keep(ports, value))


def unpacked(packed: Packed | None) -> Any:
    assert packed is not None
    data = zlib.decompress(packed.data)
    assert len(data) == packed.size
    return json.loads(data)


@pytest.mark.parametrize("value", [None, "text", 1.5, [], {"a": [1, {"b": None}]}, "x" * 1_000_000, [2**80]])
def test_plain_data_passes_as_the_very_same_object(value: Any) -> None:
    assert kept(value)[0] is value


@pytest.mark.parametrize("value", [(1, {"a": (2, 3)}), [(1,)] * 10_000])
def test_tuples_become_lists(value: Any) -> None:
    plain = json.loads(json.dumps(value))
    assert kept(value)[0] == plain


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
        kept(value)


def test_a_value_that_fits_its_row_is_text_and_a_larger_one_is_packed() -> None:
    fits, larger = "x" * (INLINE_BYTES - 2), "x" * (INLINE_BYTES - 1)
    assert encoded(fits) == (f'"{fits}"', None)
    text, packed = encoded(larger)
    assert text is None
    assert unpacked(packed) == larger
    assert packed is not None
    assert packed.value is larger


def test_a_large_value_is_packed_in_a_thread() -> None:
    threads: list[threading.Thread] = []

    def clean(value: Any) -> Any:
        threads.append(threading.current_thread())
        return value

    large = [{"n": number, "text": "é" * 100} for number in range(1_000)]
    value, packed = kept(large, clean)
    assert value is large
    assert unpacked(packed) == large
    assert [thread is threading.main_thread() for thread in threads] == [False]
    assert kept({"n": 1}, clean) == ({"n": 1}, None)


def test_what_is_quick_is_plain_and_little() -> None:
    assert is_quick({"n": 1, "text": "x" * 1_000, "list": [1, None, 2.5]})
    for value in ((1,), {1: 2}, [float("nan")], object(), "x" * 100_000, [0] * 10_000):
        assert not is_quick(value)


def test_secrets_are_taken_out_of_what_is_packed() -> None:
    redactor = Redactor(["a-secret"])
    value, packed = kept({"text": "x" * INLINE_BYTES + "a-secret"}, redactor.clean)
    assert value == {"text": "x" * INLINE_BYTES + MASK}
    assert unpacked(packed) == value


def test_a_value_beyond_a_megabyte_is_kept_packed_and_not_as_objects() -> None:
    value, packed = kept(["x" * 1_000] * (LARGE_BYTES // 1_000 + 1))
    assert isinstance(value, Large)
    assert packed is None
    assert value.open() == ["x" * 1_000] * (LARGE_BYTES // 1_000 + 1)
    # Tuples are as little a reason as any.
    assert kept([(1,)] * 100)[0] == [[1]] * 100
