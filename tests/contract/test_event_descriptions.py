"""GitHub, Stripe and Slack, which tell of events, held against their official descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from integrations.providers.github.actions import CreateIssueInputs, create_issue
from integrations.providers.github.triggers import new_event
from integrations.providers.slack.triggers import NewMessageOutput, new_message
from integrations.providers.stripe.triggers import PAID, NewPaymentOutput, new_payment
from integrations.sdk import Subscription, WebhookRequest
from integrations.sdk.testing import check_account, run_subscribe, run_unsubscribe, run_webhook
from tests.contract import described as descriptions
from tests.contract.described import SPECS, description, request_of, validate

pytestmark = descriptions.described

# --- GitHub: OpenAPI 3.0 -----------------------------------------------------------------------------------------

GITHUB = "github/api.github.com.trim.json"
WATCHED = {"repository": "octocat/hello-world", "events": ["issues"]}


def github_operation(request: httpx.Request) -> tuple[str, dict[str, Any]]:
    """Return where in the description a request's operation stands, and the operation."""
    parts = urlsplit(str(request.url))
    assert f"{parts.scheme}://{parts.netloc}" == description(GITHUB)["servers"][0]["url"]
    path = parts.path.replace("/octocat/hello-world", "/{owner}/{repo}").replace("/hooks/17", "/hooks/{hook_id}")
    operation: dict[str, Any] = description(GITHUB)["paths"][path][request.method.lower()]
    escaped = path.replace("/", "~1")
    return f"/paths/{escaped}/{request.method.lower()}", operation


def check_github(request: httpx.Request) -> None:
    """Hold a request's body against its description, which admits nothing that it does not name."""
    pointer, operation = github_operation(request)
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    body = json.loads(request.content)
    assert set(body) <= set(schema["properties"])
    validate(body, description(GITHUB), f"{pointer}/requestBody/content/application~1json/schema")


def test_an_issue_of_github_is_what_github_describes() -> None:
    inputs = {
        "repository": "octocat/hello-world", "title": "Broken", "body": "It is.", "labels": ["bug"],
        "assignees": ["octocat"], "milestone": 1,
    }  # fmt: skip
    assert set(inputs) == set(CreateIssueInputs.model_fields)
    check_github(request_of(create_issue, inputs, {"token": "ghp_1"}))
    described = description(GITHUB)["components"]["schemas"]["issue"]["properties"]
    assert {"id", "number", "html_url", "title", "state"} <= set(described)


def test_the_hooks_of_a_repository_are_what_github_describes() -> None:
    auth, hook = {"token": "ghp_1"}, {"id": 17, "active": False, "config": {"url": "https://a.example/h/t"}}
    answers = [httpx.Response(422, json={}), httpx.Response(200, json=[hook]), httpx.Response(200, json=hook)]
    _, (made, listed, changed) = run_subscribe(
        new_event, WATCHED, address="https://a.example/h/t", auth=auth, http=answers
    )
    known = Subscription(id="17")
    _, (seen, woken) = run_subscribe(
        new_event, WATCHED, known=known, auth=auth, http=[httpx.Response(200, json=hook) for _time in range(2)]
    )
    (ended,) = run_unsubscribe(new_event, WATCHED, known, auth=auth, http=[httpx.Response(204)])
    for request in (made, changed, woken):
        check_github(request)
    for request in (listed, seen, ended):
        github_operation(request)
    sent = set(json.loads(made.content)["config"])
    described = description(GITHUB)["components"]["schemas"]
    assert sent <= {name.removeprefix("webhook-config-").replace("-", "_") for name in described}
    parameters = {each.get("$ref", each.get("name")) for each in github_operation(listed)[1]["parameters"]}
    assert {"#/components/parameters/per-page", "#/components/parameters/page"} <= parameters


def test_the_test_of_a_github_token_is_what_github_describes() -> None:
    answer = httpx.Response(200, json={"login": "octocat"})
    _, (request,) = check_account(create_issue.provider, {"type": "bearer_token", "token": "x"}, [answer])
    github_operation(request)


# --- Stripe: OpenAPI 3.0, bodies as forms -------------------------------------------------------------------------

STRIPE = "stripe/spec3.trim.json"


def stripe_operation(request: httpx.Request) -> dict[str, Any]:
    parts = urlsplit(str(request.url))
    assert f"{parts.scheme}://{parts.netloc}" == description(STRIPE)["servers"][0]["url"].rstrip("/")
    path = parts.path.replace("/we_1", "/{webhook_endpoint}")
    operation: dict[str, Any] = description(STRIPE)["paths"][path][request.method.lower()]
    return operation


def stripe_fields(operation: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    return fields


def test_the_endpoints_of_stripe_are_what_stripe_describes() -> None:
    auth, made = {"api_key": "sk_1"}, {"id": "we_1", "secret": "whsec_1", "url": "https://a.example/h/t"}
    answers = [httpx.Response(200, json=made), httpx.Response(200, json={"data": [made], "has_more": False})]
    _, (posted, listed) = run_subscribe(new_payment, {}, auth=auth, http=answers)
    schema = stripe_fields(stripe_operation(posted))
    form = parse_qs(posted.content.decode())
    assert {name.removesuffix("[]") for name in form} <= set(schema["properties"])
    assert set(schema["required"]) <= {name.removesuffix("[]") for name in form}
    assert form["enabled_events[]"] == [PAID]
    assert PAID in schema["properties"]["enabled_events"]["items"]["enum"]
    assert set(listed.url.params) <= {each["name"] for each in stripe_operation(listed)["parameters"]}
    off = httpx.Response(200, json={"id": "we_1", "status": "disabled"})
    known = Subscription(id="we_1")
    _, (seen, woken) = run_subscribe(new_payment, {}, known=known, auth=auth, http=[off, httpx.Response(200, json={})])
    assert stripe_operation(seen)
    assert set(parse_qs(woken.content.decode())) <= set(stripe_fields(stripe_operation(woken))["properties"])
    (ended,) = run_unsubscribe(new_payment, {}, known, auth=auth, http=[httpx.Response(200, json={})])
    assert stripe_operation(ended)
    described = description(STRIPE)["components"]["schemas"]
    assert {"id", "secret", "status", "url"} <= set(described["webhook_endpoint"]["properties"])


def test_a_payment_of_stripe_is_what_stripe_gives() -> None:
    payment = json.loads((Path(SPECS) / "stripe/fixtures3.json").read_text(encoding="utf-8"))["resources"]
    event = {"id": "evt_1", "type": PAID, "data": {"object": payment["payment_intent"]}}
    (item,) = run_webhook(new_payment, {}, WebhookRequest(method="POST", body=json.dumps(event).encode()))
    NewPaymentOutput.model_validate(item.data)
    assert "_secret_" not in json.dumps(item.data)


# --- Slack: AsyncAPI 1, of the Events API -------------------------------------------------------------------------

SLACK = "slack/slack_events_api_async_v1.json"


def test_a_message_of_slack_is_what_slack_describes() -> None:
    sample = new_message.sample
    assert isinstance(sample, dict)
    sent = {
        "token": "XXYYZZ", "team_id": "T1H9RESGL", "api_app_id": "A2H9RFS1A", "event": sample["event"],
        "type": "event_callback", "event_id": "Ev0PV52K25", "event_time": 1525215129, "authed_users": ["U0LAN0Z89"],
    }  # fmt: skip
    validate(sent, description("slack/slack_common_event_wrapper_schema.json"), "")
    (item,) = run_webhook(new_message, {}, WebhookRequest(method="POST", body=json.dumps(sent).encode()))
    assert item.data == sample
    NewMessageOutput.model_validate(item.data)
    topics = description(SLACK)["topics"]
    assert {"message.channels", "message.groups", "message.im", "url.verification"} <= set(topics)
    assert all(name in new_message.help for name in ("message.channels", "message.groups", "message.im"))
