"""The outline of steps: what of it is folded, and how the last test of the draft went."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import edits, services
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run, StepRun
from tests.builder.ground import plain, put_run

pytestmark = pytest.mark.django_db


def leaf(key: str, **values: Any) -> dict[str, Any]:
    return {"key": key, "name": key, "action": "data.set", "config": {"inputs": {"values": values or {"a": 1}}}}


def decides(key: str, then: list[dict[str, Any]], *otherwise: dict[str, Any]) -> dict[str, Any]:
    inputs = {"condition": "{{ true }}"}
    lanes = {"then": then, "else": list(otherwise)}
    return {"key": key, "name": key, "action": "flow.if", "config": {"inputs": inputs}, "lanes": lanes}


def deep(*bottom: dict[str, Any], levels: int = 5) -> dict[str, Any]:
    """Return a step with ``levels`` lanes in one another: ``d1`` is outermost, and ``bottom`` is in the last."""
    inner = list(bottom)
    for level in range(levels, 0, -1):
        inner = [decides(f"d{level}", inner)]
    return inner[0]


def made(actor: Actor, *steps: dict[str, Any]) -> Workflow:
    document = {"name": "Folds", "slug": "folds", "triggers": [{"key": "hand", "type": "manual"}], "steps": list(steps)}
    return services.workflow_create(actor=actor, document=document)


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def at(workflow: Workflow, key: str = "") -> str:
    parts = ["acme", workflow.pk]
    return reverse("workflow-step", args=[*parts, key]) if key else reverse("workflow", args=parts)


def folds(text: str) -> dict[str, bool]:
    """Return what can be folded, and whether it is open."""
    return {name: bool(is_open) for name, is_open in re.findall(r'<details[^>]* data-fold="([^"]+)"( open)?>', text)}


def shut(client: Client, address: str) -> set[str]:
    return {name for name, is_open in folds(client.get(address).content.decode()).items() if not is_open}


def test_lanes_and_what_holds_several_can_be_folded_each(builder: Client, actor: Actor) -> None:
    loop = {
        "key": "each", "action": "flow.foreach", "config": {"inputs": {"items": [1]}}, "lanes": {"body": [leaf("in")]},
    }  # fmt: skip
    page = builder.get(at(made(actor, decides("big", [leaf("a"), leaf("b")]), loop), "big")).content.decode()
    assert folds(page) == {"big": True, "big.0": True, "big.1": True, "each.0": True}
    assert "Collapse all" in page
    assert "Expand all" not in page
    words = [plain(each) for each in re.findall(r"<summary.*?</summary>", page, re.DOTALL) if "data-place" in each]
    assert words == ["Then 2 steps", "Else 0 steps", "For each item 1 step"]


def test_a_workflow_without_lanes_offers_nothing_to_fold(builder: Client, actor: Actor) -> None:
    page = builder.get(at(made(actor, leaf("one")), "one")).content.decode()
    assert folds(page) == {}
    assert "Collapse all" not in page


def test_what_lies_deeper_than_three_lanes_is_folded_and_says_how_much_it_holds(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("top"), deep(leaf("x"), leaf("y"), levels=4))
    assert shut(builder, at(workflow, "top")) == {"d4", "d4.0", "d4.1"}
    page = builder.get(at(workflow, "top")).content.decode()
    found = re.search(r'data-fold="d4".*?</summary>', page, re.DOTALL)
    assert found
    assert plain(found[0]).endswith("Lanes of d4 2 steps")
    assert "Expand all" in page


def test_a_deep_lane_is_open_when_the_selected_step_is_in_it(builder: Client, actor: Actor) -> None:
    workflow = made(actor, deep(leaf("x"), levels=5))
    assert shut(builder, at(workflow, "x")) == {"d4.1", "d5.1"}


def test_a_deep_lane_is_open_when_something_in_it_is_to_be_mended(builder: Client, actor: Actor) -> None:
    broken = {"key": "bad", "action": "slack.sendMessage", "config": {"inputs": {}}}
    workflow = made(actor, leaf("top"), deep(broken, levels=4))
    assert shut(builder, at(workflow, "top")) == {"d4.1"}
    builder.get(at(workflow, "top"), {"lanes": "folded"})
    page = builder.get(at(workflow, "top")).content.decode()
    assert not any(folds(page).values())
    found = re.search(r'data-fold="d1".*?</summary>', page, re.DOTALL)
    assert found
    assert plain(found[0]).endswith("4 steps, 1 with a problem")


def test_all_of_it_is_folded_and_opened_and_that_is_kept_for_this_workflow(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("top"), deep(leaf("x"), levels=5))
    answer = builder.get(at(workflow, "top"), {"lanes": "folded", "run": "7"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{at(workflow, 'top')}?run=7"
    assert answer.cookies["lanes"]["path"] == at(workflow)
    assert shut(builder, at(workflow, "top")) == set(folds(builder.get(at(workflow, "top")).content.decode()))
    assert "Collapse all" not in builder.get(at(workflow, "top")).content.decode()
    assert "d5" not in shut(builder, at(workflow, "x")), "the selected step is always seen"
    assert builder.get(at(workflow, "top"), {"lanes": "open"}).headers["Location"] == at(workflow, "top")
    assert shut(builder, at(workflow, "top")) == set()
    assert "Expand all" not in builder.get(at(workflow, "top")).content.decode()


def test_an_address_that_folds_keeps_what_else_was_asked_for(builder: Client, actor: Actor) -> None:
    page = builder.get(at(made(actor, decides("big", [leaf("a")])), "big"), {"text": "condition"}).content.decode()
    assert 'href="?text=condition&amp;lanes=folded"' in page


@pytest.mark.parametrize(
    ("cookie", "folded"),
    [
        ("0-big.0-other", {"big.0"}),
        ("0", set()),
        ("*", {"big", "big.0", "big.1"}),
        ("", set()),
        ("big.0", set()),
        ("0-" + "x" * 9_000 + "-big.0", set()),
        ("*-0", set()),
    ],
)
def test_what_a_script_kept_is_drawn_and_nonsense_is_nothing(
    builder: Client, actor: Actor, cookie: str, folded: set[str]
) -> None:
    workflow = made(actor, leaf("top"), decides("big", [leaf("a")]))
    builder.cookies["lanes"] = cookie
    assert shut(builder, at(workflow, "top")) == folded


def test_another_word_for_folding_is_no_error(builder: Client, actor: Actor) -> None:
    answer = builder.get(at(made(actor, leaf("top")), "top"), {"lanes": "\x00//evil"})
    assert answer.status_code == 200
    assert "lanes" not in answer.cookies


# How the last test went.


def attempt(version: WorkflowVersion, key: str, status: str, minutes: int) -> None:
    put_run(version, "failed" if status == "failed" else "succeeded", kind="step")
    then = timezone.now() - timedelta(minutes=minutes)
    StepRun.unscoped.create(
        tenant=version.tenant, run=Run.unscoped.filter(version=version).latest("pk"), path=key, key=key,
        action="data.set", status=status, started_at=then, finished_at=then,
    )  # fmt: skip


def header(client: Client, address: str) -> str:
    found = re.search(r'<span id="last-test".*?</span>(?=<|\n)', client.get(address).content.decode(), re.DOTALL)
    assert found
    return plain(found[0])


def test_the_outline_says_when_the_last_test_was_and_how_many_failed(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("one"), leaf("two"), leaf("three"))
    assert header(builder, at(workflow, "one")) == ""
    version = services.publish(actor=actor, workflow=workflow).version
    attempt(version, "one", "succeeded", 9)
    assert header(builder, at(workflow, "one")) == "· last test 9 min ago"
    attempt(version, "two", "failed", 5)
    attempt(version, "three", "lost", 2)
    assert header(builder, at(workflow, "one")) == "· last test 2 min ago , 2 failed"
    attempt(version, "three", "succeeded", 1)
    assert header(builder, at(workflow, "one")) == "· last test 1 min ago , 1 failed"


def test_a_step_that_failed_because_one_in_it_did_counts_once(builder: Client, actor: Actor) -> None:
    workflow = made(actor, decides("big", [leaf("in")]))
    version = services.publish(actor=actor, workflow=workflow).version
    attempt(version, "big", "failed", 2)
    assert header(builder, at(workflow, "big")) == "· last test 2 min ago , 1 failed"
    attempt(version, "in", "failed", 2)
    assert header(builder, at(workflow, "big")) == "· last test 2 min ago , 1 failed"


def test_what_a_step_that_is_gone_did_is_not_counted(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("one"), leaf("two"))
    version = services.publish(actor=actor, workflow=workflow).version
    attempt(version, "two", "failed", 1)
    edits.step_remove(actor=actor, workflow=workflow, key="two")
    assert header(builder, at(workflow, "one")) == ""


def test_a_result_that_comes_later_brings_the_outlines_line_along(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("one"))
    attempt(services.publish(actor=actor, workflow=workflow).version, "one", "failed", 3)
    part = builder.get(at(workflow, "one"), headers={"HX-Request": "true"}).content.decode()
    found = re.search(r'<span id="last-test" hx-swap-oob="true">.*', part, re.DOTALL)
    assert found
    assert plain(found[0]) == "· last test 3 min ago , 1 failed"


def test_the_line_of_the_last_test_asks_for_nothing_more(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("one"), *(leaf(f"s{number}") for number in range(20)))
    version = services.publish(actor=actor, workflow=workflow).version

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert builder.get(at(workflow, "one")).status_code == 200
        return len(found)

    attempt(version, "s1", "failed", 3)
    few = queries()
    for number in range(2, 15):
        attempt(version, f"s{number}", "failed", 3)
    assert queries() == few
