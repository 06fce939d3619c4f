"""Messages as they arrive: by real mail servers and webhooks, under the rules for what may be reached."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import hmac
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.core import mail as outbox
from django.utils import timezone
from pytest_django import Settings

from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.mail import built
from orchestrator.alerts.refused import NotSent
from orchestrator.alerts.sending import Outgoing, send
from orchestrator.alerts.targets import Target, new_secret
from orchestrator.vault.services import ResolvedCredential
from tests.alerts.smtp_sink import Sink, smtp_sink
from tests.alerts.test_telling import document, item
from tests.upstream import Upstream, upstream

URL_SECRET = "T0canary/B0canary"


@pytest.fixture
def sink(settings: Settings) -> Iterator[Sink]:
    with smtp_sink() as found:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.DEFAULT_FROM_EMAIL = "Flows <flows@acme.example>"
        yield found


@pytest.fixture
def called(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        allowed = (found.address.removeprefix("http://"),)
        settings.ENV = dataclasses.replace(settings.ENV, egress_allow=allowed)
        yield found


def outgoing(kind: ChannelKind = ChannelKind.EMAIL, **more: Any) -> Outgoing:
    given = {"document": document(item()), "is_test": False, "emails": ("ada@acme.example", "bo@acme.example"), **more}
    return Outgoing(delivery_id=77, kind=kind, at=timezone.now(), **given)


def to(url: str, kind: ChannelKind = ChannelKind.WEBHOOK, **more: Any) -> Outgoing:
    secret = new_secret() if kind is ChannelKind.WEBHOOK else ""
    return outgoing(kind, target=Target(url=url, secret=secret), **more)


def refusal(message: Outgoing) -> NotSent:
    with pytest.raises(NotSent) as caught:
        asyncio.run(send(message))
    return caught.value


def test_a_mail_arrives_as_plain_text_for_everybody_at_once(sink: Sink) -> None:
    asyncio.run(send(outgoing(document=document(item(text="Since noon.")))))
    ((recipients, raw),) = sink.mails
    assert recipients == ["ada@acme.example", "bo@acme.example"]
    found = message_from_bytes(raw, policy=policy.default)
    assert found["subject"] == "[Acme] Orders is failing (3 runs)"
    assert found["from"] == "Flows <flows@acme.example>"
    assert found["message-id"] == "<alert-77@acme.example>"
    assert found["auto-submitted"] == "auto-generated"
    assert found.get_content_type() == "text/plain"
    assert "✗ Orders is failing (3 runs)" in found.get_content()
    assert "Since noon." in found.get_content()


@pytest.mark.parametrize(
    "name",
    ["x\r\nBcc: evil@x.com", "=?utf-8?q?hi=0ABcc=3A_evil=40x.com?=", "=?utf-8?q?hi=0D=0ABcc:evil@x.com?=", "x\nBcc: e"],
)
def test_no_name_becomes_a_header(sink: Sink, name: str) -> None:
    asyncio.run(send(outgoing(document=document(item(workflow={"name": name}), tenant=name))))
    ((recipients, raw),) = sink.mails
    assert recipients == ["ada@acme.example", "bo@acme.example"]
    found = message_from_bytes(raw, policy=policy.default)
    assert found["bcc"] is None
    assert found["cc"] is None
    assert "\n" not in str(found["subject"])


def test_what_would_read_as_another_header_is_not_sent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.alerts import messages

    monkeypatch.setattr(messages, "subject", lambda _document: "=?utf-8?q?hi=0ABcc=3A_evil=40x.com?=")
    with pytest.raises(NotSent, match="wrong header"):
        built(document(item()), ["ada@acme.example"], message_id="1")


@pytest.mark.parametrize(
    ("refused", "data_code", "permanent", "said"),
    [
        ({"ada@acme.example": 550, "bo@acme.example": 550}, 250, True, "refused ada@acme.example, bo@acme.example"),
        ({"ada@acme.example": 450, "bo@acme.example": 450}, 250, False, "refused ada@acme.example"),
        ({}, 451, False, "answered 451"),
        ({}, 554, True, "answered 554"),
    ],
)
def test_what_a_mail_server_refuses_is_said(
    sink: Sink, refused: dict[str, int], data_code: int, permanent: bool, said: str
) -> None:
    sink.refused, sink.data_code = refused, data_code
    error = refusal(outgoing())
    assert said in error.message
    assert error.permanent is permanent


def test_a_mail_server_that_is_away_is_tried_again(sink: Sink, settings: Settings) -> None:
    settings.EMAIL_PORT = 1
    error = refusal(outgoing())
    assert (error.message, error.permanent) == ("The mail server could not be reached (ConnectionRefusedError).", False)


def test_without_a_mail_server_it_says_what_to_set(settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    error = refusal(outgoing())
    assert "EMAIL_URL" in error.message
    assert error.permanent
    assert outbox.outbox == []


def test_a_webhook_gets_json_that_is_signed_by_standard_webhooks(called: Upstream) -> None:
    message = to(f"{called.address}/alerts?key={URL_SECRET}")
    asyncio.run(send(message))
    (call,) = called.calls
    body = call.json()
    assert (call.method, call.path, body["type"]) == ("POST", "/alerts", "alert")
    assert body["data"]["summary"] == "Orders is failing (3 runs)"
    assert body["data"]["items"] == message.document["items"]
    assert call.headers["webhook-id"] == "alert_77"
    assert message.target is not None
    key = base64.b64decode(message.target.secret.removeprefix("whsec_"))
    signed = f"alert_77.{call.headers['webhook-timestamp']}.".encode() + call.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert call.headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(call.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60


def test_our_own_check_of_standard_webhooks_takes_the_signature(called: Upstream) -> None:
    from orchestrator.flow.webhooks import Signature
    from runs.triggers.signatures import verify

    message = to(f"{called.address}/alerts")
    asyncio.run(send(message))
    (call,) = called.calls
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in call.headers.items()}
    signature = Signature(preset="standard_webhooks", credential="x")
    assert message.target is not None
    auth = {"api_key": message.target.secret}
    verify(signature, auth, environ=environ, body=call.body, now=timezone.now().timestamp())


def test_a_test_says_that_it_is_one(called: Upstream) -> None:
    asyncio.run(send(to(f"{called.address}/alerts", document=document(), is_test=True)))
    assert called.calls[0].json()["type"] == "alert.test"


def test_a_server_that_is_out_of_order_is_asked_again_and_nothing_is_followed(called: Upstream) -> None:
    error = refusal(to(f"{called.address}/alerts?away=1"))
    assert (error.message, error.permanent) == ("It was answered with status 503.", False)
    assert len(called.calls) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "http://169.254.169.254/latest", "http://[::1]/", "http://localhost/x"]
)
def test_no_private_address_is_reached(url: str) -> None:
    error = refusal(to(url))
    assert error.permanent
    assert "may not reach" in error.message


def test_a_tenants_list_of_hosts_counts_for_alerts_too(called: Upstream) -> None:
    error = refusal(to(f"{called.address}/alerts", egress_allow=("api.example.com",)))
    assert "not among the hosts" in error.message
    assert called.calls == []


def test_a_sealed_address_is_in_no_error(called: Upstream) -> None:
    for url in (f"{called.address}/{URL_SECRET}?away=9", f"http://127.0.0.1:9/{URL_SECRET}"):
        error = refusal(to(url))
        assert URL_SECRET not in error.message


def test_slack_by_its_webhook(called: Upstream) -> None:
    asyncio.run(send(to(f"{called.address}/services/{URL_SECRET}", ChannelKind.SLACK)))
    (call,) = called.calls
    assert "✗ Orders is failing" in call.json()["text"]
    assert "webhook-signature" not in call.headers


def test_slack_by_a_credential_of_the_vault(called: Upstream, settings: Settings) -> None:
    settings.ENV = dataclasses.replace(settings.ENV, base_urls={"slack": f"{called.address}/slack/api"})
    called.answers["/slack/api/chat.postMessage"] = {"ok": True}
    credential = ResolvedCredential(
        credential_id=1, name="team", provider="slack", auth_type="bearer_token", settings={},
        auth={"provider": "slack", "type": "bearer_token", "token": "xoxb-canary"}, secrets=("xoxb-canary",),
        secret_set_at=timezone.now(),
    )  # fmt: skip
    message = outgoing(ChannelKind.SLACK, credential=credential, slack_channel="#alerts")
    asyncio.run(send(message))
    (call,) = called.calls
    assert call.json()["channel"] == "#alerts"
    assert call.headers["authorization"] == "Bearer xoxb-canary"
    called.answers["/slack/api/chat.postMessage"] = {"ok": False, "error": "not_in_channel"}
    error = refusal(message)
    assert error.permanent
    assert "/invite @your-app" in error.message
    assert "canary" not in error.message
