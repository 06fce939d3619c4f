"""Moving a lane into its own workflow, in the builder: where it is offered, what is shown, and what comes of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_document
from tests.builder.ground import plain
from tests.builder.test_outline import decides, deep, leaf, made

pytestmark = pytest.mark.django_db

OFFER = "Move into its own workflow"


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def at(workflow: Workflow, key: str, name: str = "workflow-step-extract") -> str:
    return reverse(name, args=["acme", workflow.pk, key])


def reads(key: str, text: str) -> dict[str, Any]:
    return leaf(key, v=text)


def page_of(client: Client, address: str, **given: str) -> str:
    answer = client.get(address, given)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    then = [reads("told", "{{ steps.top.output }} {{ trigger.body }}"), leaf("last")]
    return made(actor, leaf("top"), decides("big", then, leaf("no")), reads("end", "{{ steps.last.output }}"))


def test_what_lies_deep_offers_it_below_its_folded_line(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("top"), deep(leaf("x"), levels=5))
    page = page_of(builder, at(workflow, "top", "workflow-step"))
    outline = page[page.index('class="ol"') : page.index("</section>", page.index('class="ol"'))]
    assert re.findall(rf'href="([^"]+)">{OFFER}', outline) == [at(workflow, "d5"), at(workflow, "d4")]


def test_an_empty_lane_that_lies_deep_offers_nothing(builder: Client, actor: Actor) -> None:
    workflow = made(actor, leaf("top"), deep(levels=4))
    assert OFFER not in page_of(builder, at(workflow, "top", "workflow-step"))


def test_any_step_whose_lanes_hold_steps_offers_it_in_its_menu(builder: Client, workflow: Workflow) -> None:
    assert f'href="{at(workflow, "big")}"' in page_of(builder, at(workflow, "big", "workflow-step"))
    assert at(workflow, "top") not in page_of(builder, at(workflow, "top", "workflow-step"))


def test_lanes_with_names_of_their_own_offer_it_one_by_one(builder: Client, actor: Actor) -> None:
    lanes = {"a & b": [leaf("x")], "none": []}
    both = {"key": "both", "action": "flow.parallel", "config": {"inputs": {}}, "lanes": lanes}
    workflow = made(actor, both)
    page = page_of(builder, at(workflow, "both", "workflow-step"))
    assert f'href="{at(workflow, "both")}?lane=a+%26+b" aria-label="Move a &amp; b into its own workflow"' in page
    assert "Move none into" not in page


def test_who_may_not_edit_is_offered_nothing_and_refused(client: Client, viewer: User, actor: Actor) -> None:
    workflow = made(actor, leaf("top"), deep(leaf("x"), levels=5))
    client.force_login(viewer)
    assert OFFER not in page_of(client, at(workflow, "top", "workflow-step"))
    assert client.get(at(workflow, "d5")).status_code == 403
    assert client.post(at(workflow, "d5"), {"lane": "then"}).status_code == 403


def test_one_lane_of_several_is_chosen_first(builder: Client, workflow: Workflow) -> None:
    page = page_of(builder, at(workflow, "big"))
    assert re.findall(r'href="[^"]*(\?lane=[^"]+)"', page) == ["?lane=then", "?lane=else"]
    assert 'name="revision"' not in page
    assert "Move a lane of “big” into its own workflow" in page_of(builder, at(workflow, "big"), lane="gone")


def test_what_would_move_is_shown_before_it_does(builder: Client, workflow: Workflow) -> None:
    page = plain(page_of(builder, at(workflow, "big"), lane="then"))
    assert "Move “Then” of “big” into its own workflow" in page
    assert "2 steps become the draft “Folds · Then”." in page
    assert "told last" in page
    assert "handed over with the call: trigger , steps.top" in page
    assert Workflow.objects.for_tenant(workflow.tenant_id).count() == 1


def moved(client: Client, workflow: Workflow, **given: Any) -> Any:
    return client.post(at(workflow, "big"), {"lane": "then", "revision": workflow.revision, **given}, follow=True)


def test_it_moves_and_the_call_is_shown_with_the_way_to_the_new_workflow(builder: Client, workflow: Workflow) -> None:
    answer = moved(builder, workflow)
    made = Workflow.objects.for_tenant(workflow.tenant_id).get(name="Folds · Then")
    assert answer.redirect_chain == [(at(workflow, "last", "workflow-step"), 302)]
    text = answer.content.decode()
    said = plain(text)
    assert "2 steps moved into “Folds · Then”. Publish that workflow first" in said
    assert f'Calls <a class="lk" href="{reverse("workflow", args=["acme", made.pk])}">Folds · Then</a>.' in text
    assert "folds-then is not published yet: this step fails until it is." in said
    assert [step["key"] for step in draft_document(made)["steps"]] == ["told", "last"]


def test_who_may_not_edit_sees_the_way_to_the_called_workflow_too(
    builder: Client, workflow: Workflow, viewer: User
) -> None:
    moved(builder, workflow)
    builder.force_login(viewer)
    assert "Folds · Then</a>." in page_of(builder, at(workflow, "last", "workflow-step"))


@pytest.mark.parametrize("slug", ["gone", "{{ trigger.body.slug }}", "UPPER", "", "a" * 200])
def test_a_call_of_what_is_not_there_leads_nowhere(builder: Client, actor: Actor, slug: str) -> None:
    call = {"key": "call", "action": "workflow.call", "config": {"inputs": {"workflow": slug}}}
    page = page_of(builder, at(made(actor, call), "call", "workflow-step"))
    assert "Calls <a" not in page


def test_undo_brings_it_back_and_says_what_it_was(builder: Client, workflow: Workflow) -> None:
    moved(builder, workflow)
    answer = builder.post(reverse("workflow-undo", args=["acme", workflow.pk]), follow=True)
    assert "Undone: the lane “then” moved into its own workflow." in plain(answer.content.decode())
    assert answer.redirect_chain == [(at(workflow, "big", "workflow-step"), 302)]


def test_reasons_against_it_stand_in_place_of_the_button(builder: Client, workflow: Workflow, actor: Actor) -> None:
    services.workflow_patch(actor=actor, workflow=workflow, changes={"output": "{{ steps.told.output }}"})
    page = page_of(builder, at(workflow, "big"), lane="then")
    assert "output reads steps.told, and only what steps.last gives" in plain(page)
    assert 'name="revision"' not in page
    answer = moved(builder, workflow.refresh())
    assert answer.status_code == 400
    assert "output reads steps.told" in plain(answer.content.decode())
    assert Workflow.objects.for_tenant(workflow.tenant_id).count() == 1


def test_a_draft_that_changed_meanwhile_is_looked_at_again(builder: Client, workflow: Workflow, actor: Actor) -> None:
    before = workflow.revision
    services.workflow_patch(actor=actor, workflow=workflow, changes={"description": "Other"})
    answer = moved(builder, workflow, revision=before)
    assert answer.redirect_chain == [(f"{at(workflow, 'big')}?lane=then", 302)]
    assert "Somebody changed this workflow meanwhile" in plain(answer.content.decode())
    assert Workflow.objects.for_tenant(workflow.tenant_id).count() == 1


@pytest.mark.parametrize(
    ("key", "given", "status"),
    [
        ("gone", {}, 404),
        ("top", {}, 200),
        ("big", {"lane": "\x00"}, 200),
        ("big", {"lane": "x" * 9_000}, 200),
        ("big", {"lane": "then", "revision": "9" * 400}, 302),
        ("big", {"lane": "then", "revision": "²"}, 302),
    ],
)
def test_nonsense_is_no_error_of_ours(
    builder: Client, workflow: Workflow, key: str, given: dict[str, str], status: int
) -> None:
    assert builder.post(at(workflow, key), given).status_code == status


def test_another_tenants_workflow_is_not_there(
    client: Client, workflow: Workflow, other_tenant: Tenant, make_member: Any
) -> None:
    client.force_login(make_member(other_tenant, "editor"))
    address = reverse("workflow-step-extract", args=["globex", workflow.pk, "big"])
    assert client.get(address).status_code == 404
    assert client.post(address, {"lane": "then"}).status_code == 404
    assert client.get(at(workflow, "big")).status_code == 404


def test_a_name_that_is_long_leaves_room_for_the_lanes(builder: Client, workflow: Workflow, actor: Actor) -> None:
    services.workflow_patch(actor=actor, workflow=workflow, changes={"name": "n" * 200})
    moved(builder, workflow.refresh())
    names = Workflow.objects.for_tenant(workflow.tenant_id).values_list("name", flat=True)
    assert sorted(names) == ["n" * 193 + " · Then", "n" * 200]


def test_queries_do_not_grow_with_steps_or_workflows(builder: Client, actor: Actor) -> None:
    def count(workflow: Workflow) -> int:
        builder.get(at(workflow, "big"), {"lane": "then"})
        with CaptureQueriesContext(connection) as found:
            builder.get(at(workflow, "big"), {"lane": "then"})
        return len(found)

    few = count(made(actor, decides("big", [leaf("a")])))
    many = [leaf(f"s{number}", v="{{ trigger.body }}") for number in range(30)]
    for number in range(5):
        call = {"key": "c", "action": "workflow.call", "config": {"inputs": {"workflow": f"more{number}"}}}
        services.workflow_create(actor=actor, document={"name": "m", "slug": f"other{number}", "steps": [call]})
    document = {"name": "Many", "slug": "many", "steps": [decides("big", many)]}
    assert count(services.workflow_create(actor=actor, document=document)) == few
