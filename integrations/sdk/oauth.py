"""OAuth 2 as a client: where a person is sent, and what the token endpoint is asked (RFC 6749, 7636, 7009).

Providers differ in how they answer, which ``_parsed`` evens out: JSON or a form, an error with status 400 or with 200,
``ok: false`` instead of ``error``, tokens on top or below a key, seconds as text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from integrations.sdk.client import Response, StepHttp
from integrations.sdk.errors import IntegrationError, Permanent, Transient
from integrations.words import gettext as _

Grant: TypeAlias = Literal["authorization_code", "client_credentials"]
MAX_TOKEN: Final = 16_384
# What is longer is no answer to a question about time.
_LONGEST: Final = timedelta(days=3660)
# The refresh token, or the code, is used up or was taken back: only a new sign-in helps. Beside the RFC's, GitHub's and
# Slack's words for it.
_OVER: Final = frozenset(
    {
        "invalid_grant", "bad_refresh_token", "invalid_refresh_token", "token_revoked", "token_expired",
        "bad_verification_code", "invalid_code", "code_already_used",
    }
)  # fmt: skip
# The app that the person signed in to is not, or not any more, what it was.
_APP: Final = frozenset(
    {"invalid_client", "unauthorized_client", "bad_client_secret", "incorrect_client_credentials", "invalid_client_id"}
)
# Of what a provider says, in characters.
_SAID: Final = 300
_PASSES: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down", "ratelimited", "internal_error"})


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where and how a provider signs people in; OAuth2 of ``auth`` says what the fields mean."""

    authorize_url: str = ""
    token_url: str
    revoke_url: str = ""
    scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    pkce: bool = True
    client_auth: Literal["post", "basic"] = "post"
    token_request: Literal["form", "json"] = "form"
    token_headers: Mapping[str, str] = field(default_factory=dict)
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    token_path: tuple[str, ...] = ()
    grant: Grant = "authorization_code"


@dataclass(frozen=True, kw_only=True)
class OAuthApp:
    """The app at the provider that people sign in to; ``secret`` is empty for one that has none."""

    id: str
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a token endpoint gave. ``refresh_token`` and ``scopes`` are None where it said nothing of them."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    scopes: tuple[str, ...] | None = None


class TokenRefused(Permanent):
    """The token endpoint said no. ``code`` is its word for why; ``is_over``: only signing in again helps."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def is_over(self) -> bool:
        return self.code in _OVER

    @property
    def is_about_the_app(self) -> bool:
        return self.code in _APP


def challenge_of(verifier: str) -> str:
    """Return the code challenge of a verifier, by S256."""
    return _unpadded(hashlib.sha256(verifier.encode()).digest())


def _unpadded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def authorize_address(endpoints: Endpoints, app: OAuthApp, *, redirect_uri: str, state: str, verifier: str) -> str:
    """Return where a person is sent to sign in and agree."""
    params = {
        **endpoints.authorize_params,
        "response_type": "code",
        "client_id": app.id,
        "redirect_uri": redirect_uri,
        "state": state,
    }
    if endpoints.scopes:
        params["scope"] = endpoints.scope_separator.join(endpoints.scopes)
    if endpoints.pkce:
        params |= {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}
    return str(httpx.URL(endpoints.authorize_url).copy_merge_params(params))


async def exchange(
    http: StepHttp,
    endpoints: Endpoints,
    app: OAuthApp,
    *,
    code: str,
    redirect_uri: str,
    verifier: str,
    now: datetime,
) -> Tokens:
    """Return the tokens for the code that a person came back with. Raises TokenRefused, and what ``http`` raises."""
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if endpoints.pkce:
        fields["code_verifier"] = verifier
    return await _asked(http, endpoints, app, fields, now=now)


async def renew(http: StepHttp, endpoints: Endpoints, app: OAuthApp, *, refresh_token: str, now: datetime) -> Tokens:
    """Return new tokens; the refresh token is the old one where the provider gives no other. Raises as ``exchange``."""
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    found = await _asked(http, endpoints, app, fields, now=now)
    return Tokens(
        access_token=found.access_token,
        refresh_token=found.refresh_token or refresh_token,
        expires_at=found.expires_at,
        scopes=found.scopes,
    )


async def for_app(http: StepHttp, endpoints: Endpoints, app: OAuthApp, *, now: datetime) -> Tokens:
    """Return a token of the app itself (client credentials), which nobody signs in for. Raises as ``exchange``."""
    fields = {"grant_type": "client_credentials"}
    if endpoints.scopes:
        fields["scope"] = endpoints.scope_separator.join(endpoints.scopes)
    return await _asked(http, endpoints, app, fields, now=now)


async def revoke(http: StepHttp, endpoints: Endpoints, app: OAuthApp, *, token: str, hint: str) -> None:
    """Ask the provider to forget a token; ``hint`` is access_token or refresh_token. Raises IntegrationError."""
    fields = {"token": token, "token_type_hint": hint}
    (await _send(http, endpoints.revoke_url, endpoints, app, fields)).raise_for_status()


async def _asked(
    http: StepHttp, endpoints: Endpoints, app: OAuthApp, fields: Mapping[str, str], *, now: datetime
) -> Tokens:
    return _parsed(await _send(http, endpoints.token_url, endpoints, app, fields), endpoints, now)


async def _send(http: StepHttp, url: str, endpoints: Endpoints, app: OAuthApp, fields: Mapping[str, str]) -> Response:
    headers = {"Accept": "application/json", **endpoints.token_headers}
    sent = dict(fields)
    if endpoints.client_auth == "basic" and app.secret:
        # Each half is encoded as in a form before the two are joined (RFC 6749, 2.3.1).
        pair = f"{quote(app.id, safe='')}:{quote(app.secret, safe='')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    else:
        sent["client_id"] = app.id
        if app.secret:
            sent["client_secret"] = app.secret
    # Never to where a redirect leads: the secret is in the body.
    if endpoints.token_request == "json":
        return await http.post(url, json=sent, headers=headers, follow_redirects=False)
    return await http.post(url, data=sent, headers=headers, follow_redirects=False)


def _parsed(response: Response, endpoints: Endpoints, now: datetime) -> Tokens:
    """Return the tokens of an answer. Raises TokenRefused, or the classified error of an answer that says nothing."""
    values = _values(response)
    if values is None:
        if response.is_success:
            raise _unreadable(response)
        raise _by_status(response)
    code = _refusal(values, response)
    if code:
        raise _refused(values, code, response)
    for name in endpoints.token_path:
        inner = values.get(name)
        values = inner if isinstance(inner, dict) else {}
    token = _token(values.get("access_token"))
    if token is None:
        raise _unreadable(response)
    return Tokens(
        access_token=token,
        refresh_token=_token(values.get("refresh_token")),
        expires_at=_expiry(values.get("expires_in"), now),
        scopes=_scopes(values.get("scope")),
    )


def _token(value: Any) -> str | None:
    """Return a token, None for what is none: tokens are visible ASCII (RFC 6749, appendix A.12)."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN or not value.strip():
        return None
    return value if value.isascii() and value.isprintable() else None


def _values(response: Response) -> dict[str, Any] | None:
    """Return an answer's object, from JSON or from a form, None where it is neither."""
    try:
        found = response.json()
    except IntegrationError:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in ("application/x-www-form-urlencoded", "text/plain"):
            return None
        try:
            # By no charset of the answer's own: some that Python knows are none of text.
            found = dict(parse_qsl(response.content.decode("utf-8", "replace"), max_num_fields=100))
        except ValueError:
            return None
    return found if isinstance(found, dict) and found else None


def _refusal(values: Mapping[str, Any], response: Response) -> str:
    """Return the provider's word for why not, empty where the answer is none of that kind."""
    error = values.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("type") or error.get("message") or "error"
    if error or values.get("ok") is False:
        return str(error or "error")
    return "" if response.is_success else f"http_{response.status_code}"


def _refused(values: Mapping[str, Any], code: str, response: Response) -> IntegrationError:
    described, word = values.get("error_description") or values.get("message"), _said(code, response)
    said = f"{_said(described, response)} ({word})" if isinstance(described, str) and described else word
    words = {"host": urlsplit(str(response.request.url)).hostname or _("the provider"), "why": said}
    if code in _PASSES or response.status_code == 429 or response.status_code >= 500:
        return response.error(_("%(host)s could not answer: %(why)s.") % words, kind=Transient)
    return TokenRefused(response.error(_("%(host)s refused: %(why)s.") % words, kind=Permanent).message, code=code)


def _said(text: str, response: Response) -> str:
    """Return what a provider says, fit to be kept: no secret, which is taken out before it could be cut in two."""
    clean = response.error(text, kind=Permanent).message[:_SAID]
    return "".join(letter if letter.isprintable() else " " for letter in clean)


def _by_status(response: Response) -> IntegrationError:
    if 400 <= response.status_code < 500 and response.status_code not in (408, 425, 429):
        shown = response.error(kind=Permanent)
        return TokenRefused(shown.message, code=f"http_{response.status_code}")
    return response.error()


def _unreadable(response: Response) -> IntegrationError:
    return response.error(_("The answer to the sign-in has no token in it."), kind=Permanent)


def _expiry(seconds: Any, now: datetime) -> datetime | None:
    """Return when a token ends; what is no span of time is taken as: not said."""
    try:
        lasts = timedelta(seconds=float(seconds))
    except (TypeError, ValueError, OverflowError):
        return None
    return now + lasts if timedelta() < lasts <= _LONGEST else None


def _scopes(given: Any) -> tuple[str, ...] | None:
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    return tuple(str(scope)[:200] for scope in given[:100]) if isinstance(given, list) else None
