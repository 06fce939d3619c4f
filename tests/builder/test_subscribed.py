"""The panel of a trigger whose provider calls: chosen, filled in, and how it stands with the provider, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    BearerToken,
    Provider,
    RunContext,
    Subscription,
    WebhookContext,
    WebhookRequest,
    webhook,
)
from orchestrator.tenants.access import Actor, actor_for_user, system_actor
from orchestrator.tenants.models import Role, Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.publishing import publish
from runs import models, subscription_rows
from runs.subscription_secrets import opened
from tests.builder.ground import DOCUMENT, plain

pytestmark = pytest.mark.django_db(transaction=True)


async def _whose(ctx: AuthContext) -> Account:
    return Account(label="Ada")


shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid", auth=[BearerToken(test=_whose)])


class Inputs(BaseModel):
    place: str = Field(min_length=2, title="Place")


async def subscribe(ctx: RunContext[Inputs], address: str, secret: str) -> Subscription:
    raise AssertionError("nobody subscribes here")


async def unsubscribe(ctx: RunContext[Inputs], subscription: Subscription) -> None: ...


def _declared(key: str, name: str, **more: Any) -> Any:
    def parse(ctx: WebhookContext[Inputs], request: WebhookRequest) -> Any:
        """Starts when somebody orders."""
        return request.json()

    return webhook(
        provider=shop, key=f"shop.{key}", name=name, auth_type="bearer_token", input_schema=Inputs, verify="github",
        sample={"number": 77}, **more,
    )(parse)  # fmt: skip


TRIGGERS = (
    _declared("sold", "Sold", subscribe=subscribe, unsubscribe=unsubscribe),
    _declared("byHand", "Told by hand", auth_required=False, help="In Shop under Settings, Webhooks."),
)


@pytest.fixture(autouse=True)
def _shop(settings: Any) -> Iterator[None]:
    settings.BASE_URL = "https://orchestrator.example.com"
    with registry.temporarily(*TRIGGERS):
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
def credential(tenant: Tenant) -> Any:
    return vault.credential_create(
        actor=system_actor(tenant),
        name="our-shop",
        provider="shop",
        auth_type="bearer_token",
        secret={"token": "tok-1"},
    )


@pytest.fixture
def make(actor: Actor) -> Callable[..., Workflow]:
    def made(config: dict[str, Any], kind: str = "event") -> Workflow:
        triggers = [{"key": "new", "type": kind, "config": config}]
        return services.workflow_create(actor=actor, document={**DOCUMENT, "triggers": triggers})

    return made


GOOD = {"trigger": "shop.sold", "inputs": {"place": "north"}, "credential": "our-shop"}
BY_HAND = {"trigger": "shop.byHand", "inputs": {"place": "north"}}


def at(workflow: Workflow, key: str = "new", name: str = "workflow-trigger") -> str:
    return reverse(name, args=["acme", workflow.pk, key])


def page(client: Client, workflow: Workflow, key: str = "new") -> str:
    return unescape(plain(client.get(at(workflow, key)).text))


def triggers(workflow: Workflow) -> list[tuple[str, str, dict[str, Any]]]:
    rows = Trigger.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, in_draft=True)
    return [(row.key, row.type, row.config) for row in rows]


def planned(actor: Actor, workflow: Workflow) -> models.Subscription:
    publish(actor=actor, workflow=workflow)
    subscription_rows.subscriptions_plan(now=timezone.now())
    return models.Subscription.objects.for_tenant(actor.tenant).get()


def test_one_list_offers_both_kinds_and_the_choice_decides_the_type(
    client: Client, make: Callable[..., Workflow], credential: Any
) -> None:
    workflow = make({}, "polling")
    text = page(client, workflow)
    assert "Shop: Sold" in text
    assert "RSS: New item in a feed" in text
    answer = client.post(at(workflow), {"trigger": "shop.sold"})
    assert triggers(workflow) == [("event", "event", {"trigger": "shop.sold"})]
    assert answer["Location"] == at(workflow, "event")
    text = page(client, workflow, "event")
    assert "Shop · as it happens" in text
    assert "Look every so many seconds" not in text
    assert "Poll now" not in text
    given = {"trigger": "shop.sold", "in.place": "north", "credential": "our-shop"}
    assert client.post(at(workflow, "event"), given).status_code == 302
    assert triggers(workflow)[0][2] == GOOD
    client.post(at(workflow, "event"), {"trigger": "rss.newItem"})
    assert triggers(workflow) == [("polling", "polling", {"trigger": "rss.newItem", "interval": 60})]


def test_a_workflow_begins_with_it_from_the_catalogue(client: Client, tenant: Tenant) -> None:
    text = unescape(client.get(reverse("integration-provider", args=["acme", "shop"])).text)
    assert "Told by hand" in text
    assert "Shop calls it at once: you enter its address there." in text
    assert "Shop calls it at once: that is arranged when you publish." in text
    feeds = client.get(reverse("integration-provider", args=["acme", "rss"])).text
    assert "It looks every so many seconds." in feeds
    client.post(reverse("workflow-new", args=["acme"]), {"starts": "shop.sold"})
    assert triggers(Workflow.objects.for_tenant(tenant).get()) == [("event", "event", {"trigger": "shop.sold"})]


def test_what_is_wrong_is_said_at_its_field(client: Client, actor: Actor, make: Callable[..., Workflow]) -> None:
    workflow = make({"trigger": "shop.sold", "inputs": {"place": "x"}})
    text = page(client, workflow)
    assert "String should have at least 2 characters" in text
    assert "Shop requires a bearer token. Choose a credential." in text
    services.workflow_delete(actor=actor, workflow=workflow)
    workflow = make({"trigger": "shop.sold", "interval": 60, "inputs": {"place": "north"}}, "polling")
    assert "shop.sold is of the type event, and this trigger is of the type polling." in page(client, workflow)


def test_the_panel_tells_how_it_stands_with_the_provider(
    client: Client, actor: Actor, make: Callable[..., Workflow], credential: Any
) -> None:
    workflow = make(GOOD)
    assert "From when you publish, Shop is asked to call this trigger." in page(client, workflow)
    assert "77" in page(client, workflow)
    publish(actor=actor, workflow=workflow)
    assert "Subscribing…" in page(client, workflow)
    row = planned(actor, workflow)
    assert "Subscribing…" in page(client, workflow)
    rows = models.Subscription.objects.for_tenant(actor.tenant).filter(pk=row.pk)
    error = {"kind": "permanent", "message": "Shop says no.", "hint": "Ask Shop."}
    rows.update(error=error, failures=2, next_at=timezone.now() + timedelta(hours=1))
    text = page(client, workflow)
    assert "Shop says no. Ask Shop." in text
    assert "Tried again" in text
    poll = at(workflow, name="workflow-trigger-poll")
    assert "Try again now" in text
    client.post(poll, {"what": "now"})
    assert rows.get().next_at <= timezone.now()
    rows.update(error=None, failures=0, status="active")
    text = page(client, workflow)
    assert "Subscribed: Shop calls this trigger." in text
    assert "Try again now" not in text
    rows.update(expires_at=timezone.now() + timedelta(days=5))
    assert "Subscribed until" in page(client, workflow)
    rows.update(unread={"at": "", "message": "It has no event."})
    assert "The last request could not be read: It has no event." in page(client, workflow)
    rows.update(expires_at=timezone.now() - timedelta(days=5), unread=None)
    assert "The subscription has ended." in page(client, workflow)
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    assert "Subscribed" not in page(client, workflow)


def test_the_open_panel_hears_of_a_change(
    client: Client, actor: Actor, make: Callable[..., Workflow], credential: Any
) -> None:
    workflow = make(GOOD)
    row = planned(actor, workflow)
    text = client.get(at(workflow)).text
    mark = unescape(text.split('hx-get="')[1].split('"')[0]) if "mark=" in text else ""
    listens = next(part.split('"')[0] for part in text.split('hx-get="')[1:] if "mark=" in part.split('"')[0])
    assert mark
    assert client.get(unescape(listens), headers={"HX-Request": "true"}).status_code == 204
    models.Subscription.objects.for_tenant(actor.tenant).filter(pk=row.pk).update(status="active")
    answer = client.get(unescape(listens), headers={"HX-Request": "true"})
    assert "Subscribed: Shop calls this trigger." in answer.text


def test_where_a_person_tells_the_provider_address_and_secret_are_there_for_editors(
    client: Client, actor: Actor, make: Callable[..., Workflow], viewer: User
) -> None:
    workflow = make(BY_HAND)
    text = page(client, workflow)
    assert "When you publish, a secret is here to enter at Shop with the address." in text
    assert "In Shop under Settings, Webhooks." in text
    assert "/h/" in text
    secret = opened(planned(actor, workflow)).secret
    text = page(client, workflow)
    assert secret in text
    assert "Enter this address and secret at Shop" in text
    other = Client()
    other.force_login(viewer)
    seen = other.get(at(workflow)).text
    assert secret not in seen
    assert "/h/" not in seen


def test_home_says_which_triggers_fail_and_where_it_is_seen_to(
    client: Client,
    actor: Actor,
    make: Callable[..., Workflow],
    credential: Any,
    other_tenant: Tenant,
    make_member: Callable[..., User],
) -> None:
    workflow = make(GOOD)
    row = planned(actor, workflow)
    home = reverse("home", args=["acme"])
    rows = models.Subscription.objects.for_tenant(actor.tenant).filter(pk=row.pk)
    assert "Trigger fails" not in client.get(home).text
    error = {"kind": "auth", "message": "Shop says no.", "hint": ""}
    for state, said in (
        ({"error": error, "failures": 2}, "“Sold” is not subscribed: Shop says no."),
        ({"unread": {"message": "It has no event."}}, "“Sold” cannot read what comes: It has no event."),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "The subscription of “Sold” has ended."),
        ({"credential": None}, "“Sold” lost its credential our-shop."),
    ):
        rows.update(**{"status": "active", "error": None, "failures": 0, "unread": None, "expires_at": None, **state})
        text = unescape(client.get(home).text)
        assert said in text
        assert at(workflow) in text
    stranger = Client()
    stranger.force_login(make_member(other_tenant, Role.OWNER))
    assert "Trigger fails" not in stranger.get(reverse("home", args=["globex"])).text


def test_home_says_which_polls_fail(client: Client, actor: Actor, make: Callable[..., Workflow]) -> None:
    workflow = make({"trigger": "rss.newItem", "inputs": {"url": "https://a.example/feed"}}, "polling")
    publish(actor=actor, workflow=workflow)
    error = {"kind": "transient", "message": "The feed is away.", "hint": ""}
    home = reverse("home", args=["acme"])
    rows = Trigger.objects.for_tenant(actor.tenant).filter(workflow=workflow)
    rows.update(state={"poll": {"failures": 1, "error": error}})
    assert "Trigger fails" not in client.get(home).text
    rows.update(state={"poll": {"failures": 2, "error": error}})
    assert "cannot be asked: The feed is away." in unescape(client.get(home).text)
