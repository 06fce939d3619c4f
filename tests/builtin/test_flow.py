"""Control-flow steps: what each takes and gives, and that the engine alone can run those that drive a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.builtin.flow import lane_for
from integrations.registry import registry
from integrations.sdk import Action, InputError
from integrations.sdk.lint import lint
from integrations.sdk.testing import run_action
from orchestrator.drawings import drawing_of

KEYS = ("if", "switch", "foreach", "parallel", "wait", "approve", "callback", "stop")
ENGINE_ONLY: dict[str, dict[str, Any]] = {
    "flow.foreach": {"items": []},
    "flow.parallel": {},
    "flow.wait": {"seconds": 1},
    "flow.approve": {"message": "Refund?"},
    "flow.callback": {},
    "flow.stop": {},
    "workflow.call": {"workflow": "other"},
}


def get(key: str) -> Action:
    action = registry.get(key)
    assert action is not None
    return action


def refused(key: str, inputs: dict[str, Any]) -> InputError:
    with pytest.raises(InputError) as caught:
        get(key).validate_inputs(inputs)
    return caught.value


@pytest.mark.parametrize("key", [*(f"flow.{name}" for name in KEYS), "workflow.call"])
def test_each_is_pure_in_the_category_logic_and_has_a_drawing(key: str) -> None:
    action = get(key)
    assert action.pure
    assert action.idempotent
    assert not action.http
    assert action.accepted_auth == frozenset()
    assert (action.category, action.provider.quality) == ("Logic", "silver")
    assert drawing_of(action.provider) is not None
    assert lint([action]) == []
    with pytest.raises(InputError, match="surprise: Extra inputs"):
        action.validate_inputs({**ENGINE_ONLY.get(key, {"condition": True, "value": 1}), "surprise": 1})


def test_lanes_are_declared() -> None:
    lanes = {f"flow.{name}": get(f"flow.{name}").lanes for name in KEYS}
    assert lanes == {
        "flow.if": ("then", "else"),
        "flow.switch": (),
        "flow.foreach": ("body",),
        "flow.parallel": (),
        "flow.wait": None,
        "flow.approve": None,
        "flow.callback": None,
        "flow.stop": None,
    }


@pytest.mark.parametrize(("condition", "lane"), [(True, "then"), (False, "else")])
def test_if_gives_the_lane_of_its_condition(condition: bool, lane: str) -> None:
    assert run_action(get("flow.if"), {"condition": condition}).output == {"lane": lane}


@pytest.mark.parametrize("value", ["true", "", 1, 0, None, [], {}, [True]])
def test_if_takes_nothing_for_true_or_false_but_these(value: Any) -> None:
    error = refused("flow.if", {"condition": value})
    assert error.field == "condition"
    assert "True or false is needed" in error.message


@pytest.mark.parametrize(
    ("value", "lane"),
    [
        ("gold", "gold"), ("", ""), ("True", "True"), (" a b ", " a b "), (True, "true"), (False, "false"),
        (None, "null"), (3, "3"), (-1, "-1"), (2.0, "2"), (0.5, "0.5"), (1e300, str(int(1e300))), (10**20, str(10**20)),
    ],
)  # fmt: skip
def test_switch_gives_the_text_of_its_value_as_lane(value: Any, lane: str) -> None:
    assert run_action(get("flow.switch"), {"value": value}).output == {"lane": lane}
    assert lane_for(value) == lane


@pytest.mark.parametrize(("value", "says"), [([1], "a list"), ({"a": 1}, "an object")])
def test_switch_refuses_what_is_no_single_value(value: Any, says: str) -> None:
    assert says in refused("flow.switch", {"value": value}).message
    assert refused("flow.switch", {}).field == "value"


@pytest.mark.parametrize(
    ("items", "says"),
    [({"a": [1]}, "this is an object: give the list inside it"), ("[1]", "parse_json()"), (None, "this is null")],
)
def test_foreach_says_what_it_got_instead_of_a_list(items: Any, says: str) -> None:
    error = refused("flow.foreach", {"items": items})
    assert error.field == "items"
    assert says in error.message


@pytest.mark.parametrize("inputs", [{"concurrency": 0}, {"concurrency": 101}, {"on_item_error": "ignore"}])
def test_foreach_has_bounds(inputs: dict[str, Any]) -> None:
    assert refused("flow.foreach", {"items": [], **inputs}).field == next(iter(inputs))


def test_foreach_and_parallel_fail_by_default_when_a_part_fails() -> None:
    loop: Any = get("flow.foreach").validate_inputs({"items": [1, {"a": None}]})
    assert (loop.items, loop.concurrency, loop.on_item_error) == ([1, {"a": None}], 1, "fail")
    lanes: Any = get("flow.parallel").validate_inputs({})
    assert lanes.on_lane_error == "stop"
    refused("flow.parallel", {"on_lane_error": "ignore"})


@pytest.mark.parametrize(
    ("until", "moment"),
    [
        ("2026-03-01T09:00:00Z", datetime(2026, 3, 1, 9, tzinfo=UTC)),
        ("2026-03-01T09:00", datetime(2026, 3, 1, 9, tzinfo=UTC)),
        (" 2026-03-01 09:00:00.5 ", datetime(2026, 3, 1, 9, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-03-01T09:00:00+02:00", datetime(2026, 3, 1, 7, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_wait_reads_a_moment_in_utc(until: str, moment: datetime) -> None:
    inputs: Any = get("flow.wait").validate_inputs({"until": until})
    assert inputs.until == moment
    assert inputs.until.utcoffset() == timedelta(0)
    assert inputs.seconds is None


@pytest.mark.parametrize("until", ["tomorrow", "", "2026-02-30", 1_700_000_000, True, "0001-01-01T00:00:00+14:00"])
def test_wait_refuses_what_is_no_moment(until: Any) -> None:
    assert refused("flow.wait", {"until": until}).field == "until"


@pytest.mark.parametrize("seconds", [-1, 31_536_001, float("nan"), float("inf"), "soon"])
def test_wait_takes_seconds_up_to_a_year(seconds: Any) -> None:
    assert refused("flow.wait", {"seconds": seconds}).field == "seconds"


def test_wait_takes_exactly_one_of_seconds_and_until() -> None:
    assert "seconds or until" in refused("flow.wait", {}).message
    assert "seconds or until" in refused("flow.wait", {"seconds": None, "until": None}).message
    assert "not both" in refused("flow.wait", {"seconds": 0, "until": "2026-01-01"}).message
    for seconds in (0, 0.5, 31_536_000):
        inputs: Any = get("flow.wait").validate_inputs({"seconds": seconds})
        assert inputs.seconds == seconds


@pytest.mark.parametrize(
    "inputs",
    [
        {}, {"message": ""}, {"message": "m", "timeout": 0}, {"message": "m", "approvers": [""]},
        {"message": "m", "approvers": "ada"}, {"message": "m", "form": []}, {"message": "m", "form": "{}"},
    ],
)  # fmt: skip
def test_approve_refuses_what_nobody_could_answer(inputs: dict[str, Any]) -> None:
    refused("flow.approve", inputs)


def test_approve_needs_a_message_alone() -> None:
    inputs: Any = get("flow.approve").validate_inputs({"message": "Refund?", "approvers": [" ada "]})
    assert inputs.model_dump() == {
        "message": "Refund?", "form": None, "approvers": ["ada"], "timeout": None, "exclude_requester": False
    }  # fmt: skip


def test_stop_ends_well_and_gives_nothing_by_default() -> None:
    inputs: Any = get("flow.stop").validate_inputs({})
    assert inputs.model_dump() == {"output": None, "status": "succeeded", "message": ""}
    refused("flow.stop", {"status": "cancelled"})


@pytest.mark.parametrize(("key", "inputs"), ENGINE_ONLY.items())
def test_what_drives_a_run_cannot_be_tried_by_itself(key: str, inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{key} cannot be tried by itself") as caught:
        run_action(get(key), inputs)
    assert caught.value.hint
