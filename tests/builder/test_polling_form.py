"""The form of a polling trigger: chosen, filled in, refused at the field, looked at and polled by a press."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pydantic import BaseModel, Field

from integrations.registry import registry
from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    BearerToken,
    Item,
    JSONValue,
    Polled,
    Provider,
    RunContext,
    polling,
    ui,
)
from orchestrator.tenants.access import Actor, actor_for_user, system_actor
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential, Health
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from runs.models import Sample
from tests.builder.ground import DOCUMENT, plain

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "tok-canary-8151"
_raises: list[Exception] = []


async def _whose(ctx: AuthContext) -> Account:
    return Account(label="Ada")


shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid", auth=[BearerToken(test=_whose)])


class Inputs(BaseModel):
    place: str = Field(min_length=2, title="Place")
    tags: list[str] = Field(default=[], title="Tags", json_schema_extra=ui(advanced=True))


async def _orders(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
    """Starts when somebody orders."""
    if _raises:
        raise _raises.pop()
    assert cursor is None
    items = [{"number": number, "place": ctx.inputs.place, "token": ctx.auth["token"]} for number in range(5)]
    return Polled(items=[Item(str(each["number"]), each) for each in items], cursor=5)


orders = polling(provider=shop, key="shop.newOrder", name="New order", auth_type="bearer_token", input_schema=Inputs)(
    _orders
)


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    _raises.clear()
    with registry.temporarily(orders):
        yield


@pytest.fixture
def actor(owner: User) -> Actor:
    return actor_for_user(owner, "acme")


@pytest.fixture
def client(owner: User) -> Client:
    found = Client()
    found.force_login(owner)
    return found


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    trigger = {"key": "new", "type": "polling", "config": {}}
    return services.workflow_create(actor=actor, document={**DOCUMENT, "triggers": [trigger]})


@pytest.fixture
def credential(tenant: Tenant) -> Credential:
    return vault.credential_create(
        actor=system_actor(tenant), name="our-shop", provider="shop", auth_type="bearer_token", secret={"token": TOKEN}
    )


def at(workflow: Workflow, name: str = "workflow-trigger") -> str:
    return reverse(name, args=["acme", workflow.pk, "new"])


def config(workflow: Workflow) -> dict[str, Any]:
    found: dict[str, Any] = Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="new").config
    return found


GOOD = {"trigger": "shop.newOrder", "in.place": "north", "credential": "our-shop", "interval": "30"}


def test_what_there_is_to_look_for_is_chosen_and_then_filled_in(
    client: Client, workflow: Workflow, credential: Credential
) -> None:
    page = client.get(at(workflow)).text
    assert "RSS: New item in a feed" in plain(page)
    assert client.post(at(workflow), {"trigger": "shop.newOrder"}).status_code == 302
    assert config(workflow) == {"trigger": "shop.newOrder", "interval": 60}
    page = client.get(at(workflow)).text
    assert "Starts when somebody orders." in page
    assert "Shop requires a bearer token. Choose a credential." in page
    assert 'name="in.place"' in page
    assert 'name="in.tags"' in page
    # There is no data that could be put in.
    form = page.split('id="polling-form"')[1].split("</form>")[0]
    assert "data-takes" not in form
    assert "Insert data" not in form
    assert client.post(at(workflow), {**GOOD, "in.tags": "a\nb"}).status_code == 302
    assert config(workflow) == {
        "trigger": "shop.newOrder", "interval": 30, "inputs": {"place": "north", "tags": ["a", "b"]},
        "credential": "our-shop",
    }  # fmt: skip
    page = plain(client.get(at(workflow)).text)
    assert "New order" in page
    assert "Shop · every 30 s" in page


def test_another_trigger_begins_without_the_fields_of_the_one_before(client: Client, workflow: Workflow) -> None:
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    client.post(at(workflow), GOOD)
    client.post(at(workflow), {**GOOD, "trigger": "rss.newItem"})
    assert config(workflow) == {"trigger": "rss.newItem", "interval": 60}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"interval": "5"}, "Use a whole number from 10 to 86400."),
        ({"interval": "soon"}, "Use a whole number from 10 to 86400."),
        ({"trigger": "no.such"}, "Choose what to look for."),
        ({"trigger": ""}, "Choose what to look for."),
    ],
)
def test_what_cannot_be_read_is_said_at_its_field_and_nothing_is_saved(
    given: dict[str, str], said: str, client: Client, workflow: Workflow
) -> None:
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    before = config(workflow)
    answer = client.post(at(workflow), {**GOOD, **given})
    assert answer.status_code == 400
    assert said in answer.text
    assert config(workflow) == before
    if "interval" in given:
        assert f'value="{given["interval"]}"' in answer.text
        assert 'value="north"' in answer.text


def test_a_draft_may_be_wrong_and_says_so_at_the_field(client: Client, workflow: Workflow) -> None:
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    assert client.post(at(workflow), {**GOOD, "in.place": "x", "credential": "gone"}).status_code == 302
    page = unescape(plain(client.get(at(workflow)).text))
    assert "String should have at least 2 characters" in page
    assert page.count("There is no credential 'gone'") == 1
    assert "gone (does not fit)" in page


def test_a_look_keeps_the_newest_items_as_examples_and_starts_nothing(
    client: Client, workflow: Workflow, credential: Credential
) -> None:
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    client.post(at(workflow), GOOD)
    answer = client.post(at(workflow, "workflow-trigger-poll"), {"what": "sample"}, follow=True)
    assert "3 items were kept as examples." in answer.text
    kept = Sample.objects.for_tenant(workflow.tenant_id).order_by("pk")
    assert [sample.document["body"]["number"] for sample in kept] == [2, 3, 4]
    assert kept[0].document["type"] == "polling"
    assert TOKEN not in str([sample.document for sample in kept]) + answer.text
    assert "kept, no run" in plain(answer.text)
    event = AuditEvent.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert (event.action, event.target_type, event.detail) == ("trigger.sampled", "trigger", {"kept": 3})


def test_a_look_that_fails_says_why_and_marks_a_credential_that_is_refused(
    client: Client, workflow: Workflow, credential: Credential
) -> None:
    poll = at(workflow, "workflow-trigger-poll")
    assert "Choose what to look for." in client.post(poll, {"what": "sample"}, follow=True).text
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    assert "place" in client.post(poll, {"what": "sample"}, follow=True).text
    client.post(at(workflow), GOOD)
    _raises.append(ValueError(TOKEN))
    answer = client.post(poll, {"what": "sample"}, follow=True)
    assert "The trigger has a defect (ValueError)." in answer.text
    _raises.append(AuthError(f"Shop refuses {TOKEN}."))
    answer = client.post(poll, {"what": "sample"}, follow=True)
    assert "Shop refuses" in answer.text
    assert TOKEN not in answer.text
    assert Credential.objects.for_tenant(workflow.tenant_id).get().health == Health.RECONNECT


def test_the_panel_tells_how_polling_goes_and_a_press_polls_at_once(
    client: Client, actor: Actor, workflow: Workflow, credential: Credential
) -> None:
    poll = at(workflow, "workflow-trigger-poll")
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    client.post(at(workflow), GOOD)
    assert "not live" in client.post(poll, {"what": "now"}, follow=True).text
    publish(actor=actor, workflow=workflow)
    assert "The first poll comes in a moment." in client.get(at(workflow)).text
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(key="new")
    now, later = timezone.now(), timezone.now() + timedelta(hours=1)
    state = {"polled_at": now.isoformat(), "found": 2, "started": 2}
    rows.update(state={"poll": state}, next_fire_at=later)
    assert "2 runs were started." in client.get(at(workflow)).text
    rows.update(state={"poll": {**state, "skips": False, "skipped": 4}})
    assert "4 items were there already" in client.get(at(workflow)).text
    error = {"kind": "transient", "message": "Shop is away.", "hint": "Wait."}
    rows.update(state={"poll": {**state, "error": error, "failures": 3}})
    assert "The last 3 polls failed. Shop is away. Wait." in client.get(at(workflow)).text
    client.post(poll, {"what": "now"})
    found = rows.get()
    assert found.next_fire_at is not None
    assert found.next_fire_at <= timezone.now()
    rows.update(state={"poll": {**state, "since": now.isoformat()}}, next_fire_at=later)
    assert "It is being polled now." in client.get(at(workflow)).text


def test_a_viewer_reads_it_and_may_press_nothing(
    client: Client, viewer: User, workflow: Workflow, credential: Credential
) -> None:
    client.post(at(workflow), {"trigger": "shop.newOrder"})
    client.post(at(workflow), GOOD)
    looks = Client()
    looks.force_login(viewer)
    page = looks.get(at(workflow))
    assert page.status_code == 200
    assert "New order · Shop · every 30 s" in plain(page.text)
    assert "polling-form" not in page.text
    assert looks.post(at(workflow), GOOD).status_code == 403
    assert looks.post(at(workflow, "workflow-trigger-poll"), {"what": "now"}).status_code == 403


def test_a_stranger_finds_nothing(workflow: Workflow, stranger: User) -> None:
    looks = Client()
    looks.force_login(stranger)
    assert looks.post(at(workflow, "workflow-trigger-poll"), {"what": "now"}).status_code == 404


def test_it_is_added_beside_others_and_begun_with_from_home(client: Client, workflow: Workflow) -> None:
    answer = client.post(reverse("workflow-trigger-add", args=["acme", workflow.pk]), {"type": "polling"})
    assert answer.status_code == 302
    answer = client.post(reverse("workflow-new", args=["acme"]), {"trigger": "polling"}, follow=True)
    made = Workflow.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert [(row.key, row.type) for row in Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=made)] == [
        ("new", "polling")
    ]
    assert "What to look for" in answer.text


def test_a_providers_page_tells_its_triggers_and_begins_a_workflow_with_one(client: Client, tenant: Tenant) -> None:
    page = client.get(reverse("integration-provider", args=["acme", "shop"])).text
    assert "Starts when somebody orders." in page
    assert "1 trigger" in plain(client.get(reverse("integrations", args=["acme"])).text)
    client.post(reverse("workflow-new", args=["acme"]), {"starts": "shop.newOrder"})
    made = Trigger.objects.for_tenant(tenant).get()
    assert made.config == {"trigger": "shop.newOrder", "interval": 60}
    answer = client.post(reverse("workflow-new", args=["acme"]), {"starts": "no.such"}, follow=True)
    assert "Nothing was made." in answer.text


def test_another_kind_of_trigger_is_not_polled(client: Client, actor: Actor) -> None:
    hook = services.workflow_create(actor=actor, document={**DOCUMENT, "slug": "hook"})
    answer = client.post(reverse("workflow-trigger-poll", args=["acme", hook.pk, "hook"]), {"what": "now"})
    assert answer.status_code == 404
