"""Requests to an integration's trigger: who is let in, what becomes a run, and what is said where that cannot be."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import (
    Hmac,
    InputError,
    Item,
    Provider,
    RunContext,
    Subscription,
    WebhookContext,
    WebhookReply,
    WebhookRequest,
    webhook,
)
from integrations.sdk.webhook import MAX_EVENTS
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.addresses import give_address
from orchestrator.workflows.models import Trigger, Workflow
from runs import models
from runs.models import Run, Sample
from runs.states import SubscriptionStatus
from runs.subscription_secrets import Shared, seal
from runs.triggers import events
from tests.runs.ground import make_workflow
from tests.triggers.conftest import handler as wsgi
from tests.triggers.conftest import path, runs, served

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "shared-with-shop"

shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid")


class Inputs(BaseModel):
    kind: str = ""


async def subscribe(ctx: RunContext[Inputs], address: str, secret: str) -> Subscription:
    raise AssertionError("nobody subscribes here")


async def unsubscribe(ctx: RunContext[Inputs], subscription: Subscription) -> None: ...


def parse(ctx: WebhookContext[Inputs], request: WebhookRequest) -> Any:
    """Gives what the test sent: a list of orders, those of a kind, with or without an id."""
    sent = request.json()
    match sent:
        case {"sleep": seconds}:
            time.sleep(seconds)
            return {}
        case {"defect": text}:
            raise RuntimeError(text)
        case {"unknown": text}:
            raise InputError(f"Unknown: {text}.", hint=f"Shared is {ctx.secret}.")
        case {"wrong": value}:
            return [value]
    rows = [row for row in sent["orders"] if not ctx.inputs.kind or row["kind"] == ctx.inputs.kind]
    return [Item(row["id"], row) if "id" in row else row for row in rows]


def challenge(ctx: WebhookContext[Inputs], request: WebhookRequest) -> WebhookReply | None:
    word = request.query.get("challenge")
    headers = {"X-Ours": "1", "Set-Cookie": "a=b", "Content-Type": "text/html"}
    return WebhookReply(body=word, headers=headers) if word else None


def mine(ctx: WebhookContext[Inputs], request: WebhookRequest) -> bool:
    if request.headers.get("x-token") == "boom":
        raise RuntimeError(ctx.secret)
    return request.headers.get("x-token") == ctx.secret


def _declared(key: str, **more: Any) -> Any:
    given: dict[str, Any] = {"verify": Hmac(header="X-Shop"), "delivery": "X-Id", **more}
    given |= {"subscribe": subscribe, "unsubscribe": unsubscribe, "auth_type": "none"}
    return webhook(provider=shop, key=f"shop.{key}", name=key, input_schema=Inputs, **given)(parse)


TRIGGERS = (
    _declared("sold"),
    _declared("hub", verify="github", delivery=None),
    _declared("open", verify="none", delivery=None),
    _declared("mine", verify=mine),
    _declared("asks", handshake=challenge, handshake_first=True, methods=("GET", "POST")),
    _declared("asksSigned", handshake=challenge),
)


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    with registry.temporarily(*TRIGGERS):
        yield


def called(workflow: Workflow, which: str = "sold", *, status: str = "active", **inputs: Any) -> Trigger:
    """Return the live trigger of a workflow that Shop calls."""
    config = {"trigger": f"shop.{which}", "inputs": inputs}
    trigger = Trigger(
        tenant_id=workflow.tenant_id, workflow=workflow, key="news", type="event", config=config, live_config=config
    )
    give_address(trigger)
    trigger.save()
    row = models.Subscription(
        tenant_id=workflow.tenant_id, trigger=trigger, declared=config["trigger"], of="x", status=status
    )
    seal(row, Shared(secret=SECRET, path=path(trigger)))
    row.save()
    return trigger


def send(trigger: Trigger, body: Any, *, signs: bool = True, secret: str = SECRET, **more: Any) -> Any:
    text = json.dumps(body).encode()
    mac = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    headers = {"HTTP_X_SHOP": mac, "HTTP_X_HUB_SIGNATURE_256": f"sha256={mac}"} if signs else {}
    query, method = more.pop("query", ""), more.pop("method", "POST")
    return Client().generic(method, path(trigger) + query, text, "application/json", **headers, **more)


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"o{number}", "kind": "sale", **more}


def error_of(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_an_event_is_a_run_whose_body_it_is(workflow: Workflow) -> None:
    trigger = called(workflow)
    answer = send(trigger, {"orders": [order(1)]}, HTTP_AUTHORIZATION="Bearer x")
    (run,) = runs(trigger)
    assert (answer.status_code, answer.json()) == (202, {"id": str(run.pk), "status": "queued"})
    assert (run.trigger_type, run.trigger_key) == ("event", "news")
    document = run.trigger
    assert (document["type"], document["body"], document["method"]) == ("event", order(1), "POST")
    assert document["headers"]["content-type"] == "application/json"
    assert "authorization" not in document["headers"]


def test_one_request_may_be_several_runs_and_each_is_one_however_often_it_comes(workflow: Workflow) -> None:
    trigger = called(workflow)
    first = send(trigger, {"orders": [order(1), order(2)]})
    assert first.status_code == 202
    assert [each["status"] for each in first.json()["runs"]] == ["queued", "queued"]
    again = send(trigger, {"orders": [order(2), order(1), order(3)]})
    assert again.status_code == 202
    assert [run.trigger["body"]["id"] for run in runs(trigger)] == ["o1", "o2", "o3"]
    known = send(trigger, {"orders": [order(3)]})
    assert (known.status_code, known.json()["id"]) == (200, str(runs(trigger)[2].pk))


def test_events_without_an_id_are_told_by_the_delivery(workflow: Workflow) -> None:
    trigger = called(workflow)
    orders = {"orders": [{"kind": "a"}, {"kind": "b"}]}
    for _time in range(2):
        assert send(trigger, orders, HTTP_X_ID="d1").status_code in (200, 202)
    send(trigger, orders, HTTP_X_ID="d2")
    assert [run.trigger["body"]["kind"] for run in runs(trigger)] == ["a", "b", "a", "b"]


def test_a_presets_own_delivery_tells_too(workflow: Workflow) -> None:
    trigger = called(workflow, "hub")
    for name in ("g1", "g1", "g2"):
        send(trigger, {"orders": [{"kind": "a"}]}, HTTP_X_GITHUB_DELIVERY=name)
    assert len(runs(trigger)) == 2


def test_what_the_inputs_leave_out_starts_nothing(workflow: Workflow) -> None:
    trigger = called(workflow, kind="return")
    answer = send(trigger, {"orders": [order(1)]})
    assert (answer.status_code, answer.json()["status"]) == (200, "ignored")
    assert (runs(trigger), Sample.unscoped.count()) == ([], 0)
    send(trigger, {"orders": [order(1), order(2, kind="return")]})
    assert [run.trigger["body"]["id"] for run in runs(trigger)] == ["o2"]


@pytest.mark.parametrize(
    ("which", "more"),
    [
        ("sold", {"signs": False}),
        ("sold", {"secret": "another"}),
        ("hub", {"signs": False}),
        ("hub", {"secret": "another"}),
        ("mine", {}),
        ("mine", {"HTTP_X_TOKEN": "another"}),
        ("mine", {"HTTP_X_TOKEN": "boom"}),
    ],
)
def test_who_does_not_sign_is_refused(which: str, more: dict[str, Any], workflow: Workflow) -> None:
    trigger = called(workflow, which)
    answer = send(trigger, {"orders": [order(1)]}, **more)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Signature"
    assert SECRET not in answer.content.decode()
    assert (runs(trigger), Sample.unscoped.count()) == ([], 0)


def test_a_function_of_its_own_and_no_signature_at_all(workflow: Workflow, tenant: Tenant) -> None:
    trigger = called(workflow, "mine")
    assert send(trigger, {"orders": [order(1, echo=SECRET)]}, HTTP_X_TOKEN=SECRET).status_code == 202
    assert send(trigger, {"unknown": SECRET}, HTTP_X_TOKEN=SECRET).status_code == 422
    # The secret came along, and is in nothing that was kept.
    assert SECRET not in json.dumps(runs(trigger)[0].trigger)
    assert SECRET not in json.dumps(Sample.unscoped.get().document)
    other = called(make_workflow(tenant, slug="other"), "open")
    assert send(other, {"orders": [order(1)]}, signs=False).status_code == 202


def test_while_the_provider_is_being_told_what_is_signed_otherwise_comes_again(workflow: Workflow) -> None:
    trigger = called(workflow, status=SubscriptionStatus.PENDING)
    answer = send(trigger, {"orders": [order(1)]}, secret="theirs")
    assert error_of(answer) == (503, "unverifiable")
    assert answer["Retry-After"]
    assert send(trigger, {"orders": [order(1)]}).status_code == 202


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"defect": "odd"}, "The integration shop.sold has a defect (RuntimeError)."),
        ({"unknown": "order"}, "Unknown: order."),
        ({"wrong": 5}, "has a defect (TypeError)"),
        ({"orders": [order(n) for n in range(MAX_EVENTS + 1)]}, "holds 101 events"),
        ({}, "has a defect (KeyError)"),
    ],
)
def test_a_genuine_request_that_cannot_be_read_is_refused_kept_and_told(
    body: Any, said: str, workflow: Workflow
) -> None:
    trigger = called(workflow)
    answer = send(trigger, body)
    assert error_of(answer) == (422, "unreadable")
    message = answer.json()["error"]["message"]
    assert said in message
    assert SECRET not in message
    (sample,) = Sample.unscoped.all()
    assert (sample.document["type"], sample.document["body"]) == ("event", body)
    row = models.Subscription.unscoped.get()
    assert said in row.unread["message"]
    assert SECRET not in str(row.unread)
    assert runs(trigger) == []
    assert send(trigger, {"orders": [order(1)]}).status_code == 202
    assert models.Subscription.unscoped.get().unread is None


def test_a_body_that_is_nothing_is_kept_as_a_text(workflow: Workflow) -> None:
    trigger = called(workflow)
    mac = hmac.new(SECRET.encode(), b"{\xff", hashlib.sha256).hexdigest()
    answer = served(wsgi(), trigger, b"{\xff", HTTP_X_SHOP=mac)
    assert answer.status_code == 422
    assert Sample.unscoped.get().document["body"] == "{�"


def test_one_that_takes_too_long_is_asked_to_come_again(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SECONDS", 0.2)
    trigger = called(workflow)
    answer = send(trigger, {"sleep": 0.6})
    assert error_of(answer) == (503, "unavailable")
    assert answer["Retry-After"]
    assert send(trigger, {"orders": [order(1)]}).status_code == 202


def test_an_event_that_is_too_large_is_refused_before_any_is_kept(workflow: Workflow) -> None:
    trigger = called(workflow)
    deep: Any = {}
    for _level in range(120):
        deep = {"a": deep}
    assert send(trigger, {"orders": [order(1), order(2, deep=deep)]}).status_code == 413
    assert runs(trigger) == []


def test_a_handshake_is_answered_in_its_own_form_and_runs_nothing(workflow: Workflow, tenant: Tenant) -> None:
    trigger = called(workflow, "asks")
    answer = send(trigger, {}, signs=False, method="GET", query="?challenge=word")
    assert (answer.status_code, answer.content) == (200, b"word")
    assert answer["Content-Type"].startswith("text/plain")
    assert (answer["X-Ours"], "Set-Cookie" in answer) == ("1", False)
    assert send(trigger, {}, signs=False, method="GET").status_code == 401
    signed = called(make_workflow(tenant, slug="other"), "asksSigned")
    assert send(signed, {}, signs=False, query="?challenge=word").status_code == 401
    assert send(signed, {}, query="?challenge=word").content == b"word"
    assert error_of(send(signed, {}, method="GET", query="?challenge=word")) == (405, "method_not_allowed")
    assert Run.unscoped.count() == 0


def test_what_is_not_live_takes_nothing(workflow: Workflow) -> None:
    trigger = called(workflow)
    Workflow.unscoped.update(enabled=False)
    assert error_of(send(trigger, {"orders": [order(1)]})) == (409, "disabled")
    Workflow.unscoped.update(enabled=True)
    models.Subscription.unscoped.update(status="ending")
    assert error_of(send(trigger, {"orders": [order(1)]})) == (503, "unverifiable")
    Trigger.unscoped.update(live_config=None)
    assert error_of(send(trigger, {"orders": [order(1)]})) == (409, "disabled")
    assert runs(trigger) == []


@pytest.mark.parametrize(
    "config", [{"trigger": "shop.gone"}, {"trigger": "shop.sold", "inputs": {"kind": 5}}, {"x": 1}]
)
def test_what_nothing_here_can_read_comes_again(config: dict[str, Any], workflow: Workflow) -> None:
    trigger = called(workflow)
    Trigger.unscoped.update(live_config=config)
    assert error_of(send(trigger, {"orders": [order(1)]})) == (503, "unverifiable")


def test_the_tenants_limit_holds_here_too(workflow: Workflow, tenant: Tenant) -> None:
    trigger = called(workflow)
    Tenant.objects.filter(pk=tenant.pk).update(runs_per_minute=1)
    assert send(trigger, {"orders": [order(1)]}).status_code == 202
    assert error_of(send(trigger, {"orders": [order(2)]})) == (429, "rate_limited")


def test_another_tenants_secret_opens_nothing(workflow: Workflow, other_tenant: Tenant) -> None:
    mine_, theirs = called(workflow), called(make_workflow(other_tenant, slug="theirs"))
    row = models.Subscription.unscoped.get(trigger=theirs)
    seal(row, Shared(secret="of-theirs", path=path(theirs)))
    row.save()
    assert send(mine_, {"orders": [order(1)]}, secret="of-theirs").status_code == 401
    assert send(theirs, {"orders": [order(1)]}, secret="of-theirs").status_code == 202
    assert [run.tenant_id for run in Run.unscoped.all()] == [other_tenant.pk]
