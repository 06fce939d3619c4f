"""The header ``traceparent``: what is read, what is written, and what is no trace."""

from __future__ import annotations

import pytest

from runs import traceparents
from runs.services import manual_trigger
from runs.traceparents import Place

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
NAMED = Place(int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize("value", [GOOD, f" {GOOD} ", f"00-{TRACE}-{SPAN}-00", f"01-{TRACE}-{SPAN}-01-later"])
def test_what_a_header_names_is_read(value: str) -> None:
    assert traceparents.parsed(value) == NAMED


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "00",
        GOOD.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}",
        f"{GOOD}\n{GOOD}",
        f"01-{TRACE}-{SPAN}-01-{'x' * 500}",
    ],
)
def test_anything_else_names_nothing(value: object) -> None:
    assert traceparents.parsed(value) is None


def test_what_is_written_can_be_read() -> None:
    place = traceparents.place(5, "each[3].send", 2)
    assert traceparents.parsed(traceparents.written(place, sampled=True)) == place
    assert traceparents.written(NAMED, sampled=True) == GOOD
    assert traceparents.written(NAMED, sampled=False).endswith("-00")


def test_every_attempt_of_every_step_of_every_run_has_a_span_of_its_own() -> None:
    spans = {traceparents.span_id(run, path, number) for run in (1, 2) for path in ("a", "a[1].b") for number in (1, 2)}
    assert len(spans | {traceparents.span_id(1), traceparents.span_id(2)}) == 10


@pytest.mark.parametrize("trigger", [None, [], "text", {}, {"headers": None}, {"headers": {"traceparent": "nonsense"}}])
def test_a_trigger_without_one_names_nothing(trigger: object) -> None:
    assert traceparents.of_trigger(trigger) is None


def test_a_start_by_the_api_keeps_the_header_and_no_nonsense() -> None:
    assert traceparents.of_trigger(manual_trigger(None, traceparent=GOOD)) == NAMED
    assert manual_trigger(None, traceparent="nonsense")["headers"] == {}
