"""Outlook's sendEmail: what goes out, and what each refusal becomes."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from integrations import microsoft
from integrations.providers.microsoft_outlook import microsoft_outlook
from integrations.providers.microsoft_outlook.actions import send_email
from integrations.providers.microsoft_outlook.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OAuth2,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.oauth import Endpoints, OAuthApp, authorize_address
from integrations.sdk.testing import ActionResult, check_account, run_action

AUTH = {"access_token": "eyJ-canary"}
MAIL = {"to": "Ada Lovelace <ada@example.com>", "subject": "Grüße", "body": "Hallo\n\nAda"}


def send(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    return run_action(send_email, {**MAIL, **inputs}, auth=AUTH, http=answers or [httpx.Response(202)])


def body_of(result: ActionResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.request.content)
    return found


def refused(status: int, code: str = "x", headers: dict[str, str] | None = None) -> IntegrationError:
    answer = {"error": {"code": code, "message": "It says why."}}
    with pytest.raises(IntegrationError) as caught:
        send(httpx.Response(status, json=answer, headers=headers))
    return caught.value


def test_a_mail_goes_out_as_data_and_its_empty_answer_is_success() -> None:
    result = send(httpx.Response(202, headers={"request-id": "r1"}))
    assert (result.request.method, str(result.request.url)) == ("POST", "https://graph.microsoft.com/v1.0/me/sendMail")
    assert result.request.headers["authorization"] == "Bearer eyJ-canary"
    assert body_of(result) == {
        "message": {
            "subject": "Grüße",
            "body": {"contentType": "text", "content": "Hallo\n\nAda"},
            "importance": "normal",
            "toRecipients": [{"emailAddress": {"address": "ada@example.com", "name": "Ada Lovelace"}}],
        },
        "saveToSentItems": True,
    }
    assert result.output == {"accepted": True, "recipients": ["ada@example.com"], "request_id": "r1"}


def test_what_is_set_goes_along() -> None:
    result = send(
        to=["a@example.com", "b@example.com"], cc="c@example.com", bcc="d@example.com, a@example.com",
        reply_to="Help <help@example.com>", content_type="html", body="<p>Hi</p>", importance="high",
        save_to_sent=False,
    )  # fmt: skip
    message = body_of(result)["message"]
    assert body_of(result)["saveToSentItems"] is False
    assert [each["emailAddress"]["address"] for each in message["toRecipients"]] == ["a@example.com", "b@example.com"]
    assert message["ccRecipients"] == [{"emailAddress": {"address": "c@example.com"}}]
    assert len(message["bccRecipients"]) == 2
    assert message["replyTo"] == [{"emailAddress": {"address": "help@example.com", "name": "Help"}}]
    assert message["body"] == {"contentType": "html", "content": "<p>Hi</p>"}
    assert message["importance"] == "high"
    assert result.output["recipients"] == ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"to": ""}, "to"),
        ({"to": "ada"}, "to"),
        ({"cc": "x y@example.com"}, "cc"),
        ({"reply_to": "x"}, "reply_to"),
        ({"bcc": ",".join(f"a{at}@example.com" for at in range(500))}, "to"),
        ({"bcc": ",".join(f"a{at}@example.com" for at in range(501))}, "bcc"),
        ({"subject": "Hi\r\nBcc: evil@example.com"}, "subject"),
        ({"subject": "x" * 256}, "subject"),
        ({"body": "x" * 3_000_001}, "body"),
        ({"body": "\ud800"}, "body"),
        ({"content_type": "markdown"}, "content_type"),
        ({"text": "x"}, "text"),
    ],
)
def test_inputs_that_fit_no_mail_are_refused_before_anything_is_sent(inputs: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        run_action(send_email, {**MAIL, **inputs}, auth=AUTH)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "ErrorInvalidRecipients", InputError),
        (400, "RequestBodyRead", Permanent),
        (401, "InvalidAuthenticationToken", AuthError),
        (403, "ErrorAccessDenied", PermissionMissing),
        (403, "ErrorSendAsDenied", PermissionMissing),
        (403, "ErrorMessageSubmissionBlocked", Permanent),
        (404, "MailboxNotEnabledForRESTAPI", NotFound),
        (413, "ErrorMessageSizeExceeded", InputError),
        (429, "ApplicationThrottled", RateLimited),
        (429, "ErrorExceededMessageLimit", RateLimited),
        (503, "ErrorServerBusy", Transient),
        (500, "ErrorInvalidRecipients", Transient),
        (507, "ErrorQuotaExceeded", Permanent),
    ],
)
def test_a_code_says_what_to_do(status: int, code: str, expected: type[IntegrationError]) -> None:
    error = refused(status, code)
    assert type(error) is expected
    assert error.message == "Microsoft: It says why."


def test_a_missing_scope_is_named() -> None:
    error = refused(403, "ErrorAccessDenied")
    assert isinstance(error, PermissionMissing)
    assert error.scopes == ("Mail.Send",)


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in (*ERRORS.values(), *microsoft.ERRORS.values()))


@pytest.mark.parametrize("status", [429, 503])
def test_too_many_requests_wait_as_long_as_microsoft_says(status: int) -> None:
    error = refused(status, headers={"Retry-After": "30"})
    assert isinstance(error, Transient)
    assert error.retry_after == 30


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_email, MAIL, auth=AUTH, http=lose)


def test_an_answer_that_does_not_say_that_it_was_taken_is_none() -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        send(httpx.Response(200, content=b"<html>Sign in</html>"))


def test_a_person_signs_in_with_any_account_and_a_challenge() -> None:
    kind = microsoft_outlook.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    endpoints = Endpoints(
        authorize_url=kind.authorize_url, token_url=kind.token_url, scopes=kind.scopes, pkce=kind.pkce
    )
    address = urlsplit(
        authorize_address(endpoints, OAuthApp(id="app"), redirect_uri="https://o.example/c", state="s", verifier="v")
    )
    asked = parse_qs(address.query)
    assert address.path == "/common/oauth2/v2.0/authorize"
    assert asked["scope"] == ["offline_access User.Read Mail.Send"]
    assert asked["code_challenge_method"] == ["S256"]


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ({"mail": "ada@example.com", "userPrincipalName": "ada@acme.example"}, "ada@example.com"),
        ({"mail": None, "userPrincipalName": "ada@acme.example"}, "ada@acme.example"),
    ],
)
def test_an_account_is_asked_for_its_address(answer: dict[str, Any], label: str) -> None:
    auth = {"type": "oauth2", **AUTH}
    account, (request,) = check_account(microsoft_outlook, auth, [httpx.Response(200, json=answer)])
    assert account.label == label
    assert request.url.path == "/v1.0/me"
    for status, kind in ((401, AuthError), (503, Transient)):
        with pytest.raises(kind):
            check_account(microsoft_outlook, auth, [httpx.Response(status, json={})])
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(microsoft_outlook, auth, [httpx.Response(200, json={})])


def test_a_token_that_may_only_send_is_good() -> None:
    refusal = httpx.Response(403, json={"error": {"code": "Authorization_RequestDenied", "message": "No"}})
    account, _ = check_account(microsoft_outlook, {"type": "bearer_token", "token": "x"}, [refusal])
    assert account.scopes == ("Mail.Send",)
