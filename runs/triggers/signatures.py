"""Who sent a request: the signatures of webhooks, checked on the bytes as they came. Pure.

Sources: standardwebhooks.com (and Svix, whose headers differ in name alone), docs.github.com "Validating webhook
deliveries", docs.stripe.com "Verify webhook signatures manually", api.slack.com "Verifying requests from Slack".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator.flow.webhooks import Signature

MAX_SIGNATURES: Final = 16
_STANDARD_PREFIX: Final = "whsec_"
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


class BadSignature(Exception):
    """The request is not from who may send it; ``code`` says what was wrong, the message nothing of the secret."""

    def __init__(self, message: str, *, code: str = "signature_invalid") -> None:
        super().__init__(message)
        self.message, self.code = message, code


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A request to judge: its headers as WSGI has them, its bytes, and when it came, in seconds since 1970."""

    signature: Signature
    auth: Mapping[str, str]
    environ: Mapping[str, Any]
    body: bytes
    now: float

    def header(self, name: str) -> str:
        """Return a header that the check needs. Raises BadSignature where there is none."""
        key = name.upper().replace("-", "_")
        value = str(self.environ.get(f"HTTP_{key}") or "")
        if not value:
            raise BadSignature(
                _("The request has no %(name)s header, by which it is checked.") % {"name": name},
                code="signature_missing",
            )
        return value

    def key(self) -> bytes:
        return _raw(self.auth["api_key"])

    def refuse_old(self, moment: str) -> None:
        """Refuse a signed time that is far from ours: whoever recorded a request must not send it again."""
        if not _SECONDS.fullmatch(moment):
            raise BadSignature(_("The signed time is no number of seconds."), code="signature_time")
        if abs(self.now - int(moment)) > self.signature.tolerance:
            raise BadSignature(
                _(
                    "The request was signed more than %(tolerance)s s ago, or the sender's clock is wrong. Sign "
                    "it again."
                )
                % {"tolerance": self.signature.tolerance},
                code="signature_time",
            )


def verify(
    signature: Signature, auth: Mapping[str, str], *, environ: Mapping[str, Any], body: bytes, now: float
) -> None:
    """Check a request by its headers, as WSGI has them, and its body. Raises BadSignature.

    ``auth`` is the credential as a step would read it; ``now`` in seconds since 1970. Raises KeyError for a credential
    of another kind.
    """
    _PRESETS[signature.preset](_Asked(signature=signature, auth=auth, environ=environ, body=body, now=now))


def delivery_of(preset: str, *, environ: Mapping[str, Any], body: Any) -> str | None:
    """Return what a preset's sender calls the delivery, the same for each of its tries; None where it says nothing."""
    if preset == "standard_webhooks":
        return environ.get("HTTP_WEBHOOK_ID") or environ.get("HTTP_SVIX_ID")
    if preset == "github":
        return environ.get("HTTP_X_GITHUB_DELIVERY")
    name = {"stripe": "id", "slack": "event_id"}.get(preset)
    found = body.get(name) if name and isinstance(body, Mapping) else None
    return found if isinstance(found, str) and found else None


def _mac(key: bytes, signed: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(key, signed, algorithm).digest()


def _one_of(expected: bytes, given: Sequence[bytes]) -> None:
    """Refuse unless one of the signatures is the expected one; compared in constant time, all of them."""
    matches = [hmac.compare_digest(expected, found) for found in given[:MAX_SIGNATURES]]
    if not any(matches):
        raise BadSignature(_("The signature is wrong. Sign the body as it is sent, with the secret of this webhook."))


def _bytes(text: str, encoding: str) -> bytes:
    """Return a signature's bytes; what is none matches nothing."""
    try:
        return bytes.fromhex(text) if encoding == "hex" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _raw(text: str) -> bytes:
    """Return what a header or secret was, in bytes: WSGI reads headers as Latin-1."""
    return text.encode("utf-8", "surrogateescape")


def _standard(asked: _Asked) -> None:
    environ = asked.environ
    name = "svix" if not environ.get("HTTP_WEBHOOK_SIGNATURE") and environ.get("HTTP_SVIX_SIGNATURE") else "webhook"
    given, identity = asked.header(f"{name}-signature"), asked.header(f"{name}-id")
    moment = asked.header(f"{name}-timestamp")
    asked.refuse_old(moment)
    secret = asked.auth["api_key"]
    key = _bytes(secret.removeprefix(_STANDARD_PREFIX), "base64") if secret.startswith(_STANDARD_PREFIX) else b""
    signed = b".".join((_raw(identity), moment.encode(), asked.body))
    found = [_bytes(part[3:], "base64") for part in given.split() if part.startswith("v1,")]
    _one_of(_mac(key or _raw(secret), signed), found)


def _github(asked: _Asked) -> None:
    given = _after("sha256=", asked.header("X-Hub-Signature-256"), "X-Hub-Signature-256")
    _one_of(_mac(asked.key(), asked.body), [_bytes(given, "hex")])


def _stripe(asked: _Asked) -> None:
    parts = [part.strip().partition("=") for part in asked.header("Stripe-Signature").split(",")]
    moment = next((value for name, _, value in parts if name == "t"), "")
    asked.refuse_old(moment)
    expected = _mac(asked.key(), moment.encode() + b"." + asked.body)
    _one_of(expected, [_bytes(value, "hex") for name, _, value in parts if name == "v1"])


def _slack(asked: _Asked) -> None:
    given, moment = asked.header("X-Slack-Signature"), asked.header("X-Slack-Request-Timestamp")
    asked.refuse_old(moment)
    expected = _mac(asked.key(), b"v0:" + moment.encode() + b":" + asked.body)
    _one_of(expected, [_bytes(_after("v0=", given, "X-Slack-Signature"), "hex")])


def _hmac(asked: _Asked) -> None:
    signature, signed = asked.signature, asked.body
    given = _after(signature.prefix, asked.header(signature.header), signature.header)
    if signature.timestamp_header:
        moment = asked.header(signature.timestamp_header)
        asked.refuse_old(moment)
        signed = moment.encode() + b"." + asked.body
    _one_of(_mac(asked.key(), signed, signature.algorithm), [_bytes(given, signature.encoding)])


def _bearer(asked: _Asked) -> None:
    scheme, _space, token = asked.header("Authorization").partition(" ")
    if not _same(_raw(token.strip()), _raw(asked.auth["token"])) or scheme.lower() != "bearer":
        raise BadSignature(_("The bearer token is not the one of this webhook."))


def _basic(asked: _Asked) -> None:
    scheme, _space, given = asked.header("Authorization").partition(" ")
    expected = _raw(f"{asked.auth['username']}:{asked.auth['password']}")
    if not _same(_bytes(given.strip(), "base64"), expected) or scheme.lower() != "basic":
        raise BadSignature(_("The name or the password is not the one of this webhook."))


def _after(prefix: str, given: str, header: str) -> str:
    if not given.startswith(prefix):
        raise BadSignature(_("%(header)s does not begin with %(prefix)s.") % {"header": header, "prefix": prefix})
    return given.removeprefix(prefix)


def _same(given: bytes, expected: bytes) -> bool:
    """Whether two are equal; by their hashes, so that not even a secret's length is told."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())


_PRESETS: Final[Mapping[str, Callable[[_Asked], None]]] = MappingProxyType(
    {
        "standard_webhooks": _standard,
        "github": _github,
        "stripe": _stripe,
        "slack": _slack,
        "hmac": _hmac,
        "bearer": _bearer,
        "basic": _basic,
    }
)
