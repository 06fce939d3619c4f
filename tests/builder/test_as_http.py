"""A request read as an HTTP step: sent by that, it is the same request, but for what is secret."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
import pytest
from django.utils import timezone

from integrations.registry import registry
from integrations.sdk import Action
from integrations.sdk.holding import HeldRequest
from orchestrator.builder import unsent
from orchestrator.builder.as_http import MAX_BODY, AsHTTP, as_http, body_of
from orchestrator.builder.shown_requests import held_shown, step_shown
from orchestrator.builder.step_facts import comparable
from orchestrator.builder.unsent import Unsent, Written
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.expressions import render
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.services import ResolvedCredential
from tests.contract.recorded import EXCHANGES

CANARY: Final = "canary-f00d-0123456789"
SECRETS: Final = {
    "oauth2": {"access_token": CANARY},
    "api_key": {"api_key": CANARY},
    "bearer_token": {"token": CANARY},
    "basic": {"username": "ada", "password": CANARY},
}
# What goes with each request, whoever sends it.
CARRIED: Final = {"host", "content-length", "user-agent", "accept-encoding", "idempotency-key"}


def held(action: Action, inputs: dict[str, Any], credential: ResolvedCredential | None) -> Unsent:
    """Return what a step of these inputs would send."""
    found = Unsent(credential=credential, clean=Redactor(credential.secrets if credential else ()))
    step = StepDefinition.model_validate({"key": "tell", "action": action.key, "config": {"inputs": inputs}})
    call = unsent._Call(
        action=action, step=step, tenant_id=1, egress_allow=(), scope={"run": {"id": unsent.NO_RUN}}, loops=(),
        credential=credential, secret_values={}, secrets=credential.secrets if credential else (),
    )  # fmt: skip
    asyncio.run(unsent._held(call, found))
    return found


def credential_of(action: Action, settings: dict[str, Any]) -> ResolvedCredential | None:
    kind = next((kind for kind in SECRETS if kind in action.accepted_auth), None)
    if kind is None:
        return None
    return ResolvedCredential(
        credential_id=1, name="mine", provider=action.provider.key, auth_type=kind, settings=settings,
        auth={"provider": action.provider.key, "type": kind, **SECRETS[kind]}, secrets=(CANARY,),
        secret_set_at=timezone.now(),
    )  # fmt: skip


def told(request: HeldRequest) -> dict[str, Any]:
    """Return what a request says, without how it is written."""
    kind, body = body_of(request) if request.body else ("", None)
    headers = {name.lower(): value for name, value in request.headers if name.lower() not in CARRIED}
    if kind == "multipart":
        # Another boundary each time.
        del headers["content-type"]
    return {
        "method": request.method,
        "address": str(request.url.copy_with(query=None)),
        "query": sorted(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
        "headers": headers,
        "body": sorted(body) if kind == "form" else body,
        "added": (request.added_headers, request.added_query, request.in_path),
    }


def test_the_first_request_of_each_action_is_the_same_sent_by_an_http_step() -> None:
    http = registry.get("http.request")
    assert http is not None
    looked_at = []
    for action in registry.actions():
        if not comparable(action) or action.key not in EXCHANGES:
            continue
        exchange = EXCHANGES[action.key]
        credential = credential_of(action, dict(exchange.settings))
        found = held(action, exchange.inputs_for(action), credential)
        assert found.request is not None, action.key
        made = as_http(found.request, found)
        assert made.is_whole, (action.key, made.left_out)
        assert CANARY not in json.dumps(made.inputs), action.key
        shown = held_shown(found.request, found), step_shown(made.inputs, found.request, "mine")
        assert CANARY not in str(shown), action.key
        again = held(http, dict(made.inputs), credential).request
        assert again is not None, action.key
        assert told(again) == told(found.request), action.key
        looked_at.append(action.key)
    assert len(looked_at) >= 40, "the exchanges that are recorded for the contract suite"


def read(body: bytes = b"", kind: str = "", url: str = "https://a.test/x", **more: Any) -> AsHTTP:
    clean = Redactor([CANARY])
    headers = (*more.pop("headers", ()), *((("Content-Type", kind),) if kind else ()))
    request = HeldRequest(method="POST", url=httpx.URL(url), headers=headers, body=body)
    return as_http(request, Unsent(clean=clean, **more))


@pytest.mark.parametrize(
    ("body", "kind", "inputs"),
    [
        (b'{"a": [1, "x"]}', "application/json", {"body": {"a": [1, "x"]}}),
        (b'{"a": 1}', "application/json; charset=utf-8",
         {"body": {"a": 1}, "headers": {"Content-Type": "application/json; charset=utf-8"}}),
        (b"null", "application/json", {"raw": "null", "headers": {"Content-Type": "application/json"}}),
        (b'{"a": NaN}', "application/json", {"raw": '{"a": NaN}', "headers": {"Content-Type": "application/json"}}),
        (b"a=1&a=2&b=", "application/x-www-form-urlencoded", {"form": {"a": ["1", "2"], "b": ""}}),
        (b"a", "application/x-www-form-urlencoded",
         {"raw": "a", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}),
        (b"<a>\xc3\xa4</a>", "text/xml", {"raw": "<a>ä</a>", "headers": {"Content-Type": "text/xml"}}),
        (b"\x00\xff", "image/png", {"file": {"base64": "AP8="}, "headers": {"Content-Type": "image/png"}}),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\nv\r\n--b\r\nContent-Disposition: form-data; '
         b'name="f"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x00\r\n\xff\r\n--b--\r\n',
         "multipart/form-data; boundary=b",
         {"multipart": [{"name": "n", "value": "v"},
                        {"name": "f", "filename": "a.png", "content_type": "image/png", "base64": "AA0K/w=="}]}),
        (b"--b\r\nbroken", "multipart/form-data; boundary=b",
         {"raw": "--b\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}),
        (b"", "", {}),
    ],
)  # fmt: skip
def test_each_kind_of_body_goes_into_the_input_that_fits_it(body: bytes, kind: str, inputs: dict[str, Any]) -> None:
    made = read(body, kind)
    assert made.inputs == {"method": "POST", "url": "https://a.test/x", **inputs}
    assert made.is_whole


def test_a_body_that_is_too_large_for_a_step_is_not_written_into_it() -> None:
    made = read(b"x" * (MAX_BODY + 1), "text/plain")
    assert "raw" not in made.inputs
    assert made.is_large
    assert not made.is_whole


def test_what_comes_from_expressions_is_written_as_these_and_other_data_is_no_expression() -> None:
    written = (
        Written(name="text", text="Hi {{ trigger.body.name }}", value="Hi Ada"),
        Written(name="count", text="{{ trigger.body.n }}", value=1),
        Written(name="rows", text="{{ steps.a.output }}", value=[{"a": 1}]),
        Written(name="one", text="{{ trigger.body.one }}", value="the same"),
        Written(name="two", text="{{ trigger.body.two }}", value="the same"),
    )
    sent = {"text": "Hi Ada", "count": 1, "page": 1, "digits": "1", "all": [{"a": 1}], "x": "the same",
            "two": "the same", "data": "{{ a }} {{{ b", "flag": True}  # fmt: skip
    made = read(json.dumps(sent).encode(), "application/json", "https://a.test/x?count=1&page=1", written=written)
    assert made.inputs["body"] == {
        "text": "Hi {{ trigger.body.name }}", "count": "{{ trigger.body.n }}", "page": 1, "digits": "1",
        "all": "{{ steps.a.output }}", "x": "the same", "two": "{{ trigger.body.two }}",
        "data": '{{ "{{" }} a }} {{ "{{" }}{ b', "flag": True,
    }  # fmt: skip
    assert made.inputs["query"] == {"count": "{{ trigger.body.n }}", "page": "1"}
    assert made.kept == ["count", "text", "rows", "two"]
    scope = {"trigger": {"body": {"name": "Ada", "n": 1, "two": "the same"}}, "steps": {"a": {"output": [{"a": 1}]}}}
    assert render(made.inputs["body"], scope) == sent


def test_secrets_are_left_out_and_named_but_what_the_step_says_in_the_open_is_none() -> None:
    body = {"mine": CANARY, "deep": [{"in": f"a {CANARY}"}], CANARY: 1, "password": "hunter22", "client_secret": "said"}
    headers = (("X-Api-Key", "k"), ("X-Mine", f"Bearer {CANARY}"), ("X-Kind", "test"))
    made = read(
        json.dumps(body).encode(), "application/json", f"https://a.test/{CANARY}?access_token=t&q=1",
        headers=headers, inputs={"secret": "said"},
    )  # fmt: skip
    assert made.inputs["body"] == {"deep": [{}], "client_secret": "said"}
    assert made.inputs["headers"] == {"X-Kind": "test"}
    assert made.inputs["query"] == {"q": "1"}
    assert made.left_out == ["X-Api-Key", "X-Mine", "url", "access_token", "mine", "in", "••••••", "password"]
    assert CANARY not in json.dumps(made.inputs) + str(made.left_out)
    for kind in ("text/plain", "image/png"):
        again = read(b"\xff" * (kind == "image/png") + f"a {CANARY}".encode(), kind)
        assert again.left_out == ["body"]
        assert not again.inputs.keys() & {"raw", "file"}
    forms = read(f"a=1&b={CANARY}".encode(), "application/x-www-form-urlencoded")
    assert forms.inputs["form"] == {"a": "1"}


def test_whatever_a_body_holds_a_page_can_carry_it() -> None:
    body = b'{"a\\ud800": "\\ud800\\u0000 <b>", "long": "' + b"x" * 9_000 + b'"}'
    request = HeldRequest(
        method="POST", url=httpx.URL("https://a.test/x?q=%ff%00"), headers=(("Content-Type", "application/json"),),
        body=body,
    )  # fmt: skip
    found = Unsent()
    for shown in (held_shown(request, found), step_shown(as_http(request, found).inputs, request, "mine")):
        text = "".join((shown.text, shown.url, *(row.value for row in (*shown.query, *shown.headers))))
        assert text.encode().decode() == text
        assert "\0" not in text
        assert len(shown.text) <= 6_001
