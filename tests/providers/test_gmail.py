"""Gmail's sendEmail: the mail that is built, attacks on its headers, and what each refusal becomes."""

import base64
import json
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.providers.gmail import gmail
from integrations.providers.gmail.actions import send_email
from integrations.providers.gmail.client import SEND_SCOPE
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import check_account, run_action

AUTH = {"access_token": "ya29.x"}
OK = {"id": "m1", "threadId": "t1", "labelIds": ["SENT"]}
MAIL = {"to": "ada@example.com", "subject": "Hi", "bodyText": "Hello"}


def sent(**inputs: Any) -> tuple[EmailMessage, dict[str, Any]]:
    """Send a mail and return it as a receiver would parse it, with the resource it came in."""
    result = run_action(send_email, {**MAIL, **inputs}, auth=AUTH, http=[httpx.Response(200, json=OK)])
    assert result.output == OK
    assert str(result.request.url) == "https://gmail.googleapis.com/gmail/v1/users/me/messages/send"
    assert result.request.headers["authorization"] == "Bearer ya29.x"
    resource = json.loads(result.request.content)
    raw = resource["raw"]
    assert re.fullmatch(r"[A-Za-z0-9_-]+", raw), "base64url without padding"
    data = base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))
    assert data.isascii()
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message, resource


def refused(answer: httpx.Response) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(send_email, MAIL, auth=AUTH, http=[answer])
    return caught.value


def test_a_mail_says_what_its_fields_say_in_utf_8() -> None:
    message, resource = sent(
        to="Ada Lövelace <ada@example.com>, bob@example.com",
        subject="Grüße 🎉 an alle",
        bodyText="Zeile 1\nZeile 2 – ü\n",
    )
    assert [(a.display_name, a.addr_spec) for a in message["To"].addresses] == [
        ("Ada Lövelace", "ada@example.com"),
        ("", "bob@example.com"),
    ]
    assert message["Subject"] == "Grüße 🎉 an alle"
    assert message.get_content().splitlines() == ["Zeile 1", "Zeile 2 – ü"]
    assert message.get_content_type() == "text/plain"
    assert message["MIME-Version"] == "1.0"
    assert message["Date"] is not None
    assert message["From"] is None
    assert set(resource) == {"raw"}


def test_everything_else_that_can_be_set_arrives() -> None:
    message, resource = sent(
        cc=["c1@example.com", "c2@example.com"],
        bcc="b@example.com",
        replyTo="r@example.com",
        **{"from": "Shop <shop@example.com>"},
        bodyHtml="<p>Hellö</p>",
        threadId="t1",
        inReplyTo="<abc@mail.gmail.com>",
    )
    assert [a.addr_spec for a in message["Cc"].addresses] == ["c1@example.com", "c2@example.com"]
    assert message["Bcc"].addresses[0].addr_spec == "b@example.com"
    assert message["Reply-To"].addresses[0].addr_spec == "r@example.com"
    assert message["From"].addresses[0].display_name == "Shop"
    assert message["In-Reply-To"] == message["References"] == "<abc@mail.gmail.com>"
    html = message.get_body(("html",))
    assert html is not None
    assert html.get_content().strip() == "<p>Hellö</p>"
    assert resource["threadId"] == "t1"


ENCODED = "=?utf-8?q?hi=0ABcc=3A_evil=40x.com?="


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", "hi\nBcc: evil@x.com"),
        ("subject", "hi\r\nBcc: evil@x.com"),
        ("subject", "hi\rBcc: evil@x.com"),
        ("subject", ENCODED),
        ("subject", f"x {ENCODED}"),
        ("subject", f"x{ENCODED}y"),
        ("subject", "=?utf-8?b?aGkKQmNjOiBldmlsQHguY29t?="),
        ("subject", "=?utf-8*en?q?hi=0ABcc=3A_evil=40x.com?="),
        ("subject", "=?no-such-charset?q?hi=0ABcc=3A_evil=40x.com?="),
        ("subject", "=?utf-7?q?+AAo-Bcc?="),
        ("subject", "=?utf-16be?b?AAoAQgBjAGM=?="),
        ("subject", "nul\x00"),
        ("subject", "tab\tand\x1b[0m"),
        ("subject", "nel\x85Bcc: evil@x.com"),
        ("subject", "separator\u2028Bcc: evil@x.com"),
        ("subject", "lone \ud800"),
        ("to", "a@x.com\nBcc: evil@x.com"),
        ("to", f"{ENCODED} <a@x.com>"),
        ("to", f'"{ENCODED}" <a@x.com>'),
        ("to", "=?utf-8?q?a=40x.com=2C_evil=40y.com?="),
        ("to", "a@x.com>\r\nBcc: evil@x.com"),
        ("to", "not an address"),
        ("to", "a@"),
        ("to", "@x.com"),
        ("to", "a@b@c"),
        ("to", "a b@x.com"),
        ("to", " , "),
        ("to", "ü@x.com"),
        ("to", ", ".join(["a@x.com"] * 501)),
        ("cc", "c@x.com\r\nX-Evil: 1"),
        ("bcc", "b@x.com\x00"),
        ("replyTo", f"{ENCODED} <a@x.com>"),
        ("from", "f@x.com\nBcc: evil@x.com"),
        ("inReplyTo", "<a@b>\nBcc: evil@x.com"),
        ("inReplyTo", "no id"),
        ("bodyText", "lone \udfff"),
        ("bodyHtml", "lone \udfff"),
    ],
)
def test_no_field_can_add_a_header(field: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        run_action(send_email, {**MAIL, field: value}, auth=AUTH)
    assert caught.value.field == field or field == "bodyHtml"


@given(subject=st.text(max_size=300), name=st.text(max_size=60), body=st.text(max_size=300))
def test_any_text_is_either_refused_or_arrives_with_exactly_the_headers_that_were_meant(
    subject: str, name: str, body: str
) -> None:
    try:
        message, _ = sent(
            subject=subject, bodyText=body, to=f"{json.dumps(name, ensure_ascii=False)} <ada@example.com>"
        )
    except InputError:
        return
    headers = {"to", "subject", "date", "content-type", "content-transfer-encoding", "mime-version"}
    assert {header.lower() for header in message} == headers
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.com"]


@given(st.text(alphabet=st.sampled_from(list('=?utf-8qb_0AaD:@. \tBc,<>"\\;()')), max_size=60))
def test_a_subject_made_of_encoded_words_adds_no_header(subject: str) -> None:
    try:
        message, _ = sent(subject=subject)
    except InputError:
        return
    assert message["Bcc"] is None
    assert len(message.keys()) == 6


@pytest.mark.parametrize("subject", ["", "a" * 2000, "wörter " * 100, 'a, b; c: <d> "e"', "50% off = great?"])
def test_an_ordinary_subject_of_any_length_arrives(subject: str) -> None:
    message, _ = sent(subject=subject)
    assert message["Subject"].split() == subject.split()


def test_a_subject_that_is_already_encoded_arrives_as_what_it_stands_for() -> None:
    message, _ = sent(subject="=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    assert message["Subject"] == "Grüße"


@pytest.mark.parametrize("body", ["", ".", "\r\n.\r\nMAIL FROM:<x>", "x" * 5000, "From here\nto there", "--boundary--"])
def test_an_unusual_text_arrives(body: str) -> None:
    message, _ = sent(bodyText=body)
    assert message.get_content().split() == body.split()


def error_answer(status: int, reason: str = "", message: str = "It failed.") -> httpx.Response:
    body = {"error": {"code": status, "message": message, "status": "X", "errors": [{"reason": reason}]}}
    return httpx.Response(status, json=body)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (400, "invalidArgument", Permanent),
        (401, "authError", AuthError),
        (403, "insufficientPermissions", PermissionMissing),
        (403, "rateLimitExceeded", RateLimited),
        (403, "userRateLimitExceeded", RateLimited),
        (403, "dailyLimitExceeded", PermissionMissing),
        (429, "rateLimitExceeded", RateLimited),
        (500, "backendError", Transient),
    ],
)
def test_a_refusal_is_read_by_status_and_reason(status: int, reason: str, expected: type[IntegrationError]) -> None:
    error = refused(error_answer(status, reason))
    assert type(error) is expected
    assert "It failed." in error.message


def test_a_missing_permission_names_the_scope() -> None:
    error = refused(error_answer(403, "insufficientPermissions"))
    assert isinstance(error, PermissionMissing)
    assert error.scopes == (SEND_SCOPE,)


def test_a_lost_answer_is_an_unknown_outcome_since_gmail_knows_no_idempotency_key() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(send_email, MAIL, auth=AUTH, http=lose)


@pytest.mark.parametrize("answer", [{}, [], {"id": 5, "threadId": "t"}, None])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    assert type(refused(httpx.Response(200, json=answer))) is Permanent


def test_the_account_is_named_by_its_address_or_known_to_send_only() -> None:
    account, requests = check_account(
        gmail, {"type": "oauth2", **AUTH}, [httpx.Response(200, json={"emailAddress": "a@x.com"})]
    )
    assert account.label == "a@x.com"
    assert requests[0].url.path == "/gmail/v1/users/me/profile"
    account, _ = check_account(gmail, {"type": "oauth2", **AUTH}, [error_answer(403, "insufficientPermissions")])
    assert account.scopes == (SEND_SCOPE,)
    with pytest.raises(AuthError):
        check_account(gmail, {"type": "oauth2", **AUTH}, [error_answer(401)])
