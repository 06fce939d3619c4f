"""What a lane is as a workflow of its own: what is handed over, what is read instead, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import Invalid, NotFound
from orchestrator.flow.calls import MAX_DEPTH
from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.flow.expressions import ExpressionError
from orchestrator.flow.extracting import Extracted, extract, put_call
from orchestrator.flow.facts import ActionFacts, WorkflowFacts
from orchestrator.flow.passing import rewritten
from orchestrator.workflows.publishing import RegistryCatalog


def leaf(key: str, value: Any = None, **more: Any) -> dict[str, Any]:
    config = {"inputs": {"values": {"v": value}}, **more.pop("config", {})}
    return {"key": key, "action": "data.set", "config": config, **more}


def acts(key: str, action: str, inputs: Mapping[str, Any], **lanes: Sequence[Any]) -> dict[str, Any]:
    return {"key": key, "action": action, "config": {"inputs": dict(inputs)}, "lanes": lanes}


def lane_of(*steps: dict[str, Any], otherwise: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """Return a document whose lane ``then`` of ``check`` holds these steps, after the step ``first``."""
    check = acts("check", "flow.if", {"condition": True}, then=steps, **{"else": list(otherwise)})
    return {"name": "Leads", "slug": "leads", "steps": [leaf("first"), check, *more.pop("after", ())], **more}


def taken(document: Mapping[str, Any], key: str = "check", lane: str = "then", **more: Any) -> Extracted:
    definition = WorkflowDefinition.model_validate(document)
    return extract(definition, key=key, lane=lane, catalog=RegistryCatalog(), **{"workflows": {}, **more})


def read(document: Mapping[str, Any], **more: Any) -> tuple[Any, Any]:
    """Return what the lane's first step holds afterwards, and the payload."""
    found = taken(document, **more)
    values: Any = found.moved[0].config.inputs["values"]
    return values["v"], found.payload


@pytest.mark.parametrize(
    ("text", "after", "payload"),
    [
        ("plain, with trigger.body in it", "plain, with trigger.body in it", None),
        ("{{ vars.key }}", "{{ vars.key }}", None),
        ("{{ trigger }}", "{{ trigger.body.trigger }}", {"trigger": "{{ trigger }}"}),
        (
            "{{trigger.body.steps.first}}: {{ 'steps.first' + trigger.body.a }}",
            "{{trigger.body.trigger.body.steps.first}}: {{ 'steps.first' + trigger.body.trigger.body.a }}",
            {"trigger": "{{ trigger }}"},
        ),
        (
            "{{ steps.first.output.v if steps.first.status == 'skipped' else steps.first.output }}",
            "{{ trigger.body.steps.first.output.v if trigger.body.steps.first.status == 'skipped' else "
            "trigger.body.steps.first.output }}",
            {"steps": {"first": {"output": "{{ steps.first.output }}", "status": "{{ steps.first.status }}"}}},
        ),
        (
            "{{ default(steps['first'], {'steps': null}) }}",
            "{{ default(trigger.body.steps['first'], {'steps': null}) }}",
            {"steps": {"first": "{{ steps.first }}"}},
        ),
        (
            "éé {{ 'ü' }} {{ trigger.body[steps.first.output.v] }}",
            "éé {{ 'ü' }} {{ trigger.body.trigger.body[trigger.body.steps.first.output.v] }}",
            {"trigger": "{{ trigger }}", "steps": {"first": {"output": "{{ steps.first.output }}"}}},
        ),
        (
            "{{ run.id +\n workflow.name\n + run.kind }}",
            "{{ trigger.body.run.id +\n trigger.body.workflow.name\n + trigger.body.run.kind }}",
            {"run": {"id": "{{ run.id }}", "kind": "{{ run.kind }}"}, "workflow": {"name": "{{ workflow.name }}"}},
        ),
        ("{{ workflow }}", "{{ trigger.body.workflow }}", {"workflow": "{{ workflow }}"}),
    ],
)
def test_what_is_around_the_lane_is_handed_over_and_read_there(text: str, after: str, payload: Any) -> None:
    assert read(lane_of(leaf("a", text))) == (after, payload)


def test_texts_are_rewritten_wherever_they_stand_in_an_input() -> None:
    value, _payload = read(lane_of(leaf("a", {"x": ["{{ trigger.body }}", {"y": "{{ trigger.body }}", "{{ z }}": 1}]})))
    assert value == {"x": ["{{ trigger.body.trigger.body }}", {"y": "{{ trigger.body.trigger.body }}", "{{ z }}": 1}]}


def test_what_the_moved_steps_read_of_one_another_stays() -> None:
    inner = acts("inner", "flow.parallel", {}, one=[leaf("x", "{{ steps.a.output }}")], two=[])
    found = taken(
        lane_of(leaf("a"), inner, leaf("b", "{{ [steps.x.output, steps.inner.output.one, steps.first.status] }}"))
    )
    value: Any = found.moved[2].config.inputs["values"]
    assert value["v"] == "{{ [steps.x.output, steps.inner.output.one, trigger.body.steps.first.status] }}"
    held: Any = found.moved[1].lanes["one"][0].config.inputs["values"]
    assert held["v"] == "{{ steps.a.output }}"
    assert found.output == "{{ steps.b.output }}"


def test_an_item_of_a_loop_around_is_handed_over_and_one_of_a_moved_loop_stays() -> None:
    body = [leaf("x", "{{ item.n + index }}", config={"run_if": "item.ok and trigger.body.ok"})]
    inner = acts("inner", "flow.foreach", {"items": "{{ item.rows }}"}, body=body)
    check = acts(
        "check", "flow.if", {"condition": True}, then=[inner, leaf("last", "{{ index }} {{ item }}")], **{"else": []}
    )
    outer = acts("outer", "flow.foreach", {"items": "{{ trigger.body }}"}, body=[check])
    document = {"name": "Leads", "slug": "leads", "steps": [outer]}
    found = taken(document)
    loop, last = found.moved
    assert loop.config.inputs == {"items": "{{ trigger.body.item.rows }}"}
    (held,) = loop.lanes["body"]
    assert held.config.inputs == {"values": {"v": "{{ item.n + index }}"}}
    assert held.config.run_if == "item.ok and trigger.body.trigger.body.ok"
    assert last.config.inputs == {"values": {"v": "{{ trigger.body.index }} {{ trigger.body.item }}"}}
    assert found.payload == {"trigger": "{{ trigger }}", "item": "{{ item }}", "index": "{{ index }}"}
    whole = taken(document, key="outer", lane="body")
    assert whole.payload == {"trigger": "{{ trigger }}", "item": "{{ item }}", "index": "{{ index }}"}
    assert whole.moved[0].lanes["then"][0].config.inputs == {"items": "{{ trigger.body.item.rows }}"}


@pytest.mark.parametrize(
    ("where", "after"),
    [
        ("item.n > trigger.body.least", "item.n > trigger.body.trigger.body.least"),
        ("{{ item.n > trigger.body.least }}", "{{ item.n > trigger.body.trigger.body.least }}"),
        ("item.n > index", "item.n > index"),
        ("item == '{{'", "item == '{{'"),
    ],
)
def test_an_expression_over_items_keeps_its_item_with_braces_or_without(where: str, after: str) -> None:
    keep = acts("keep", "data.filter", {"items": "{{ item }}", "where": where})
    outer = acts("outer", "flow.foreach", {"items": "{{ trigger.body }}"}, body=[keep])
    document = {"name": "Leads", "slug": "leads", "steps": [outer]}
    if where == "item == '{{'":
        with pytest.raises(Invalid, match="cannot be read"):
            taken(document, key="outer", lane="body")
        return
    inputs = taken(document, key="outer", lane="body").moved[0].config.inputs
    assert inputs == {"items": "{{ trigger.body.item }}", "where": after}


def test_a_condition_without_braces_is_rewritten() -> None:
    found = taken(lane_of(leaf("a", config={"run_if": "steps.first.output.v == trigger.body.v"})))
    assert found.moved[0].config.run_if == "trigger.body.steps.first.output.v == trigger.body.trigger.body.v"


def test_the_rest_of_a_step_goes_with_it() -> None:
    retry = {"max_attempts": 5}
    config = {"retry": retry, "skip": True, "on_error": "continue", "timeout": 4, "on_lost": "ask"}
    step = leaf("a", name="Tell", credential="acme", notes="why", config=config)
    (moved,) = taken(lane_of(step)).moved
    assert moved == WorkflowDefinition.model_validate({"name": "a", "slug": "a", "steps": [step]}).steps[0]


def test_a_secret_goes_with_its_step_as_it_is() -> None:
    class Hiding(RegistryCatalog):
        def action(self, key: str) -> ActionFacts | None:
            facts = super().action(key)
            return replace(facts, secrets=("values",)) if facts and key == "data.set" else facts

    definition = WorkflowDefinition.model_validate(lane_of(leaf("a", "{{ trigger.body }} {{ nothing }}")))
    (moved,) = extract(definition, key="check", lane="then", catalog=Hiding(), workflows={}).moved
    assert moved.config.inputs == {"values": {"v": "{{ trigger.body }} {{ nothing }}"}}


def test_the_call_has_the_key_of_the_last_step_and_stands_alone_in_the_lane() -> None:
    definition = WorkflowDefinition.model_validate(lane_of(leaf("a"), leaf("b"), otherwise=[leaf("c")]))
    found = taken(definition.as_document())
    call = found.call(slug="leads-then", name="Then")
    steps = put_call(definition.steps, key="check", lane="then", call=call)
    assert steps[1].lanes == {"then": (call,), "else": definition.steps[1].lanes["else"]}
    assert (call.key, call.action, call.config.inputs) == ("b", "workflow.call", {"workflow": "leads-then"})
    assert steps[0] == definition.steps[0]


ASK = acts("ask", "flow.approve", {"message": "?"})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (lane_of(acts("halt", "flow.stop", {})), "steps.halt ends the run"),
        (lane_of(acts("in", "flow.if", {"condition": True}, then=[acts("halt", "flow.stop", {})])), "steps.halt ends"),
        (lane_of(leaf("a"), leaf("b"), after=[leaf("c", "{{ steps.a.output }}")]), "steps.c reads steps.a, and only"),
        (lane_of(leaf("a"), leaf("b"), output=["{{ steps.a.output }}"]), r"output\[0\] reads steps.a"),
        (lane_of(leaf("a"), leaf("b"), settings={"summary": ["steps.a.output.v"]}), "settings.summary reads steps.a"),
        (
            lane_of(leaf("a"), leaf("b"), triggers=[
                {"key": "hook", "type": "webhook", "config": {"response": {"body": "{{ steps.a.output }}"}}},
            ]),
            r"triggers\[0\] reads steps.a",
        ),
        (lane_of(leaf("a"), leaf("b"), after=[leaf("c", "{{ steps[trigger.body.k] }}")]), "name that is computed"),
        (lane_of(leaf("a"), leaf("b"), after=[leaf("c", config={"run_if": "steps.a.status == 'x'"})]), "steps.c reads"),
        (lane_of(leaf("a"), after=[leaf("c", "{{ steps.a.error }}")]), "would be about the call"),
        (lane_of(leaf("a"), after=[leaf("c", "{{ steps.a }}")]), "would be about the call"),
        (lane_of(leaf("a"), leaf("b"), after=[leaf("c", "{{ steps.b.status }}")]), "Read steps.b.output instead"),
        (lane_of(leaf("a", config={"run_if": "true"}), output="{{ steps.a.status }}"), "would be about the call"),
        (lane_of(leaf("a", config={"on_error": "continue"}), output="{{ steps.a.status }}"), "would be about the call"),
        (lane_of(leaf("a", "{{ steps[trigger.body.k].output }}")), "steps.a reads a step by a name that is computed"),
        (lane_of(leaf("a", "{{ steps.b.output }}"), leaf("b")), "steps.a reads steps.b, which cannot be read there"),
        (lane_of(leaf("a", "{{ steps.c.output }}"), after=[leaf("c")]), "steps.a reads steps.c, which cannot be read"),
        (lane_of(leaf("a", "{{ steps.c.output }}"), otherwise=[leaf("c")]), "steps.a reads steps.c, which cannot be"),
        (lane_of(leaf("a", "{{ steps.check.output }}")), "steps.a reads steps.check, which cannot be read there"),
        (lane_of(leaf("a", "{{ steps.first.outptu }}")), "steps.first.outptu, which does not exist"),
        (lane_of(leaf("a", "{{ item }}")), "steps.a reads item, which does not exist here"),
        (lane_of(leaf("a", "{{ triger.body }}")), "steps.a reads triger.body, which does not exist here"),
        (lane_of(leaf("a", "{{ trigger.body. }}")), "An expression cannot be read"),
        (lane_of(leaf("a", "{{ run }}")), "reads the run as a whole"),
        (lane_of(leaf("a", "{{ run.nothing }}")), "run.nothing, which does not exist"),
        (lane_of(leaf("a", "{{ run.links.ask }}"), after=[ASK]), "reads the link of a step that stays behind"),
        (lane_of(leaf("a", "{{ run.links }}"), ASK), "reads the link of a step that stays behind"),
        (lane_of(leaf("a", "{{ run.links.b }}"), leaf("b")), "steps.a reads run.links.b, which does not exist"),
        (lane_of(ASK, after=[leaf("c", "{{ run.links.ask }}")]), "steps.c reads the link of steps.ask"),
        (lane_of(ASK, output="{{ run }}"), "output reads the link of steps.ask"),
        (lane_of(acts("a", "workflow.call", {"workflow": "{{ trigger.body.slug }}"})), "whose name is computed"),
        (lane_of(acts("a", "workflow.call", {"workflow": "closed"})), "steps.a calls closed, which lists who may"),
        (lane_of(acts("a", "workflow.call", {"workflow": "d1"})), f"call each other {MAX_DEPTH + 1} deep then"),
    ],
)  # fmt: skip
def test_what_would_not_be_the_same_is_refused_with_its_reason(document: Mapping[str, Any], said: str) -> None:
    deep = {f"d{n}": WorkflowFacts(name="d", calls=(f"d{n + 1}",)) for n in range(1, MAX_DEPTH - 1)}
    workflows = {"closed": WorkflowFacts(name="Closed", callers=("leads",)), **deep}
    with pytest.raises(Invalid, match=said) as refused:
        taken(document, workflows=workflows, calls_above=1)
    assert refused.value.code == "not_extractable"
    assert all(problem.path for problem in refused.value.problems)


def test_every_reason_is_told_at_once_with_its_place() -> None:
    document = lane_of(leaf("a", "{{ run.links.ask }}"), acts("halt", "flow.stop", {}), after=[ASK])
    with pytest.raises(Invalid) as refused:
        taken(document)
    assert [(problem.code, problem.path) for problem in refused.value.problems] == [
        ("link", "steps[1].lanes.then[0].config.inputs.values"),
        ("stop", "steps[1].lanes.then[1]"),
    ]


@pytest.mark.parametrize(
    "document",
    [
        lane_of(leaf("a"), leaf("b"), after=[leaf("c", "{{ steps.b.output.v }}")], output="{{ steps.b.output }}"),
        lane_of(leaf("a"), output="{{ steps.a.status }}"),
        lane_of(leaf("a"), output="{{ steps.a. }}"),
        lane_of(leaf("a", "{{ run.links.ask }}"), ASK, after=[leaf("c", "{{ run.links.other }}")]),
        lane_of(acts("a", "workflow.call", {"workflow": "open"}), settings={"summary": ["steps.a.output.v"]}),
        lane_of(leaf("a"), after=[leaf("c", "{{ run.id }}")]),
    ],
)
def test_what_stays_the_same_is_moved(document: Mapping[str, Any]) -> None:
    workflows = {"open": WorkflowFacts(name="Open", has_trigger=True, calls=("leads", "open"))}
    taken(document, workflows=workflows, calls_above=1)


@pytest.mark.parametrize("action", ["flow.foreach", "flow.parallel"])
def test_a_failed_decision_as_the_last_of_a_lane_that_is_shown_is_refused(action: str) -> None:
    last = acts("last", "flow.if", {"condition": True}, then=[leaf("a")])
    last["config"]["on_error"] = "continue"
    holder = acts("holder", action, {"items": [1]} if action == "flow.foreach" else {}, body=[last])
    with pytest.raises(Invalid, match=r"steps\.last is the last of the lane and the run goes on when it fails"):
        taken({"name": "Leads", "slug": "leads", "steps": [holder]}, key="holder", lane="body")
    taken(lane_of(last))


@pytest.mark.parametrize(("key", "lane"), [("gone", "then"), ("check", "else"), ("check", "gone"), ("first", "then")])
def test_a_lane_that_is_not_there_is_told(key: str, lane: str) -> None:
    with pytest.raises(NotFound):
        taken(lane_of(leaf("a")), key=key, lane=lane)


def test_an_expression_that_would_be_too_long_is_refused() -> None:
    whole = "{{ " + " + ".join(["run.id"] * 400) + " }}"
    with pytest.raises(ExpressionError):
        rewritten(whole, lambda reference: True)
    with pytest.raises(Invalid, match="cannot be read"):
        taken(lane_of(leaf("a", whole)))
