"""Triggers that providers call: what can be declared, what a function may give, and what lint says of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from integrations.sdk import (
    DeclarationError,
    Hmac,
    InputError,
    Item,
    Provider,
    RunContext,
    Subscription,
    WebhookContext,
    WebhookReply,
    WebhookRequest,
    WebhookTrigger,
    ui,
    webhook,
)
from integrations.sdk.lint import lint
from integrations.sdk.testing import run_subscribe, run_unsubscribe, run_webhook

shop = Provider(key="shop", name="Shop", base_url="https://shop.invalid")


class Inputs(BaseModel):
    kind: str = Field("", examples=["sale"])


class Secrets(BaseModel):
    key: SecretStr = Field(json_schema_extra=ui(secret=True))


class Order(BaseModel):
    number: int


async def subscribe(ctx: RunContext[Inputs], address: str, secret: str) -> Subscription:
    made = (await ctx.http.post("hooks", json={"url": address, "secret": secret})).raise_for_status().json()
    return Subscription(id=made["id"], expires_at=datetime(2030, 1, 1, tzinfo=UTC))


async def renew(ctx: RunContext[Inputs], subscription: Subscription) -> Subscription:
    return subscription


async def unsubscribe(ctx: RunContext[Inputs], subscription: Subscription) -> None:
    (await ctx.http.delete(f"hooks/{subscription.id}")).raise_for_status()


def declared(function: Callable[..., Any] | None = None, **more: Any) -> WebhookTrigger:
    def parse(ctx: WebhookContext[Inputs], request: WebhookRequest) -> Any:
        """Starts when something is sold."""
        return request.json()

    given: dict[str, Any] = {
        "provider": shop, "key": "shop.newOrder", "name": "New order", "auth_type": "none", "input_schema": Inputs,
        "verify": Hmac(header="X-Shop"), "delivery": "X-Id", "help": "Under Settings, Webhooks.",
    }  # fmt: skip
    return webhook(**{**given, **more})(function or parse)


def asked(body: bytes = b"{}", **headers: str) -> WebhookRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(method="POST", headers=named, body=body)


async def _late(ctx: Any, request: Any) -> None: ...


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"key": "other.newOrder"}, "must be 'shop'"),
        ({"verify": "sha1"}, "verify of 'shop.newOrder' must be one of standard_webhooks"),
        ({"verify": lambda ctx: True}, "verify of 'shop.newOrder' must take ctx and request, in this order"),
        ({"methods": ("DELETE",)}, "methods of 'shop.newOrder' must be some of"),
        ({"methods": ()}, "methods of 'shop.newOrder' must be some of"),
        ({"handshake": _late}, "handshake of 'shop.newOrder' must be a plain function"),
        ({"function": _late}, "function of 'shop.newOrder' must be a plain function"),
        ({"delivery": lambda: ""}, "delivery of 'shop.newOrder' must take request alone"),
        ({"subscribe": subscribe}, "it must also say how to unsubscribe"),
        ({"renew": renew}, "renew or unsubscribe what it never subscribes to"),
        (
            {"subscribe": lambda ctx, address, secret: None, "unsubscribe": unsubscribe},
            "subscribe of 'shop.newOrder' must be an async function",
        ),
        ({"input_schema": Secrets}, "has a secret input"),
    ],
)
def test_what_cannot_be_right_is_refused_at_its_place(more: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said) as caught:
        declared(**more)
    assert str(caught.value).startswith(f"{__name__}:")


def test_what_is_common_to_all_declarations_is_taken() -> None:
    trigger = declared(
        output_schema=Order, sample={"number": 1}, category="Sales", synonyms=["buy"], timeout=5, description="Said."
    )
    assert (trigger.category, trigger.synonyms, trigger.timeout) == ("Sales", ("buy",), 5)
    assert (trigger.description, trigger.sample, trigger.auth_required) == ("Said.", {"number": 1}, False)
    assert declared().description == "Starts when something is sold."


@pytest.mark.parametrize(
    ("given", "items"),
    [
        (None, []),
        ([], []),
        ({"a": 1}, [Item("", {"a": 1})]),
        (Order(number=3), [Item("", {"number": 3})]),
        (Item("7", "text"), [Item("7", "text")]),
        ((each for each in (Item("7", Order(number=3)), {"b": 2})), [Item("7", {"number": 3}), Item("", {"b": 2})]),
    ],
)
def test_one_request_may_be_several_events_or_none(given: Any, items: list[Item]) -> None:
    assert run_webhook(declared(lambda ctx, request: given), {}, asked()) == items


@pytest.mark.parametrize("given", [["text"], 5, [Item("", {})], [Item("x" * 10_001, {})], [Item(3, {})]])  # type: ignore[arg-type]
def test_what_is_no_event_is_a_defect(given: Any) -> None:
    with pytest.raises(TypeError):
        run_webhook(declared(lambda ctx, request: given), {}, asked())


def test_a_handshake_is_answered_in_place_of_events() -> None:
    trigger = declared(handshake=lambda ctx, request: WebhookReply(body=request.query.get("challenge")))
    request = WebhookRequest(method="GET", query={"challenge": "word"})
    assert run_webhook(trigger, {}, request) == WebhookReply(body="word")


def test_a_request_reads_as_json_or_as_a_form() -> None:
    assert asked(b'{"a": [1]}').json() == {"a": [1]}
    assert asked(b"a=1&a=2&b=").form() == {"a": "1", "b": ""}
    assert asked(b"\xff").text == "�"
    for body in (b"", b"{", b"[" * 100_000):
        with pytest.raises(InputError):
            asked(body).json()
    with pytest.raises(InputError):
        asked(b"a=1&" * 3_000).form()


def test_a_delivery_is_told_by_a_header_or_a_function() -> None:
    assert declared().delivery_of(asked(**{"x-id": "5"})) == "5"
    assert declared().delivery_of(asked()) is None
    assert declared(delivery=lambda request: request.json()["id"]).delivery_of(asked(b'{"id": "6"}')) == "6"
    assert declared(delivery=None).delivery_of(asked(**{"x-id": "5"})) is None


def test_it_subscribes_and_unsubscribes() -> None:
    import httpx

    trigger = declared(subscribe=subscribe, unsubscribe=unsubscribe)
    made, (request,) = run_subscribe(trigger, {}, http=[httpx.Response(201, json={"id": "h1"})])
    assert (made.id, made.address) == ("h1", "https://orchestrator.example.com/h/token")
    assert b"secret" in request.content
    assert "secret" not in repr(made)
    (ended,) = run_unsubscribe(trigger, {}, made, http=[httpx.Response(204)])
    assert (ended.method, ended.url.path) == ("DELETE", "/hooks/h1")


@pytest.mark.parametrize("made", [None, Subscription(), Subscription(id="a", expires_at=datetime(2030, 1, 1))])
def test_what_is_no_subscription_is_a_defect(made: Any) -> None:
    async def wrong(ctx: Any, address: str, secret: str) -> Any:
        return made

    with pytest.raises(TypeError):
        run_subscribe(declared(subscribe=wrong, unsubscribe=unsubscribe), {})


def test_lint_says_what_is_missing() -> None:
    def said(**more: Any) -> list[str]:
        return [finding.message for finding in lint([declared(**more)])]

    assert said() == []
    assert any("help=" in text for text in said(help=""))
    assert said(help="", subscribe=subscribe, unsubscribe=unsubscribe) == []
    assert any("delivery=" in text for text in said(delivery=None))
    assert said(delivery=None, verify="github") == []
