"""HubSpot's upsertContact: which requests it takes, what goes out, and what each refusal becomes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.providers.hubspot import hubspot
from integrations.providers.hubspot.actions import upsert_contact
from integrations.providers.hubspot.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OAuth2,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.oauth import Endpoints, OAuthApp, renew
from integrations.sdk.testing import ActionResult, answering, check_account, make_context, run_action

AUTH = {"access_token": "hub-canary"}
ADA = {"email": " Ada+1@Example.com ", "firstname": "Ada"}
CONTACT = {"id": "512", "properties": {"email": "ada+1@example.com"}}
KNOWN = httpx.Response(200, json=CONTACT)
MADE = httpx.Response(201, json=CONTACT)


def error(status: int, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    answer = {"status": "error", "message": "It says why.", "correlationId": "c", **more}
    return httpx.Response(status, json=answer, headers=headers)


ABSENT = error(404, category="OBJECT_NOT_FOUND")
TAKEN = error(409, category="CONFLICT", message="Contact already exists. Existing ID: 77")


def upsert(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    return run_action(upsert_contact, {**ADA, **inputs}, auth=AUTH, http=answers)


def refused(*answers: httpx.Response) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        upsert(*answers)
    return caught.value


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


def test_a_known_contact_is_changed_by_one_request_and_keeps_what_is_not_named() -> None:
    result = upsert(KNOWN, properties={"lead_score": 42, "topics": ["a", "b"], "vip": True, "note": "", "old": None})
    request = result.request
    assert request.method == "PATCH"
    assert request.url.raw_path == b"/crm/v3/objects/contacts/ada%2B1%40example.com?idProperty=email"
    assert request.headers["authorization"] == "Bearer hub-canary"
    assert body_of(request) == {
        "properties": {"firstname": "Ada", "lead_score": "42", "topics": "a;b", "vip": "true", "note": ""}
    }
    assert result.output == {**CONTACT, "created": False}


def test_an_unknown_one_is_made() -> None:
    result = upsert(ABSENT, MADE)
    assert [request.method for request in result.requests] == ["PATCH", "POST"]
    assert result.requests[1].url.path == "/crm/v3/objects/contacts"
    assert body_of(result.requests[1]) == {
        "properties": {"email": "ada+1@example.com", "firstname": "Ada"}, "associations": [],
    }  # fmt: skip
    assert result.output["created"] is True


def test_one_that_somebody_else_makes_in_between_is_changed() -> None:
    result = upsert(ABSENT, TAKEN, KNOWN)
    last = result.requests[2]
    assert (last.method, last.url.raw_path) == ("PATCH", b"/crm/v3/objects/contacts/77")
    assert body_of(last) == {"properties": {"firstname": "Ada"}}
    assert result.output["created"] is False


def test_one_that_is_made_and_deleted_at_that_moment_is_tried_again() -> None:
    assert type(refused(ABSENT, TAKEN, ABSENT)) is Transient
    assert type(refused(ABSENT, error(409, category="CONFLICT"))) is Transient


def test_without_anything_to_set_a_known_contact_is_only_read() -> None:
    result = upsert(KNOWN, firstname=None)
    assert (result.request.method, result.request.url.params["idProperty"]) == ("GET", "email")
    made = upsert(ABSENT, MADE, firstname=None)
    assert body_of(made.requests[1])["properties"] == {"email": "ada+1@example.com"}


def test_an_address_that_something_before_hubspot_does_not_know_makes_no_contact() -> None:
    assert type(refused(httpx.Response(404, content=b"<html>no such page"))) is NotFound


def test_a_lost_answer_is_asked_for_again() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(upsert_contact, ADA, auth=AUTH, http=lose)


@pytest.mark.parametrize(
    "inputs",
    [
        {"email": "ada"},
        {"email": ""},
        {"email": "a b@example.com"},
        {"properties": {"email": "x@example.com"}},
        {"properties": {"Lead Status": "x"}},
        {"properties": {"x": {"a": 1}}},
        {"properties": {"x": [1]}},
        {"name": "Ada"},
    ],
)
def test_inputs_that_fit_no_contact_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        upsert(**inputs)


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        (400, {"category": "VALIDATION_ERROR"}, InputError),
        (400, {}, Permanent),
        (401, {"category": "EXPIRED_AUTHENTICATION"}, AuthError),
        (403, {"category": "MISSING_SCOPES"}, PermissionMissing),
        (409, {"category": "CONFLICT"}, Transient),
        (423, {}, Transient),
        (429, {"category": "RATE_LIMITS"}, RateLimited),
        (477, {}, Transient),
        (502, {"category": "VALIDATION_ERROR"}, Transient),
        (521, {}, Transient),
    ],
)
def test_a_category_says_what_to_do(status: int, more: dict[str, str], expected: type[IntegrationError]) -> None:
    told = refused(error(status, **more))
    assert type(told) is expected
    assert told.message == "HubSpot: It says why."


def test_a_wrong_property_is_named_in_hubspots_words() -> None:
    rows = [{"message": 'Property "lead_scor" does not exist', "context": {"propertyName": ["lead_scor"]}}]
    told = refused(error(400, category="VALIDATION_ERROR", message="Property values were not valid", errors=rows))
    assert isinstance(told, InputError)
    assert told.field == "lead_scor"
    assert told.message == 'HubSpot: Property values were not valid; Property "lead_scor" does not exist'


def test_a_limit_says_how_long_to_wait() -> None:
    soon = refused(error(429, policyName="TEN_SECONDLY_ROLLING"))
    told = refused(error(429, {"Retry-After": "3"}))
    daily = refused(error(429, policyName="DAILY"))
    assert [each.retry_after for each in (soon, told, daily) if isinstance(each, RateLimited)] == [10, 3, None]
    assert "this day" in daily.hint


def test_every_category_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())


@pytest.mark.parametrize("answer", [[], {}, {"id": 5, "properties": {}}, {"id": "5"}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        upsert(httpx.Response(200, json=answer))


@pytest.mark.parametrize("auth", [{"type": "oauth2", **AUTH}, {"type": "bearer_token", "token": "pat-canary"}])
def test_an_account_is_asked_for_its_number(auth: dict[str, str]) -> None:
    answer = httpx.Response(200, json={"portalId": 4711, "accountType": "DEVELOPER_TEST"})
    account, (request,) = check_account(hubspot, auth, [answer])
    assert account.label == "HubSpot account 4711 (developer test)"
    assert request.url.path == "/account-info/v3/details"
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(hubspot, auth, [httpx.Response(200, json={})])


def test_a_token_is_renewed_at_version_3_and_lasts_as_long_as_it_says() -> None:
    kind = hubspot.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    endpoints = Endpoints(token_url=kind.token_url, authorize_url=kind.authorize_url, pkce=kind.pkce)
    answer = {"token_type": "bearer", "access_token": "new", "refresh_token": "r2", "expires_in": 1800, "hub_id": 1}
    ctx, wire = make_context(upsert_contact, ADA, auth=AUTH, http=answering(httpx.Response(200, json=answer)))
    ctx.http.authorize = None
    now = datetime(2026, 3, 2, tzinfo=UTC)
    app = OAuthApp(id="app", secret="canary")
    found = asyncio.run(renew(ctx.http, endpoints, app, refresh_token="r1", now=now))
    (request,) = wire.requests
    assert str(request.url) == "https://api.hubapi.com/oauth/v3/token"
    # Version 3 takes everything from the body, where no log keeps it.
    assert request.url.query == b""
    assert b"refresh_token=r1" in request.content
    assert b"client_secret=canary" in request.content
    assert (found.access_token, found.refresh_token, found.expires_at) == ("new", "r2", now + timedelta(minutes=30))
