"""Before a test of a step: what it reads has to be there, and what really acts is asked about once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.builder import testing
from orchestrator.errors import NotFound
from orchestrator.flow.definition import StepDefinition, steps_before
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from runs.models import Run
from runs.services import run_cancel, run_start_by_actor, run_start_until
from tests.runs.ground import drive, step

pytestmark = pytest.mark.django_db(transaction=True)
READS = {"values": {"of": "{{ steps.first.output.name }} {{ trigger.body.x }}"}}
SENDS = {"channel": "#a", "text": "hi {{ steps.second.output.of }}"}
STEPS = [
    step("first", inputs={"values": {"name": "{{ trigger.body.name }}"}}),
    step("second", inputs=READS),
    {**step("tell", "slack.sendMessage", inputs=SENDS), "credential": "team"},
    step("last", inputs={"values": {"of": "{{ steps.tell.output.ts }}"}}),
]


@pytest.fixture
def actor(tenant: Tenant, owner: User) -> Actor:
    found = actor_for_user(owner, tenant.slug)
    vault.credential_create(
        actor=found, name="team", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-1"}
    )
    return found


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document={"name": "Tests", "steps": STEPS})


@pytest.fixture
def builder(client: Client, owner: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(testing, "TEST_SECONDS", 0)
    client.force_login(owner)
    return client


def page(workflow: Workflow, key: str) -> str:
    return reverse("workflow-step", args=["acme", workflow.pk, key])


def press(builder: Client, workflow: Workflow, key: str, then: str) -> Any:
    """Press a button of the form; return what is asked, None when a test was started."""
    panel = builder.get(page(workflow, key)).context["step"]
    form = {name: value for field in (*panel.fields, *panel.folded) for name, value in field.posted().items()}
    form["credential"] = next((choice.name for choice in panel.credentials if choice.selected), "")
    answer = builder.post(page(workflow, key), {**form, "then": then})
    return builder.get(answer.headers["Location"]).context["question"]


def kinds(workflow: Workflow) -> list[str]:
    return [run.kind for run in Run.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).order_by("pk")]


def test_what_reads_a_step_that_has_not_run_asks_to_run_it_first(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    asked = press(builder, workflow, "second", "test")
    assert asked.then == "first"
    assert "It reads what step 2 gives" in asked.words
    assert kinds(workflow) == []
    press(builder, workflow, "second", "first")
    drive()
    run = Run.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert (run.kind, run.status) == ("test", "failed"), "there is no name to read yet"
    assert [row.key for row in run.steps.all()] == ["first"]


def test_the_steps_before_are_run_with_the_trigger_at_hand_and_then_the_step_can_be_tested(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    sent = run_start_by_actor(actor=actor, workflow=workflow, payload={"name": "Ada", "x": 1}, version="draft")
    run_cancel(actor=actor, run=sent)
    assert press(builder, workflow, "second", "test").then == "first"
    assert press(builder, workflow, "second", "first") is None
    drive()
    until = Run.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert [(row.key, row.output) for row in until.steps.all()] == [("first", {"name": "Ada"})]
    assert press(builder, workflow, "second", "test") is None
    drive()
    tested = Run.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert (tested.kind, tested.steps.get().output) == ("step", {"of": "Ada 1"})


def test_what_really_acts_is_asked_about_once(builder: Client, actor: Actor, workflow: Workflow) -> None:
    sent = run_start_by_actor(actor=actor, workflow=workflow, payload={"name": "Ada", "x": 1}, version="draft")
    run_cancel(actor=actor, run=sent)
    run_start_until(actor=actor, workflow=workflow, key="tell")
    before = len(kinds(workflow))
    drive()
    asked = press(builder, workflow, "tell", "test")
    assert (asked.then, asked.press) == ("send", "Do it")
    assert "This test really does it" in asked.words
    assert len(kinds(workflow)) == before
    assert press(builder, workflow, "tell", "send") is None
    assert len(kinds(workflow)) == before + 1
    drive()
    assert press(builder, workflow, "tell", "test") is None
    assert len(kinds(workflow)) == before + 2


def test_the_question_says_which_of_the_steps_before_really_act(builder: Client, workflow: Workflow) -> None:
    asked = press(builder, workflow, "last", "test")
    assert "Of the steps before it, 4 really acts." in asked.words


@pytest.mark.parametrize(("method", "asks"), [("GET", False), ("HEAD", False), ("POST", True), ("{{ x }}", True)])
def test_a_request_that_only_asks_is_not_asked_about(builder: Client, actor: Actor, method: str, asks: bool) -> None:
    inputs = {"url": "http://127.0.0.1:1/", "method": method}
    made = services.workflow_create(
        actor=actor, document={"name": "Http", "steps": [step("call", "http.request", inputs=inputs)]}
    )
    asked = builder.get(page(made, "call"), {"ask": "1"}).context["question"]
    assert (asked is not None) is asks


def test_who_only_looks_is_asked_nothing(builder: Client, workflow: Workflow) -> None:
    assert builder.get(page(workflow, "tell")).context["question"] is None
    assert "Do it" not in builder.get(page(workflow, "tell")).content.decode()


def test_a_step_that_is_not_there_has_nothing_before_it(actor: Actor, workflow: Workflow) -> None:
    with pytest.raises(NotFound):
        run_start_until(actor=actor, workflow=workflow, key="nobody")


def keys(steps: Any) -> list[Any]:
    return [
        [each.key, {name: keys(lane) for name, lane in each.lanes.items()}] if each.lanes else each.key
        for each in steps
    ]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("a", []),
        ("b", ["a", ["check", {"then": [], "else": []}]]),
        ("c", ["a", ["check", {"then": ["b"], "else": []}]]),
        ("d", ["a", ["check", {"then": [], "else": [["loop", {"body": []}]]}]]),
        ("e", ["a", ["check", {"then": ["b", "c"], "else": [["loop", {"body": ["d"]}]]}]]),
        ("nobody", None),
    ],
)
def test_of_the_lanes_around_a_step_only_its_own_runs_and_as_far_as_to_it(key: str, expected: Any) -> None:
    def holds(key: str, **lanes: Any) -> dict[str, Any]:
        return {"key": key, "action": "flow.if", "lanes": lanes}

    loop = holds("loop", body=[step("d")])
    steps = [step("a"), holds("check", then=[step("b"), step("c")], **{"else": [loop]}), step("e")]
    found = steps_before(tuple(StepDefinition.model_validate(each) for each in steps), key)
    assert (None if found is None else keys(found)) == expected
