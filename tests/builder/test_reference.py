"""The reference of the SDK: every public name, every kind of field, and the whole as one text."""

from __future__ import annotations

import gzip
import html
import inspect
import json
import re
from enum import StrEnum
from typing import Literal
from unittest.mock import ANY

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel, Field

from integrations import sdk
from integrations.registry import registry
from integrations.sdk import testing
from integrations.sdk.client import Response, StepHttp
from orchestrator.builder import step_form
from orchestrator.builder.examples import fields, orders
from orchestrator.builder.reference import field_rows
from orchestrator.builder.sdk_text import helper_names, sdk_text
from orchestrator.builder.spoken import input_schema_of, said_by_all
from tests.test_translation import foreign

__all__ = ["foreign"]


@pytest.fixture
def page(client: Client, viewer: User) -> str:
    client.force_login(viewer)
    return client.get(reverse("developers-reference", args=["acme"])).text


def test_the_text_has_every_public_name_with_what_it_says() -> None:
    text = sdk_text()
    for name in sdk.__all__:
        value = getattr(sdk, name)
        head = (
            rf"^(class |async def |def ){name}\b" if callable(value) and hasattr(value, "__module__") else f"^{name} = "
        )
        assert re.search(head, text, re.MULTILINE), name
        said = (getattr(value, "__doc__", None) or "").strip().split("\n")[0]
        assert not isinstance(value, type) or said in text, name
    for name in ("run_action", "make_context", "answering", "check_account"):
        assert f"def {name}(" in text
    for name in ("get", "post", "request"):
        assert f"async def {name}(self" in text
    assert "def raise_for_status(" in text
    assert (StepHttp.__doc__ or "").split("\n")[0] in text
    assert (Response.__doc__ or "").split("\n")[0] in text


def test_every_name_of_the_sdk_is_declared_public() -> None:
    own = {
        name
        for name, value in vars(sdk).items()
        if not name.startswith("_") and getattr(value, "__module__", "integrations.sdk").startswith("integrations.sdk.")
    }
    assert own <= set(sdk.__all__)


def test_the_text_tells_nothing_of_this_machine() -> None:
    assert not re.search(r"/(home|root|tmp|work|usr)/|0x[0-9a-f]{6}", sdk_text())


def test_the_text_is_sent_as_text(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    answer = client.get(reverse("developers-text", args=["acme"]))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == sdk_text()


def test_the_page_holds_the_same_text_to_copy(page: str) -> None:
    assert 'data-copy-from="#sdk-text"' in page
    shown = re.search(r'<pre id="sdk-text"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert shown is not None
    assert html.unescape(shown.group(1)) == sdk_text()
    assert len(gzip.compress(page.encode())) <= 25 * 1024


def test_every_kind_of_field_is_drawn(page: str) -> None:
    drawn = step_form.fields(fields.EveryField.model_json_schema(), {})
    assert {field.kind for field in drawn} == {
        "text", "area", "code", "number", "choice", "switch", "lines", "pairs", "json", "secret",
    }  # fmt: skip
    assert {field.is_segmented for field in drawn if field.kind == "choice"} == {True, False}
    assert re.findall(r'data-field="([^"]+)"', page) == list(fields.EveryField.model_fields)
    for field in drawn:
        assert f'<pre class="pre" tabindex="0" aria-label="{field.name}">' in page


def test_every_error_kind_of_credential_and_helper_is_told(page: str) -> None:
    errors = [
        value for value in vars(sdk).values() if isinstance(value, type) and issubclass(value, sdk.IntegrationError)
    ]
    for name in [error.__name__ for error in errors if error is not sdk.IntegrationError]:
        assert f'<td class="mono">{name}</td>' in page
    for name in ("OAuth2", "ApiKey", "BearerToken", "Basic", "NoAuth"):
        assert f'<td class="mono">{name}</td>' in page
    told = re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    assert "``" not in told
    names = [name for name, _value in helper_names()]
    assert {"run_action", "make_context", "ActionResult"} <= set(names)
    for name in names:
        assert getattr(testing, name).__module__ == "integrations.sdk.testing"
        assert f'<dt class="mono brk">{name}</dt>' in page


def test_ids_are_there_once_and_links_lead_somewhere(page: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_example_of_triggers_does_what_it_says() -> None:
    auth = {"api_key": "k"}
    rows = [{"id": "o1", "created": "2026-01-02"}]
    found = testing.run_poll(orders.new_order, {"region": "north"}, auth=auth, http=[httpx.Response(200, json=rows)])
    assert ([item.id for item in found.items], found.cursor) == (["o1"], "2026-01-02")
    made, _requests = testing.run_subscribe(
        orders.order_paid, {"region": "north"}, auth=auth, http=[httpx.Response(201, json={"id": 5})]
    )
    for known, wanted in ((made, {"id": "5"}), (sdk.Subscription(address="https://a.example"), {"url": ANY})):
        (request,) = testing.run_unsubscribe(
            orders.order_paid, {"region": "north"}, known, auth=auth, http=[httpx.Response(204)]
        )
        assert dict(request.url.params) == wanted
    events = [{"id": "e1", "kind": "paid", "order": {"number": 1}}, {"id": "e2", "kind": "sent"}]
    asked = sdk.WebhookRequest(method="POST", body=json.dumps({"events": events}).encode())
    assert testing.run_webhook(orders.order_paid, {"region": "north"}, asked) == [sdk.Item("e1", {"number": 1})]
    assert inspect.getsource(orders).strip() in sdk_text()


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


def test_values_of_a_choice_are_listed_with_their_words() -> None:
    class Inputs(BaseModel):
        way: Literal["get", "own"] | None = Field(None, json_schema_extra=sdk.ui(words={"own": "One's own"}))
        sizes: list[Size] = Field([], title="Sizes")
        size: Size = Field(Size.SMALL, json_schema_extra=sdk.ui(words={"s": "Small"}))
        one: Literal["x"] = "x"
        on: bool = True

    rows = {row.name: row for row in field_rows(Inputs.model_json_schema())}
    assert rows["way"].type == "one of get, own (One's own)"
    assert (rows["size"].type, rows["size"].default) == ("one of s (Small), l", "s")
    assert (rows["one"].type, rows["on"].default) == ("x", "true")


def test_words_of_values_are_translated_and_found_by_makemessages(foreign: None) -> None:
    action = registry.get("ai.agent")
    assert action is not None
    words = input_schema_of(action)["properties"]["provider"]["x-words"]
    assert words["endpoint"] == "⟦Any compatible endpoint⟧"
    assert said_by_all()["Any compatible endpoint"] == "ai.agent"
