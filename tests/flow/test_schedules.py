"""When schedules fire: across changes of summer time, after a gap, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.flow.schedules import GRACE, MOST_SLOTS, ScheduleConfig, due, next_slot, preview, slots_after


def config(**more: Any) -> ScheduleConfig:
    if "every" not in more:
        more.setdefault("cron", "0 9 * * *")
    return ScheduleConfig.model_validate(more)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def local(given: ScheduleConfig, moment: datetime, count: int) -> list[str]:
    return [found.isoformat() for found in preview(given, moment, count=count)]


# Each zone's clock goes forward and back in its own way; London's by an hour, Lord Howe's by half of one.
@pytest.mark.parametrize(
    ("zone", "cron", "before", "expected"),
    [
        # Forward: 02:30 is not there, and the slot comes as soon as the clock is past it.
        ("Europe/Paris", "30 2 * * *", "2026-03-28 12:00",
         ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        ("America/New_York", "30 2 * * *", "2026-03-07 12:00",
         ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00",
         ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]),
        # Back: 02:30 is there twice, and fires once.
        ("Europe/Paris", "30 2 * * *", "2026-10-24 12:00",
         ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        ("America/New_York", "30 1 * * *", "2026-10-31 12:00",
         ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00",
         ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]),
        # Every hour is every hour.
        ("Europe/Paris", "0 * * * *", "2026-10-25 00:30",
         ["2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00",
          "2026-10-25T03:00:00+01:00"]),
        ("UTC", "0 0 29 2 *", "2026-01-01 00:00", ["2028-02-29T00:00:00+00:00"]),
    ],
)  # fmt: skip
def test_a_slot_is_there_once_when_the_clocks_change(zone: str, cron: str, before: str, expected: list[str]) -> None:
    assert local(config(cron=cron, timezone=zone), at(before, zone), len(expected)) == expected


def test_every_so_many_seconds_is_the_same_whoever_asks_and_when() -> None:
    every = config(every=90)
    first = list(islice(slots_after(every, at("2026-05-01 12:00"), offset=40), 5))
    later = next_slot(every, first[2], offset=40)
    assert [after - before for before, after in pairwise(first)] == [timedelta(seconds=90)] * 4
    assert later == first[3]
    assert next_slot(every, at("2026-05-01 12:00"), offset=41) != first[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either cron or every"),
        ({"cron": "* * * * *", "every": 5}, "either cron or every"),
        ({"cron": "* * * *"}, "five fields"),
        ({"cron": "0 0 * * * *"}, "five fields"),
        ({"cron": "61 * * * *"}, "no cron expression"),
        ({"cron": "@daily"}, "five fields"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "\x00 * * * *"}, "no cron expression"),
        ({"cron": "* * * * *" + " " * 300}, "at most 200"),
        ({"every": 0}, "greater than or equal to 1"),
        ({"every": 10**12}, "less than or equal"),
        ({"every": 1.5}, "valid integer"),
        ({"every": 60, "timezone": "Europe/Pariss"}, "time zone"),
        ({"every": 60, "timezone": "../../etc/passwd"}, "time zone"),
        ({"every": 60, "missed": "perhaps"}, "Input should be"),
        ({"every": 60, "surprise": 1}, "Extra inputs"),
    ],
)
def test_what_is_no_schedule_says_why(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ScheduleConfig.model_validate(given)


NINE = at("2026-05-04 09:00")


@pytest.mark.parametrize("missed", ["skip", "run_once", "run_all"])
def test_a_slot_that_has_just_come_runs_under_every_policy(missed: str) -> None:
    found = due(config(missed=missed), NINE, NINE + timedelta(seconds=0.4))
    assert (found.slots, found.missed, found.next_at) == ((NINE,), 0, NINE + timedelta(days=1))


def test_after_a_gap_the_policy_decides() -> None:
    now = NINE + timedelta(days=3, hours=2)
    skip, once, every = (due(config(missed=policy), NINE, now) for policy in ("skip", "run_once", "run_all"))
    assert (skip.slots, skip.missed) == ((), 4)
    assert (once.slots, once.missed) == ((NINE + timedelta(days=3),), 3)
    assert every.slots == tuple(NINE + timedelta(days=day) for day in range(4))
    assert {found.next_at for found in (skip, once, every)} == {NINE + timedelta(days=4)}


def test_a_late_start_within_the_grace_is_on_time() -> None:
    assert due(config(missed="skip"), NINE, NINE + GRACE).slots == (NINE,)
    assert due(config(missed="skip"), NINE, NINE + GRACE * 1.1).slots == ()


def test_a_long_gap_is_made_up_for_in_parts_and_looked_at_fast() -> None:
    minutely = config(cron="* * * * *", missed="run_all")
    now = NINE + timedelta(days=400)
    found = due(minutely, NINE, now)
    assert len(found.slots) == MOST_SLOTS
    assert found.next_at == found.slots[-1] + timedelta(minutes=1)
    once = due(config(cron="* * * * *"), NINE, now)
    assert (once.slots, once.missed) == ((now,), MOST_SLOTS)


ZONES = ["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
CRONS = ["* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0 0 1 * *", "15 3 * * 1-5", "59 23 31 12 *"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(ZONES), st.sampled_from(CRONS), st.integers(0, 3 * 365 * 24 * 60), st.integers(0, 9 * 24 * 60),
    st.sampled_from(["skip", "run_once", "run_all"]),
)  # fmt: skip
def test_no_slot_is_handed_out_twice_and_none_comes_early(
    zone: str, cron: str, minutes: int, gap: int, missed: str
) -> None:
    given_ = config(cron=cron, timezone=zone, missed=missed)
    first = next_slot(given_, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
    now = first + timedelta(minutes=gap, seconds=0.3)
    handed: list[datetime] = []
    following = first
    for _ in range(40):
        if following > now:
            break
        found = due(given_, following, now)
        handed += found.slots
        assert found.next_at > following
        following = found.next_at
    assert handed == sorted(set(handed))
    assert all(first <= slot <= now for slot in handed)
    if missed == "run_all" and following > now:
        expected = [first]
        for slot in slots_after(given_, first):
            if slot > now:
                break
            expected.append(slot)
        assert handed == expected
