"""Signatures of webhooks: the senders' own published examples, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import pytest

from orchestrator.flow.webhooks import Signature
from runs.triggers.signatures import BadSignature, delivery_of, verify

NOW = 1_700_000_000
BODY = b'{"amount": 5, "name": "\xc3\xbc"}'
SECRET = "a secret ü"

# From the documentation of each: secret, body, headers, and the time of signing.
PUBLISHED: dict[str, tuple[str, bytes, dict[str, str], int]] = {
    "standard_webhooks": (
        "whsec_plJ3nmyCDGBKInavdOK15jsl",
        b'{"event_type":"ping","data":{"success":true}}',
        {
            "WEBHOOK_ID": "msg_loFOjxBNrRLzqYUf",
            "WEBHOOK_TIMESTAMP": "1731705121",
            "WEBHOOK_SIGNATURE": "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        },
        1_731_705_121,
    ),
    "github": (
        "It's a Secret to Everybody",
        b"Hello, World!",
        {"X_HUB_SIGNATURE_256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        0,
    ),
    "slack": (
        "8f742231b10e8888abcd99yyyzzz85a5",
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        {
            "X_SLACK_REQUEST_TIMESTAMP": "1531420618",
            "X_SLACK_SIGNATURE": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        1_531_420_618,
    ),
}


def mac(signed: bytes, algorithm: str = "sha256", key: bytes = SECRET.encode()) -> bytes:
    return hmac.new(key, signed, algorithm).digest()


def signed(preset: str, body: bytes = BODY, moment: int = NOW) -> dict[str, str]:
    """Return the headers of a request that is signed as a preset's sender signs it."""
    at = str(moment).encode()
    if preset == "standard_webhooks":
        found = base64.b64encode(mac(b"m1." + at + b"." + body)).decode()
        return {"WEBHOOK_ID": "m1", "WEBHOOK_TIMESTAMP": str(moment), "WEBHOOK_SIGNATURE": f"v1,bm90 v1,{found} v2,x"}
    if preset == "github":
        return {"X_HUB_SIGNATURE_256": f"sha256={mac(body).hex()}"}
    if preset == "stripe":
        return {"STRIPE_SIGNATURE": f"t={moment},v1={'0' * 64},v1={mac(at + b'.' + body).hex()},v0=x"}
    if preset == "slack":
        found = mac(b"v0:" + at + b":" + body).hex()
        return {"X_SLACK_SIGNATURE": f"v0={found}", "X_SLACK_REQUEST_TIMESTAMP": str(moment)}
    if preset == "hmac":
        return {"X_SIGNATURE": mac(body).hex()}
    if preset == "bearer":
        return {"AUTHORIZATION": "Bearer s3cret"}
    return {"AUTHORIZATION": "Basic " + base64.b64encode("ann:pä:ss".encode()).decode()}


def auth_of(preset: str) -> dict[str, str]:
    return {
        "bearer": {"token": "s3cret"},
        "basic": {"username": "ann", "password": "pä:ss"},
    }.get(preset, {"api_key": SECRET})


def check(preset: str, headers: dict[str, str], body: bytes = BODY, now: float = NOW, **more: Any) -> None:
    signature = Signature(preset=preset, credential="x", **more)  # type: ignore[arg-type]
    environ = {f"HTTP_{name}": value for name, value in headers.items()}
    verify(signature, more.pop("auth", auth_of(preset)), environ=environ, body=body, now=now)


ALL = ["standard_webhooks", "github", "stripe", "slack", "hmac", "bearer", "basic"]
OF_THE_BODY = ALL[:5]
TIMED = ["standard_webhooks", "stripe", "slack"]


@pytest.mark.parametrize("preset", PUBLISHED)
def test_the_senders_own_example_is_taken(preset: str) -> None:
    secret, body, headers, moment = PUBLISHED[preset]
    environ = {f"HTTP_{name}": value for name, value in headers.items()}
    signature = Signature(preset=preset, credential="x")  # type: ignore[arg-type]
    verify(signature, {"api_key": secret}, environ=environ, body=body, now=moment + 5)
    with pytest.raises(BadSignature):
        verify(signature, {"api_key": secret + "x"}, environ=environ, body=body, now=moment + 5)


@pytest.mark.parametrize("preset", ALL)
def test_what_is_signed_is_taken_and_what_is_not_is_missing(preset: str) -> None:
    check(preset, signed(preset))
    with pytest.raises(BadSignature) as refused:
        check(preset, {})
    assert refused.value.code == "signature_missing"


@pytest.mark.parametrize("preset", OF_THE_BODY)
def test_another_body_is_refused(preset: str) -> None:
    with pytest.raises(BadSignature) as refused:
        check(preset, signed(preset), body=BODY + b" ")
    assert refused.value.code == "signature_invalid"
    assert SECRET not in refused.value.message


@pytest.mark.parametrize("preset", ALL)
@pytest.mark.parametrize("garbage", ["", "x", "v1,", "v0=", "sha256=", "t=,v1=", "Bearer ", "Basic ", "é", "t=1,v1=zz"])
def test_garbage_for_a_signature_is_refused(preset: str, garbage: str) -> None:
    headers = dict.fromkeys(signed(preset), garbage)
    with pytest.raises(BadSignature):
        check(preset, headers)


@pytest.mark.parametrize("preset", TIMED)
@pytest.mark.parametrize("off", [-301, 301])
def test_what_was_signed_long_ago_is_refused(preset: str, off: int) -> None:
    with pytest.raises(BadSignature) as refused:
        check(preset, signed(preset, moment=NOW + off))
    assert refused.value.code == "signature_time"
    check(preset, signed(preset, moment=NOW + off // 2))
    check(preset, signed(preset, moment=NOW + off), tolerance=600)


@pytest.mark.parametrize("preset", TIMED)
@pytest.mark.parametrize("moment", ["", "now", "-5", "1e9", "9" * 400, "1700000000.5"])
def test_a_time_that_is_none_is_refused(preset: str, moment: str) -> None:
    headers = {name: value.replace(str(NOW), moment) for name, value in signed(preset).items()}
    with pytest.raises(BadSignature):
        check(preset, headers)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_hmac_takes_what_it_is_told(algorithm: str, encoding: str) -> None:
    found = hmac.new(SECRET.encode(), str(NOW).encode() + b"." + BODY, getattr(hashlib, algorithm)).digest()
    written = found.hex() if encoding == "hex" else base64.b64encode(found).decode()
    more = {
        "header": "X-Shop", "algorithm": algorithm, "encoding": encoding, "prefix": "sig=", "timestamp_header": "X-At"
    }  # fmt: skip
    check("hmac", {"X_SHOP": f"sig={written}", "X_AT": str(NOW)}, **more)
    for wrong in ({"X_SHOP": written, "X_AT": str(NOW)}, {"X_SHOP": f"sig={written}", "X_AT": str(NOW - 400)}):
        with pytest.raises(BadSignature):
            check("hmac", wrong, **more)


def test_svix_sends_the_same_under_its_own_names() -> None:
    headers = {name.replace("WEBHOOK", "SVIX"): value for name, value in signed("standard_webhooks").items()}
    check("standard_webhooks", headers)


@pytest.mark.parametrize(
    ("preset", "environ", "body", "found"),
    [
        ("standard_webhooks", {"HTTP_WEBHOOK_ID": "m1"}, None, "m1"),
        ("standard_webhooks", {"HTTP_SVIX_ID": "m2"}, None, "m2"),
        ("github", {"HTTP_X_GITHUB_DELIVERY": "d"}, None, "d"),
        ("stripe", {}, {"id": "evt_1"}, "evt_1"),
        ("stripe", {}, {"id": 5}, None),
        ("slack", {}, {"event_id": "Ev1"}, "Ev1"),
        ("slack", {}, ["x"], None),
        ("hmac", {}, {"id": "x"}, None),
    ],
)
def test_a_delivery_is_known_by_what_its_sender_calls_it(
    preset: str, environ: dict[str, str], body: Any, found: str | None
) -> None:
    assert delivery_of(preset, environ=environ, body=body) == found
