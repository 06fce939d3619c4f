"""Publishing workflows that call each other: the check sees the tenant's others as they would run, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.facts import other_workflows
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_definition

TAKES = {"type": "object", "properties": {"domain": {"type": "string"}}, "required": ["domain"]}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


def make(actor: Actor, slug: str, *calls: str, config: dict[str, Any] | None = None, **more: Any) -> Workflow:
    """Make a draft that calls others; it can be called itself unless ``config`` is None."""
    steps: list[dict[str, Any]] = [{"key": "hi", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}]
    for number, called in enumerate(calls):
        inputs = {"workflow": called, "payload": {"domain": "a.test"}}
        steps.append({"key": f"call{number}", "action": "workflow.call", "config": {"inputs": inputs}})
    triggers = [] if config is None else [{"key": "called", "type": "workflow", "config": config}]
    document = {"name": slug.title(), "slug": slug, "triggers": triggers, "steps": steps, **more}
    return services.workflow_create(actor=actor, document=document)


def codes(actor: Actor, workflow: Workflow) -> list[tuple[str, str]]:
    return [(problem.severity, problem.code) for problem in services.check(workflow.refresh(), actor=actor)]


def test_a_called_workflow_is_seen_as_published_not_as_drafted(actor: Actor) -> None:
    child = make(actor, "child", config={"input": TAKES})
    parent = make(actor, "parent", "child")
    assert codes(actor, parent) == [("warning", "unpublished")]
    services.publish(actor=actor, workflow=child)
    assert codes(actor, parent) == []
    services.workflow_patch(actor=actor, workflow=child, changes={"triggers": []})
    assert codes(actor, parent) == []
    services.publish(actor=actor, workflow=child)
    assert codes(actor, parent) == [("warning", "no_entrance")]
    called = {"key": "called", "type": "workflow", "config": {"callers": []}}
    services.workflow_patch(actor=actor, workflow=child, changes={"triggers": [called]})
    services.publish(actor=actor, workflow=child)
    with pytest.raises(Invalid) as caught:
        services.publish(actor=actor, workflow=parent)
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) == ("steps[1].config.inputs.workflow", "caller")


def test_a_circle_is_found_over_published_ones_and_drafts(actor: Actor) -> None:
    make(actor, "draft", "start", config={})
    middle = make(actor, "middle", "draft", config={})
    services.publish(actor=actor, workflow=middle)
    start = make(actor, "start", "middle")
    (problem,) = services.check(start, actor=actor)
    assert problem.code == "cycle"
    assert "start → middle → draft → start" in problem.message


def test_another_tenants_workflow_is_none(actor: Actor, stranger: User) -> None:
    theirs = actor_for_user(stranger, "globex")
    services.publish(actor=theirs, workflow=make(theirs, "child", config={}))
    settings = {"error_workflow": "child"}
    parent = make(actor, "parent", "child", config={"callers": ["child"]}, settings=settings)
    assert sorted(codes(actor, parent)) == [
        ("error", "workflow_unknown"), ("error", "workflow_unknown"), ("warning", "workflow_unknown")
    ]  # fmt: skip
    assert all("Did you mean" not in problem.message for problem in services.check(parent, actor=actor))


def test_the_workflow_for_failures_is_looked_up(actor: Actor) -> None:
    alarm = make(actor, "alarm")
    parent = make(actor, "parent", settings={"error_workflow": "alarm"})
    assert codes(actor, parent) == [("warning", "unpublished")]
    services.publish(actor=actor, workflow=alarm)
    assert codes(actor, parent) == []


def test_few_queries_are_made_and_none_for_a_workflow_that_speaks_of_no_other(
    actor: Actor, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for slug, called in (("c", ()), ("b", ("c",)), ("a", ("b", "c"))):
        services.publish(actor=actor, workflow=make(actor, slug, *called, config={"input": TAKES}))
    alone, parent = (draft_definition(each) for each in (make(actor, "alone"), make(actor, "parent", "a", "b")))
    with django_assert_num_queries(0):
        assert other_workflows(actor.tenant.pk, alone) == {}
    # The names, then a and b, then c.
    with django_assert_num_queries(3):
        found = other_workflows(actor.tenant.pk, parent)
    assert {slug: facts.calls for slug, facts in found.items()} == {
        "a": ("b", "c"), "b": ("c",), "c": (), "alone": ()
    }  # fmt: skip
    assert found["a"].input_schema == TAKES
