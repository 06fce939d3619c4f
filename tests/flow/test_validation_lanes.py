"""What can be read from where: lanes, loops and expressions over items; and lanes that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.documents import foreach, found, hello, holder, if_, step, told

NAME = "config.inputs.name"
FORM: dict[str, Any] = {"type": "object", "properties": {"amount": {"type": "number"}}}


def reads(expression: str, key: str = "reader") -> dict[str, Any]:
    return hello(f"{{{{ {expression} }}}}", key=key)


def parallel(key: str, left: list[dict[str, Any]], right: list[dict[str, Any]], **config: Any) -> dict[str, Any]:
    config.setdefault("inputs", {})
    return holder(key, "flow.parallel", {"left": left, "right": right}, **config)


def switch(key: str, lanes: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return holder(key, "flow.switch", lanes, inputs={"value": "{{ trigger.body.plan }}"})


@pytest.mark.parametrize(
    "steps",
    [
        [if_("big", [step("a"), reads("steps.a.output.a")]), reads("steps.big.output.lane", "after")],
        [step("a"), if_("big", [], [reads("steps.a.output.a")])],
        [switch("plan", {"gold": [step("a")], "default": []})],
        [switch("plan", {"gold": [step("a")], "default": []}), reads("default(steps.a.output.a, 1)")],
        [switch("plan", {"gold": [step("a")], "default": []}), reads("steps.a.status")],
        [parallel("both", [step("a")], [step("b")]), reads("steps.a.output.a + steps.both.output.right.a")],
        [foreach("e", step("a"), reads("steps.a.output.a + item.n + index")), reads("json(steps.e.output)", "n")],
        [foreach("each", foreach("inner", reads("item.x"), items="{{ item.lines }}"))],
        [foreach("each", if_("big", [reads("item.x")])), reads("steps.each.output[0].lane", "after")],
        [foreach("each", step("a"), foreach("inner", reads("steps.a.output.a")))],
        [step("list", "data.filter", inputs={"items": "{{ trigger.body }}", "where": "{{ item.n > index }}"})],
        [step("list", "data.sort", inputs={"items": [1], "by": "item.n"})],
        [hello("{{ run.links.ok }}"), step("ok", "flow.approve", inputs={"message": "{{ run.links.ok }}"})],
        [foreach("each", hello("{{ run.links.back }}"), step("back", "flow.callback", inputs={}))],
        [step("end", "flow.stop", inputs={}, run_if="{{ trigger.body.done }}"), step("a")],
        [if_("big", [step("end", "flow.stop", inputs={})]), step("a")],
    ],
)  # fmt: skip
def test_good_workflows_have_no_problem(steps: list[dict[str, Any]]) -> None:
    assert told(*steps) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # After a lane that may not have run, its steps are there and may be null.
        ([if_("big", [step("a")]), reads("steps.a.output.a")], ("warning", f"steps[1].{NAME}", "skipped")),
        ([if_("big", [if_("in", [step("a")])]), reads("steps.a.output")], ("warning", f"steps[1].{NAME}", "skipped")),
        ([switch("plan", {"default": [step("a")]}), reads("steps.a.output.a")],
         ("warning", f"steps[1].{NAME}", "skipped")),
        ([parallel("both", [step("a")], [step("b")], inputs={"on_lane_error": "continue"}), reads("steps.a.output.a")],
         ("warning", f"steps[1].{NAME}", "skipped")),
        ([parallel("both", [step("a")], [step("b")], inputs={"on_lane_error": "{{ vars.region }}"}),
          reads("steps.a.output.a")], ("warning", f"steps[1].{NAME}", "skipped")),
        ([parallel("both", [step("a")], [step("b")], on_error="continue"), reads("steps.a.output.a")],
         ("warning", f"steps[1].{NAME}", "skipped")),
        ([parallel("both", [step("a")], [step("b")], run_if="{{ true }}"), reads("steps.a.output.a")],
         ("warning", f"steps[1].{NAME}", "skipped")),
        # Not from a sibling lane, whichever comes first.
        ([if_("big", [step("a")], [reads("steps.a.output")])], ("error", f"steps[0].lanes.else[0].{NAME}", "lane")),
        ([parallel("both", [reads("steps.b.output")], [step("b")])],
         ("error", f"steps[0].lanes.left[0].{NAME}", "lane")),
        ([parallel("both", [step("a")], [if_("in", [reads("steps.a.output")])])],
         ("error", f"steps[0].lanes.right[0].lanes.then[0].{NAME}", "lane")),
        # Not the step that holds the lane, and nothing later.
        ([if_("big", [reads("steps.big.output")])], ("error", f"steps[0].lanes.then[0].{NAME}", "order")),
        ([if_("big", [reads("steps.late.output")]), step("late")],
         ("error", f"steps[0].lanes.then[0].{NAME}", "order")),
        ([foreach("each", reads("steps.a.output"), step("a"))], ("error", f"steps[0].lanes.body[0].{NAME}", "order")),
        # A loop's steps within the same turn alone.
        ([foreach("each", step("a")), reads("steps.a.output")], ("error", f"steps[1].{NAME}", "loop")),
        ([foreach("each", if_("in", [step("a")])), reads("steps.a.output")], ("error", f"steps[1].{NAME}", "loop")),
        ([foreach("each", foreach("in", step("a")), reads("steps.a.output"))],
         ("error", f"steps[0].lanes.body[1].{NAME}", "loop")),
        ([foreach("each", step("a")), foreach("more", reads("steps.a.output"))],
         ("error", f"steps[1].lanes.body[0].{NAME}", "loop")),
        ([reads("steps.a.output"), foreach("each", step("a"))], ("error", f"steps[0].{NAME}", "order")),
        # item and index in loops and in expressions over items alone.
        ([foreach("each", step("a")), reads("item.x")], ("error", f"steps[1].{NAME}", "reference")),
        ([foreach("each", step("a"), items="{{ item.x }}")], ("error", "steps[0].config.inputs.items", "reference")),
        ([step("f", "data.filter", inputs={"items": "{{ item }}", "where": "{{ true }}"})],
         ("error", "steps[0].config.inputs.items", "reference")),
        ([step("f", "data.filter", inputs={"items": [], "where": "{{ steps.g.output }}"})],
         ("error", "steps[0].config.inputs.where", "reference")),
        ([step("f", "data.filter", inputs={"items": [], "where": "{{ 1 + }}"})],
         ("error", "steps[0].config.inputs.where", "expression")),
        ([step("f", "data.filter", inputs={"items": [], "where": "{{ 'yes' }}"})],
         ("error", "steps[0].config.inputs.where", "type")),
        ([step("f", "data.filter", inputs={"items": [], "where": "text {{ item }}"})],
         ("error", "steps[0].config.inputs.where", "type")),
        ([step("f", "data.filter", inputs={"items": [], "where": 5})],
         ("error", "steps[0].config.inputs.where", "string_type")),
        ([step("f", "data.sort", inputs={"items": {"a": 1}})], ("error", "steps[0].config.inputs.items", "list_type")),
        # Lanes that decide, repeat or join nothing.
        ([if_("big", [])], ("warning", "steps[0].lanes", "empty_lanes")),
        ([step("big", "flow.if", inputs={"condition": True})], ("warning", "steps[0].lanes", "empty_lanes")),
        ([switch("plan", {"gold": [step("a")]})], ("warning", "steps[0].lanes", "no_default")),
        ([switch("plan", {})], ("warning", "steps[0].lanes", "empty_lanes")),
        ([foreach("each")], ("error", "steps[0].lanes.body", "loop_empty")),
        ([step("each", "flow.foreach", inputs={"items": []})], ("error", "steps[0].lanes.body", "loop_empty")),
        ([holder("p", "flow.parallel", {"left": [step("a")]}, inputs={})], ("warning", "steps[0].lanes", "one_lane")),
        ([parallel("p", [step("a")], [])], ("warning", "steps[0].lanes", "one_lane")),
        ([holder("a", "hello.world", {"then": [step("b")]}, inputs={"name": "x"})],
         ("error", "steps[0].lanes.then", "lane")),
        ([if_("big", [step("a")]) | {"lanes": {"than": [step("a")]}}], ("error", "steps[0].lanes.than", "lane")),
        ([step("end", "flow.stop", inputs={}), step("a"), step("b")], ("warning", "steps[1]", "unreachable")),
        ([if_("big", [step("end", "flow.stop", inputs={})], [step("stop", "flow.stop", inputs={})]), step("a")],
         ("warning", "steps[1]", "unreachable")),
        ([if_("big", [step("end", "flow.stop", inputs={}), step("a")])],
         ("warning", "steps[0].lanes.then[1]", "unreachable")),
    ],
)  # fmt: skip
def test_each_problem_is_told_at_its_path(steps: list[dict[str, Any]], expected: tuple[str, str, str]) -> None:
    assert told(*steps).count(expected) == 1
    assert [row for row in told(*steps) if row[0] == "error" and row != expected] == []


def test_after_a_loop_the_error_says_what_to_use_instead() -> None:
    (problem,) = found(foreach("each", step("send")), reads("steps.send.output.id"))
    assert "Use steps.each.output" in problem.message


def test_the_outermost_loop_is_named_where_two_are_around() -> None:
    (problem,) = found(foreach("each", foreach("inner", step("send"))), reads("steps.send.output"))
    assert "steps.each.output" in problem.message


def test_a_bare_name_over_items_is_taken_for_a_field_of_the_item() -> None:
    (problem,) = found(step("f", "data.sort", inputs={"items": [], "by": "amount"}))
    assert problem.message == "amount does not exist. Did you mean item.amount?"
    (problem,) = found(step("f", "data.sort", inputs={"items": [], "by": "{{ itm.amount }}"}))
    assert "Did you mean item?" in problem.message


@pytest.mark.parametrize(
    ("steps", "output", "says"),
    [
        ([if_("big", [step("a")])], "{{ steps.big.output.lan }}", "steps.big.output.lane"),
        ([parallel("both", [step("a")], [step("b")])], "{{ steps.both.output.lefft }}", "steps.both.output.left"),
        ([parallel("both", [hello("A", "a")], [step("b")])], "{{ steps.both.output.left.mesage }}",
         "steps.both.output.left.message"),
        ([foreach("each", hello("A", "a"))], "{{ steps.each.output[0].mesage }}", "steps.each.output[0].message"),
        ([foreach("each", foreach("in", hello("A", "a")))], "{{ steps.each.output[0][1].mesage }}",
         "steps.each.output[0][1].message"),
        ([step("w", "flow.wait", inputs={"seconds": 1})], "{{ steps.w.output.waited }}",
         "steps.w.output.waited_seconds"),
        ([step("ok", "flow.approve", inputs={"message": "m", "form": FORM})],
         "{{ steps.ok.output.form.amuont }}", "steps.ok.output.form.amount"),
        ([step("call", "flow.callback", inputs={})], "{{ steps.call.output.boddy }}", "steps.call.output.body"),
    ],
)  # fmt: skip
def test_what_a_step_gives_is_known_from_its_lanes_and_its_form(
    steps: list[dict[str, Any]], output: str, says: str
) -> None:
    (problem,) = found(*steps, output=output)
    assert problem.path == "output"
    assert f"Did you mean {says}?" in problem.message


def test_the_list_of_a_loop_fits_a_list_and_nothing_else() -> None:
    loop = foreach("each", hello("A", "a"))
    assert told(loop, foreach("again", step("b"), items="{{ steps.each.output }}")) == []
    assert told(loop, foreach("again", step("b"), items="{{ steps.each.output[0] }}")) == [
        ("error", "steps[1].config.inputs.items", "type")
    ]


@pytest.mark.parametrize(
    ("steps", "code", "says"),
    [
        ([step("ok", "flow.approve", inputs={"message": "m"}), reads("run.links.okk")], "reference",
         "Did you mean run.links.ok?"),
        ([step("send", "flow.stop", inputs={}), reads("run.links.send")], "link", "no approval and no callback"),
        ([reads("run.links.gone")], "reference", "run.links.gone does not exist"),
        ([foreach("each", step("ok", "flow.approve", inputs={"message": "m"})), reads("run.links.ok")], "loop",
         "in each turn of steps.each"),
        ([foreach("a", step("ok", "flow.callback", inputs={})), foreach("b", reads("run.links.ok"))], "loop",
         "in each turn of steps.a"),
    ],
)  # fmt: skip
def test_a_link_is_of_an_approval_or_callback_of_the_same_turn(
    steps: list[dict[str, Any]], code: str, says: str
) -> None:
    (problem,) = [problem for problem in found(*steps) if problem.severity == "error"]
    assert problem.code == code
    assert says in problem.message


def test_a_link_that_may_be_missing_and_links_as_a_whole_are_taken() -> None:
    assert told(reads("default(run.links.gone, 'none')")) == []
    assert told(hello("{{ json(run.links) }}"), output="{{ run.links }}") == []


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"form": {"type": "object", "properties": {"amount": {"type": "nmber"}}}},
         ("error", "steps[0].config.inputs.form.properties.amount.type", "json_schema")),
        ({"form": {"type": "string"}}, ("error", "steps[0].config.inputs.form.type", "json_schema")),
        ({"form": {"type": "object", "properties": {"a": {"pattern": "(a+)+"}}}},
         ("error", "steps[0].config.inputs.form.properties.a.pattern", "json_schema")),
        ({"exclude_requester": True}, ("warning", "steps[0].config.inputs.exclude_requester", "no_approvers")),
        ({"timeout": 0}, ("error", "steps[0].config.inputs.timeout", "greater_than")),
    ],
)  # fmt: skip
def test_an_approval_is_checked(inputs: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert told(step("ok", "flow.approve", inputs={"message": "m", **inputs})) == [expected]


@pytest.mark.parametrize(
    "inputs",
    [
        {"form": FORM, "approvers": ["ada"], "exclude_requester": True, "timeout": 60},
        {"form": {**FORM, "title": "{{ trigger.body.title }}"}},
        {"form": "{{ trigger.body.form }}", "approvers": "{{ trigger.body.who }}", "exclude_requester": True},
        {"form": {"type": "{{ vars.region }}"}},
    ],
)
def test_a_good_approval_has_no_problem(inputs: dict[str, Any]) -> None:
    assert told(step("ok", "flow.approve", inputs={"message": "m", **inputs})) == []


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, [("error", "steps[0].config.inputs", "wait_one")]),
        ({"seconds": 1, "until": "2026-01-01"}, [("error", "steps[0].config.inputs", "wait_one")]),
        ({"seconds": 1, "until": "{{ trigger.body.at }}"}, [("warning", "steps[0].config.inputs.until", "wait_one")]),
        ({"until": "{{ trigger.body.at }}"}, []),
        ({"seconds": "{{ 'soon' }}"}, [("error", "steps[0].config.inputs.seconds", "type")]),
        ({"until": "soon"}, [("error", "steps[0].config.inputs.until", "datetime_parsing")]),
    ],
)
def test_a_wait_is_checked(inputs: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert told(step("w", "flow.wait", inputs=inputs)) == expected


@pytest.mark.parametrize(
    "made",
    [
        if_("a", [step("b")]), switch("a", {"default": [step("b")]}), foreach("a", step("b")),
        parallel("a", [step("b")], [step("c")]), step("a", "flow.wait", inputs={"seconds": 1}),
        step("a", "flow.approve", inputs={"message": "m"}), step("a", "flow.callback", inputs={}),
        step("a", "flow.stop", inputs={}),
    ],
    ids=lambda made: made["action"],
)  # fmt: skip
def test_options_that_mean_nothing_on_control_flow_are_told(made: dict[str, Any]) -> None:
    assert told(made) == []
    config = {**made["config"], "timeout": 5, "retry": {"max_attempts": 2}, "run_if": "{{ true }}"}
    assert set(told({**made, "config": config})) == {
        ("warning", "steps[0].config.timeout", "no_effect"),
        ("warning", "steps[0].config.retry", "no_effect"),
    }


def test_a_loop_over_data_needs_a_time_limit_of_the_workflow() -> None:
    def codes(items: Any, timeout: int | None) -> list[str]:
        return [code for _s, _p, code in told(foreach("each", step("a"), items=items), settings={"timeout": timeout})]

    assert codes("{{ trigger.body }}", None) == ["loop_unlimited"]
    assert codes("{{ trigger.body }}", 60) == []
    assert codes([1, 2], None) == []


def test_a_step_after_a_switch_whose_every_lane_stops_is_unreachable() -> None:
    def codes(*lanes: str) -> list[str]:
        ends = {name: [step(f"end_{name}", "flow.stop", inputs={})] for name in lanes}
        return [code for _s, _p, code in told(switch("plan", ends), step("a"))]

    assert codes("gold", "default") == ["unreachable"]
    assert "unreachable" not in codes("gold")
