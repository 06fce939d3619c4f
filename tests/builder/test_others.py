"""Who else edits a draft is seen at the step they touched last: by name, for two minutes, and in their tenant alone."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Role, Tenant
from orchestrator.workflows import edits, history, places, services
from orchestrator.workflows.models import DraftState, Workflow

pytestmark = pytest.mark.django_db

STEPS = [
    {"key": key, "name": key, "action": "data.set", "config": {"inputs": {"values": {"a": "1"}}}}
    for key in ("one", "two", "three")
]


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def mara(tenant: Tenant, make_member: Callable[..., User]) -> Actor:
    user = make_member(tenant, Role.EDITOR, "mara")
    user.first_name, user.last_name = "Mara", "Lopez"
    user.save()
    return actor_for_user(user, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    document = {"name": "Both", "slug": "both", "triggers": [{"key": "hand", "type": "manual"}], "steps": STEPS}
    return services.workflow_create(actor=actor, document=document)


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def at(workflow: Workflow, key: str = "one") -> str:
    return reverse("workflow-step", args=["acme", workflow.pk, key])


def rename(actor: Actor, workflow: Workflow, key: str, name: str) -> None:
    edits.step_update(actor=actor, workflow=workflow, key=key, changes={"name": name})


def seen(text: str) -> dict[str, list[str]]:
    """Return the names that stand at the cards of a page."""
    cards = re.findall(r'<span class="oth" id="who-(\w+)">(.*?)</a>', text, re.DOTALL)
    return {key: re.findall(r'role="img" aria-label="([^"]*)"', inside) for key, inside in cards if "img" in inside}


def shown(client: Client, workflow: Workflow) -> dict[str, list[str]]:
    return seen(client.get(at(workflow)).content.decode())


def test_another_person_stands_at_the_step_they_touched_last(builder: Client, workflow: Workflow, mara: Actor) -> None:
    assert shown(builder, workflow) == {}
    rename(mara, workflow, "two", "Second")
    assert shown(builder, workflow) == {"two": ["Mara Lopez"]}
    assert ">ML</span>" in builder.get(at(workflow)).content.decode()
    rename(mara, workflow, "three", "Third")
    assert shown(builder, workflow) == {"three": ["Mara Lopez"]}


def test_one_does_not_see_oneself_and_viewers_see_both(
    client: Client, workflow: Workflow, actor: Actor, mara: Actor, viewer: User
) -> None:
    rename(actor, workflow, "one", "First")
    rename(mara, workflow, "one", "Primo")
    client.force_login(viewer)
    assert shown(client, workflow) == {"one": [actor.user.username if actor.user else "", "Mara Lopez"]}
    assert mara.user
    client.force_login(mara.user)
    assert shown(client, workflow) == {"one": [actor.user.username if actor.user else ""]}


def test_a_step_that_was_moved_or_added_counts_as_touched(builder: Client, workflow: Workflow, mara: Actor) -> None:
    places.step_place(actor=mara, workflow=workflow, key="one", after="three")
    assert shown(builder, workflow) == {"one": ["Mara Lopez"]}
    services.step_remove(actor=mara, workflow=workflow, key="two")
    assert shown(builder, workflow) == {}, "nobody stands at what is gone"


def test_after_two_minutes_nobody_is_there(builder: Client, workflow: Workflow, mara: Actor) -> None:
    rename(mara, workflow, "two", "Second")
    rows = DraftState.objects.for_tenant(workflow.tenant_id)
    rows.update(changed_at=timezone.now() - history.PRESENT + timedelta(seconds=20))
    assert shown(builder, workflow) == {"two": ["Mara Lopez"]}
    rows.update(changed_at=timezone.now() - history.PRESENT - timedelta(seconds=1))
    assert shown(builder, workflow) == {}


def test_a_save_tells_who_else_is_there(builder: Client, workflow: Workflow, mara: Actor) -> None:
    rename(mara, workflow, "two", "Second")
    posted = {"name": "First", "on_error": "fail", "in.values.k0": "a", "in.values.v0": "1"}
    answer = builder.post(at(workflow), posted, headers={"Accept": "application/json"}).json()
    assert list(answer["others"]) == ["two"]
    assert 'aria-label="Mara Lopez"' in answer["others"]["two"]


def test_a_name_is_only_text(builder: Client, workflow: Workflow, mara: Actor) -> None:
    assert mara.user
    mara.user.first_name = '"><script>x</script>'
    mara.user.save()
    rename(mara, workflow, "two", "Second")
    page = builder.get(at(workflow)).content.decode()
    assert "<script>x" not in page
    assert "&lt;script&gt;x" in page


def test_another_workflow_and_another_tenant_are_not_told(
    workflow: Workflow, actor: Actor, mara: Actor, stranger: User, other_tenant: Tenant
) -> None:
    other = services.workflow_create(
        actor=actor, document={"name": "Other", "slug": "other", "triggers": [], "steps": STEPS}
    )
    theirs = actor_for_user(stranger, other_tenant.slug)
    foreign = services.workflow_create(
        actor=theirs, document={"name": "Both", "slug": "both", "triggers": [], "steps": STEPS}
    )
    rename(mara, workflow, "two", "Second")
    rename(theirs, foreign, "two", "Deux")
    assert history.others(actor, other) == {}
    assert history.others(theirs, foreign) == {}
    assert history.others(actor, workflow) == {"two": ["Mara Lopez"]}
    foreign.tenant = workflow.tenant
    assert history.others(actor, foreign) == {}


def test_it_is_one_question_however_many_there_are(
    workflow: Workflow, actor: Actor, tenant: Tenant, make_member: Callable[..., User]
) -> None:
    for number in range(4):
        person = actor_for_user(make_member(tenant, Role.EDITOR, f"p{number}"), tenant.slug)
        rename(person, workflow, "two", f"By {number}")
    with CaptureQueriesContext(connection) as found:
        assert history.others(actor, workflow) == {"two": ["p0", "p1", "p2", "p3"]}
    assert len(found) == 1


def test_a_draft_that_nobody_changed_of_late_is_not_asked_about(workflow: Workflow, actor: Actor, mara: Actor) -> None:
    rename(mara, workflow, "two", "Second")
    workflow.updated_at = timezone.now() - history.PRESENT - timedelta(seconds=1)
    with CaptureQueriesContext(connection) as found:
        assert history.others(actor, workflow) == {}
    assert len(found) == 0


def test_whoever_listens_at_a_trigger_learns_of_it_by_the_next_look(
    builder: Client, workflow: Workflow, mara: Actor
) -> None:
    def poll(text: str) -> str:
        found = re.search(r'id="received"[^>]* hx-get="([^"]+)"', text)
        assert found
        return html.unescape(found[1])

    def look(address: str) -> tuple[int, str]:
        answer = builder.get(address, headers={"HX-Request": "true"})
        return answer.status_code, answer.content.decode()

    page = reverse("workflow-trigger", args=["acme", workflow.pk, "hand"])
    address = poll(builder.get(page).content.decode())
    assert look(address)[0] == 204
    rename(mara, workflow, "two", "Second")
    status, text = look(address)
    assert status == 200
    spans = dict(re.findall(r'<span class="oth" id="who-(\w+)" hx-swap-oob="true">(.*?)\s*</span>\n', text, re.DOTALL))
    assert list(spans) == ["one", "two", "three"], "those where nobody is any more are emptied"
    assert {key: "Mara Lopez" in inside for key, inside in spans.items()} == {"one": False, "two": True, "three": False}
    assert look(poll(text))[0] == 204
    DraftState.objects.for_tenant(workflow.tenant_id).update(changed_at=timezone.now() - history.PRESENT)
    status, text = look(poll(text))
    assert status == 200
    assert "Mara Lopez" not in text
