"""What a provider sends is believed only when all of it holds: every lie and every replay is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from joserfc.jwk import ECKey, RSAKey

from orchestrator.errors import Invalid
from orchestrator.logs import json_formatter
from orchestrator.tenants import oidc
from orchestrator.tenants.models import SignInFailure, SignOnLink, SingleSignOn
from orchestrator.tenants.oidc import SignOnFailed, discover, issuer_checked
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.tenants.sso.conftest import Browser

pytestmark = pytest.mark.django_db


def public_pem(provider: Provider) -> bytes:
    pem: bytes = provider.keys[0].as_pem(private=False)
    return pem


def test_a_right_answer_signs_in(acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    answer = browser.through(provider, query="?next=/w/acme/runs/")
    assert answer["Location"] == "/w/acme/runs/"
    assert browser.user
    assert browser.user.get_username() == "ada"
    assert browser.opens("acme")
    acme.refresh_from_db()
    assert acme.worked_at


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "wrong nonce": lambda claims: claims.update(nonce="another"),
    "no nonce": lambda claims: claims.pop("nonce"),
    "a nonce that is no text": lambda claims: claims.update(nonce=[claims["nonce"]]),
    "wrong audience": lambda claims: claims.update(aud="another client"),
    "further audience": lambda claims: claims.update(aud=[CLIENT_ID, "another client"]),
    "for another party": lambda claims: claims.update(azp="another client"),
    "wrong issuer": lambda claims: claims.update(iss="https://evil.test"),
    "issuer with a slash": lambda claims: claims.update(iss=claims["iss"] + "/"),
    "expired": lambda claims: claims.update(exp=int(time.time()) - 61),
    "never expires": lambda claims: claims.pop("exp"),
    "expires at no number": lambda claims: claims.update(exp=float("nan")),
    "of the future": lambda claims: claims.update(iat=int(time.time()) + 600),
    "without a time": lambda claims: claims.pop("iat"),
    "not yet": lambda claims: claims.update(nbf=int(time.time()) + 600),
    "nobody": lambda claims: claims.pop("sub"),
    "an empty name": lambda claims: claims.update(sub=""),
    "a name that is no text": lambda claims: claims.update(sub=17),
    "a name of lines": lambda claims: claims.update(sub="a\nb"),
    "too long a name": lambda claims: claims.update(sub="x" * 256),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_wrong_claim_is_refused(lie: str, acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    provider.token = LIES[lie]
    answer = browser.through(provider)
    assert answer.status_code == 400
    assert "no valid proof of who you are" in answer.text
    assert browser.user is None
    assert not SignOnLink.unscoped.exists()


def _tampered(provider: Provider, claims: dict[str, Any]) -> str:
    head, _body, tail = provider.signed(claims).split(".")
    _head, body, _tail = provider.signed({**claims, "sub": "sub-of-another"}).split(".")
    return f"{head}.{body}.{tail}"


FORGERIES: dict[str, Callable[[Provider, dict[str, Any]], str]] = {
    "alg none": lambda provider, claims: provider.unsigned(claims),
    "alg none, with a signature": lambda provider, claims: provider.unsigned(claims) + "AAAA",
    "HS256 with the public key": lambda provider, claims: provider.confused(claims, public_pem(provider)),
    "HS256 with the client's secret": lambda provider, claims: provider.confused(claims, CLIENT_SECRET.encode()),
    "another key under the same name": lambda provider, claims: provider.signed(
        claims, key=RSAKey.generate_key(2048, {"kid": provider.keys[0].kid})
    ),
    "a key that is not published": lambda provider, claims: provider.signed(
        claims, key=RSAKey.generate_key(2048, {"kid": "unknown"})
    ),
    "an algorithm of another key type": lambda provider, claims: provider.signed(
        claims, key=ECKey.generate_key("P-256", {"kid": provider.keys[0].kid}), algorithm="ES256"
    ),
    "another body": _tampered,
    "no token": lambda provider, claims: "",
    "no JWT": lambda provider, claims: "a.b",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_signature_is_refused(forgery: str, acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    provider.sign = lambda claims: FORGERIES[forgery](provider, claims)
    answer = browser.through(provider)
    assert (answer.status_code, browser.user) == (400, None)
    assert "no valid proof of who you are" in answer.text


def test_a_provider_may_change_its_keys_at_any_time(acme: SingleSignOn, provider: Provider) -> None:
    old = provider.keys[0]
    assert Browser(client=Client()).through(provider).status_code == 302
    provider.rotate()
    assert Browser(client=Client()).through(provider).status_code == 302
    provider.sign = lambda claims: provider.signed(claims, key=old)
    withdrawn = Browser(client=Client())
    assert withdrawn.through(provider).status_code == 400
    assert withdrawn.user is None


def test_elliptic_keys_are_taken_and_keys_of_other_kinds_passed_over(
    acme: SingleSignOn, provider: Provider, browser: Browser
) -> None:
    key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig", "alg": "ES256"})
    provider.keys.append(key)
    provider.sign = lambda claims: provider.signed(claims, key=key, algorithm="ES256")
    keys = [{"kty": "AKP", "kid": "new"}, {"kty": "RSA", "kid": "broken", "n": 1}, *provider.jwks()["keys"]]
    provider.answers["/jwks"] = (200, json.dumps({"keys": keys}).encode())
    assert browser.through(provider).status_code == 302


def test_an_answer_counts_once(acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    assert browser.through(provider).status_code == 302
    again = browser.client.get(browser.back)
    assert again.status_code == 400
    assert "used already" in again.text
    assert provider.calls.count("/token") == 1


def test_a_code_counts_once(acme: SingleSignOn, provider: Provider) -> None:
    first, second = Browser(client=Client()), Browser(client=Client())
    code = parse_qs(urlsplit(first.go(provider)).query)["code"][0]
    second.go(provider)
    state = parse_qs(urlsplit(second.back).query)["state"][0]
    # Another browser's code: its verifier is not the one that the code was given for.
    injected = second.client.get(f"/sso/acme/callback/?{urlencode({'code': code, 'state': state})}")
    assert injected.status_code == 400
    assert "does not take back the code" in injected.text
    assert second.user is None
    assert first.client.get(first.back).status_code == 400


@pytest.mark.parametrize("state", ["", "another", "\x00", "é"])
def test_a_wrong_state_is_refused(state: str, acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    browser.go(provider)
    answer = browser.client.get("/sso/acme/callback/", {"code": "x", "state": state})
    assert answer.status_code == 400
    assert "begun in this browser" in answer.text
    assert "/token" not in provider.calls


def test_the_answer_of_another_browser_is_refused(acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    back = browser.go(provider)
    other = Client()
    assert other.get(back).status_code == 400
    assert "_auth_user_id" not in other.session


def test_an_answer_in_anothers_name_is_refused(acme: SingleSignOn, provider: Provider) -> None:
    for wrong in ("https://evil.test", ""):
        browser = Browser(client=Client())
        assert browser.client.get(f"{browser.go(provider)}&{urlencode({'iss': wrong})}").status_code == 400
        assert browser.user is None
    right = Browser(client=Client())
    assert right.client.get(f"{right.go(provider)}&{urlencode({'iss': provider.address})}").status_code == 302


def test_a_late_answer_is_refused(
    acme: SingleSignOn, provider: Provider, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = browser.go(provider)
    monkeypatch.setattr("orchestrator.tenants.sign_on_sessions.ASKED_FOR", -1.0)
    assert browser.client.get(back).status_code == 400
    assert browser.user is None


def test_a_refusal_is_shown_as_text_with_what_to_do(acme: SingleSignOn, provider: Provider, browser: Browser) -> None:
    state = parse_qs(urlsplit(browser.go(provider)).query)["state"][0]
    hostile = "<script>alert(1)</script>\r\nSet-Cookie: a=b " + "x" * 5000
    answer = browser.client.get(
        "/sso/acme/callback/", {"error": "access_denied", "error_description": hostile, "state": state}
    )
    assert answer.status_code == 400
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "<script>alert" not in answer.text
    assert "ask who runs the provider for access" in answer.text
    assert len(answer.text) < 5000
    # Nobody's words are shown without a sign-in that was begun here.
    unasked = browser.client.get("/sso/acme/callback/", {"error": "Your account is locked: call 555", "state": "x"})
    assert "555" not in unasked.text


def test_the_log_holds_no_secret(
    acme: SingleSignOn, provider: Provider, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    provider.token = LIES["wrong nonce"]
    made: list[str] = []

    def sign(claims: dict[str, Any]) -> str:
        made.append(provider.signed(claims))
        return made[-1]

    provider.sign = sign
    back = browser.go(provider)
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert browser.client.get(back).status_code == 400
    written = json_formatter()
    said = "\n".join(written.format(record) for record in caplog.records)
    assert '"why": "token", "detail": "nonce"' in said
    assert "Bad Request: /sso/acme/callback/" in said
    assert [word for word in (code, CLIENT_SECRET, made[0], "at-sub-ada") if word in said] == []


def test_the_secret_goes_into_the_body_where_the_provider_says_so(
    acme: SingleSignOn, provider: Provider, browser: Browser
) -> None:
    assert browser.through(provider).status_code == 302
    assert "client_secret" not in provider.bodies[-1]
    provider.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    oidc._known.clear()
    assert Browser(client=Client()).through(provider).status_code == 302
    assert "client_secret=" in provider.bodies[-1]


def test_what_the_token_lacks_is_asked_of_the_userinfo(
    acme: SingleSignOn, provider: Provider, browser: Browser
) -> None:
    provider.people["sub-ada"] = {}
    provider.userinfo = {"email": "ada@acme.test", "email_verified": True, "preferred_username": "ada.b", "iss": "evil"}
    assert browser.through(provider).status_code == 302
    assert browser.user
    assert (browser.user.get_username(), browser.user.email) == ("ada.b", "ada@acme.test")
    provider.userinfo["sub"] = "sub-of-another"
    assert Browser(client=Client()).through(provider).status_code == 400


def test_the_userinfo_verifies_no_address_of_the_token(
    set_acme: Callable[..., SingleSignOn], provider: Provider, browser: Browser
) -> None:
    set_acme(domains=("acme.test",), group_claim="groups")
    provider.people["sub-ada"] = {"email": "ada@acme.test"}
    provider.userinfo = {"email": "ada@else.test", "email_verified": True, "groups": []}
    assert browser.through(provider).status_code == 403
    provider.people["sub-ada"] = {"email": "ada@acme.test", "groups": [], "email_verified": True}
    asked = provider.calls.count("/userinfo")
    assert browser.through(provider).status_code == 302
    assert provider.calls.count("/userinfo") == asked == 1


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/token", 500, b"no"), ("/token", 200, b"<html>"), ("/token", 200, b"[]"), ("/token", 400, b"\xff"),
        ("/token", 302, b"http://127.0.0.1:1/"), ("/token", 200, b"{}"), ("/token", 200, b"[" * 100_000),
        ("/token", 200, b" " * 600_000), ("/jwks", 404, b"{}"), ("/jwks", 200, b'{"keys": 5}'),
        ("/jwks", 200, b'{"keys": []}'), ("/jwks", 200, b'{"keys": [7, {"kty": "RSA"}]}'),
        ("/jwks", 302, b"http://127.0.0.1:1/"),
    ],
)  # fmt: skip
def test_a_broken_provider_is_said_to_be_one(
    path: str, status: int, body: bytes, acme: SingleSignOn, provider: Provider, browser: Browser
) -> None:
    back = browser.go(provider)
    provider.answers[path] = (status, body)
    answer = browser.client.get(back)
    assert (answer.status_code, browser.user) == (400, None)
    assert "Begin once more" in answer.text


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.test"}, {"issuer": None}, {"token_endpoint": None},
        {"token_endpoint": "http://login.example.com/token"}, {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"}, {"authorization_endpoint": "https://a@evil.test/"},
        {"id_token_signing_alg_values_supported": ["HS256", "none"]},
    ],
)  # fmt: skip
def test_a_description_that_is_wrong_is_refused(metadata: dict[str, Any], provider: Provider) -> None:
    provider.metadata = metadata
    with pytest.raises(SignOnFailed, match="does not answer as one of OpenID Connect does"):
        discover(provider.address)


@pytest.mark.parametrize(
    "address",
    [
        "http://login.example.com", "ftp://login.example.com", "https://", "https://a:b@login.example.com", "x" * 600,
        "https://login.example.com?tenant=1", "https://login.example.com/#a", "https://exa mple.com", "https://a\\b.test",
        "http://10.0.0.1/", "http://127.0.0.1.evil.test/", "https://login.example.com:99999", "https://ex\u00e4mple.com",
    ],
)  # fmt: skip
def test_an_issuer_is_https_without_anything_else(address: str) -> None:
    with pytest.raises(Invalid):
        issuer_checked(address)


def test_this_machine_is_reached_only_where_the_operator_lets_it(provider: Provider, settings: Any) -> None:
    assert issuer_checked(provider.address) == provider.address
    settings.ENV = replace(settings.ENV, egress_allow=())
    with pytest.raises(Invalid, match="must begin with https"):
        issuer_checked(provider.address)
    with pytest.raises(SignOnFailed, match="may not be reached from here"):
        discover(provider.address)
    assert provider.calls == []


def test_failures_slow_down_and_nobody_locks_a_tenant_out(
    acme: SingleSignOn, provider: Provider, browser: Browser
) -> None:
    provider.token = LIES["wrong nonce"]
    for _ in range(5):
        browser.through(provider)
    answer = browser.client.get(browser.go(provider))
    assert answer.status_code == 429
    provider.token = lambda claims: None
    assert Browser(client=Client()).through(provider).status_code == 302
    assert SignInFailure.objects.exists()
