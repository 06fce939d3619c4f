"""The axis of a timeline: percent of the drawing, round times, and long waits cut out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from runs.pages.axis import Axis, axis_over, tick_step

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_moments_become_percent_and_stay_inside_the_drawing() -> None:
    axis = Axis(start=START, end=at(10))
    assert [axis.at(at(seconds)) for seconds in (-5, 0, 2.5, 10, 99)] == [0, 0, 25, 100, 100]
    assert axis.block("ok", at(9.999), at(10)).width >= 0.6
    short = axis.block("ok", at(10), at(10))
    assert short.x + short.width <= 100


@pytest.mark.parametrize(("total", "step"), [(1, 1), (4, 1), (900, 200), (9_000, 2_000), (250_000, 60_000)])
def test_ticks_are_round_and_at_most_five(total: float, step: float) -> None:
    assert tick_step(total) == step
    axis = Axis(start=START, end=START + timedelta(milliseconds=total))
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 5
    assert ticks[0].label == "0"
    assert all(tick.x < 93 for tick in ticks)


def test_a_long_wait_is_cut_so_that_short_steps_are_seen() -> None:
    busy = [(at(0), at(2)), (at(90_002), at(90_004))]
    axis = axis_over(START, at(90_004), busy)
    assert len(axis.cuts) == 1
    first, second = axis.block("ok", *busy[0]), axis.block("ok", *busy[1])
    assert first.width > 40
    assert second.width > 40
    assert first.x + first.width < axis.breaks[0] < second.x
    # Time goes on inside of it.
    assert axis.at(at(2)) < axis.at(at(45_000)) < axis.at(at(90_002))
    assert [tick.label for tick in axis.ticks()] == ["0", "25 h"]


def test_no_label_lies_over_another_or_over_the_mark_of_a_cut() -> None:
    axis = axis_over(START, at(300), [(at(0), at(0.05)), (at(300), at(300))])
    # What follows the wait takes no time yet, and the axis of a live run has room after its end.
    marks = axis.roomy.breaks
    assert [tick.label for tick in axis.roomy.ticks()] == ["0"]
    assert all(mark < 8 for mark in marks)
    busy = [(at(0), at(1)), (at(100), at(100.05)), (at(200), at(203))]
    ticks = axis_over(START, at(203), busy).ticks()
    assert [tick.label for tick in ticks] == ["0", "1 min 40 s"]


def test_moments_keep_their_order_across_several_cuts() -> None:
    busy = [(at(0), at(1)), (at(200), at(201)), (at(900), at(905)), (at(905), at(906))]
    axis = axis_over(START, at(5_000), busy)
    assert len(axis.cuts) == 3
    places = [axis.at(at(seconds)) for seconds in range(0, 5_001, 50)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 100)


@pytest.mark.parametrize("gap", [1, 59, 60])
def test_a_wait_of_up_to_a_minute_is_drawn_as_it_was(gap: int) -> None:
    assert axis_over(START, at(gap + 2), [(at(0), at(1)), (at(gap + 1), at(gap + 2))]).cuts == ()


def test_what_is_idle_beside_a_lane_at_work_is_not_cut() -> None:
    assert axis_over(START, at(500), [(at(0), at(1)), (at(0), at(499)), (at(499), at(500))]).cuts == ()
