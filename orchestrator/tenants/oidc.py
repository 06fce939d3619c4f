"""OpenID Connect, as the one who asks: a provider's description, the way to it, and what it vouches for.

Authorization code with PKCE (S256), ``state`` and ``nonce``. Everything that is fetched goes through the guarded client
of steps, with a deadline and a cap, and no redirect is followed. Keys are fetched at each sign-in, so that a provider
may change them at any time and one that it has withdrawn counts no longer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from django.utils.translation import gettext as _

from integrations.sdk.egress import AddressRefused
from integrations.sdk.errors import IntegrationError
from orchestrator.egress import egress_policy
from orchestrator.errors import Invalid, ServiceError
from orchestrator.tenants.sign_on_sessions import Secrets

if TYPE_CHECKING:
    from integrations.sdk.client import Response, StepHttp

_Found = TypeVar("_Found")

# Signed with a key that the provider alone has: a client's secret signs nothing (no HS256), and nothing goes unsigned.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
SCOPES: Final = "openid email profile"
SECONDS: Final = 15
MAX_BYTES: Final = 512 * 1024
_KEPT_FOR: Final = 300.0
_MOST_KEPT: Final = 200
_LONGEST: Final = 500
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class SignOnFailed(ServiceError):
    """The provider, or what it answered, does not let anybody in; ``detail`` is for the log and holds no secret."""

    code = "sign_on_failed"
    status = 400

    def __init__(self, message: str, *, code: str, detail: str = "") -> None:
        super().__init__(message, code=code)
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class Client:
    """What a tenant is to its provider; a public client has no secret."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a provider says of itself, checked; ``algorithms`` are those of ours that it signs with."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    takes_secret_in_body: bool
    names_itself: bool
    algorithms: tuple[str, ...]

    @property
    def host(self) -> str:
        """Return the host that a person is sent to."""
        return urlsplit(self.authorization_endpoint).hostname or ""


_known: Final[dict[str, tuple[float, Metadata]]] = {}
_lock: Final = threading.Lock()


def issuer_checked(text: str) -> str:
    """Return the issuer's address. Raises Invalid unless it is https, or loopback that the operator allows."""
    address = text.strip()
    problem = _address_problem(address)
    if problem:
        raise Invalid(problem)
    parts = urlsplit(address)
    if parts.query or parts.fragment:
        raise Invalid(_("Leave out what follows a ? or a #: an issuer has neither."))
    return address


def discover(issuer: str) -> Metadata:
    """Return what the provider says of itself, at most 5 minutes old. Raises SignOnFailed."""
    with _lock:
        kept = _known.get(issuer)
    if kept is not None and time.monotonic() - kept[0] < _KEPT_FOR:
        return kept[1]
    return rediscover(issuer)


def rediscover(issuer: str) -> Metadata:
    """Return what the provider says of itself now. Raises SignOnFailed."""
    found = _run(lambda http: _description(http, issuer), ())
    with _lock:
        if len(_known) >= _MOST_KEPT:
            _known.clear()
        _known[issuer] = (time.monotonic(), found)
    return found


def authorization_url(metadata: Metadata, client: Client, secrets: Secrets) -> str:
    """Return the address at the provider that a person goes to."""
    digest = hashlib.sha256(secrets.verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": SCOPES,
        "state": secrets.state,
        "nonce": secrets.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    joint = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
    return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"


def vouched(
    metadata: Metadata, client: Client, *, code: str, nonce: str, verifier: str, needed: frozenset[str]
) -> Mapping[str, Any]:
    """Redeem a code; return the claims of the checked ID token.

    Where it lacks one that is ``needed``, the provider's userinfo adds what it knows. Raises SignOnFailed.
    """

    # Late, as the client is: few processes ever read a token.
    from orchestrator.tenants.id_tokens import TokenRefused, claims_of

    async def asked(http: StepHttp) -> Mapping[str, Any]:
        answer = await _redeemed(http, metadata, client, code, verifier)
        keys = await _object(http, metadata.jwks_uri)
        try:
            claims = claims_of(
                answer.get("id_token"),
                keys=keys,
                issuer=metadata.issuer,
                client_id=client.client_id,
                nonce=nonce,
                algorithms=metadata.algorithms,
            )
        except TokenRefused as error:
            raise SignOnFailed(_token_words(), code="token", detail=str(error)) from None
        token = answer.get("access_token")
        if not metadata.userinfo_endpoint or not isinstance(token, str) or needed <= claims.keys():
            return claims
        more = await _object(http, metadata.userinfo_endpoint, bearer=token)
        if more.get("sub") != claims["sub"]:
            raise SignOnFailed(_token_words(), code="token", detail="userinfo is about somebody else")
        if "email" in claims:
            # Whether an address is verified is said beside it: of another one it says nothing.
            more.pop("email_verified", None)
        return {**more, **claims}

    return _run(asked, (client.secret, code, verifier))


def _token_words() -> str:
    return _(
        "What the provider sent is no valid proof of who you are. Begin once more; if it happens again, an owner of "
        "the tenant has to look at the provider's settings."
    )


def _run(work: Callable[[StepHttp], Awaitable[_Found]], secrets: tuple[str, ...]) -> _Found:
    """Do the work with a client of its own. Raises SignOnFailed for whatever stands in the way."""
    try:
        return asyncio.run(_worked(work, tuple(secret for secret in secrets if secret)))
    except AddressRefused as error:
        message = _(
            "The provider leads to an address that may not be reached from here. Trying again does not help: an owner "
            "corrects the address of the issuer, or the operator allows it with EGRESS_ALLOW."
        )
        raise SignOnFailed(message, code="address", detail=error.message) from None
    except (IntegrationError, TimeoutError) as error:
        why = getattr(error, "message", "") or _("It took too long.")
        message = _("The provider cannot be asked just now: %(why)s Try again in a minute.") % {"why": why}
        raise SignOnFailed(message, code="unreachable", detail=type(error).__name__) from None


async def _worked(work: Callable[[StepHttp], Awaitable[_Found]], secrets: tuple[str, ...]) -> _Found:
    # Late: aiohttp is several megabytes, which a web process without single sign-on need not hold.
    from integrations.sdk.http import HttpPool

    pool = HttpPool(egress_policy())
    try:
        deadline = datetime.now(UTC) + timedelta(seconds=SECONDS)
        # Not narrowed to the hosts that a tenant lets its steps reach: an owner chose this one.
        return await work(pool.client(deadline=deadline, max_bytes=MAX_BYTES, secrets=secrets))
    finally:
        await pool.aclose()


async def _object(http: StepHttp, url: str, *, bearer: str = "") -> dict[str, Any]:
    """Fetch a JSON object; with ``bearer`` it is the userinfo. Raises SignOnFailed."""
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    return _read(await http.get(url, headers=headers, follow_redirects=False))


def _read(response: Response) -> dict[str, Any]:
    """Return an answer's JSON object. Raises SignOnFailed for any other answer than a 200 with one."""
    if response.status_code != 200:
        raise _unfit(f"{response.request.url.path} answered {response.status_code}")
    try:
        found = response.json()
    except IntegrationError:
        raise _unfit(f"{response.request.url.path} is not JSON") from None
    if not isinstance(found, dict):
        raise _unfit(f"{response.request.url.path} is no JSON object")
    return found


def _unfit(detail: str) -> SignOnFailed:
    message = _(
        "The provider does not answer as one of OpenID Connect does (%(detail)s). An owner checks the address of the "
        "issuer; if it is right, try again later."
    )
    return SignOnFailed(message % {"detail": detail[:200]}, code="unfit", detail=detail[:200])


async def _description(http: StepHttp, issuer: str) -> Metadata:
    found = await _object(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise _unfit(f"it calls itself {found.get('issuer')!r:.120}, and not {issuer!r:.120}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if problem := _address_problem(found.get(name)):
            raise _unfit(f"{name}: {problem}")
    userinfo = found.get("userinfo_endpoint")
    methods, signs = (
        found.get("token_endpoint_auth_methods_supported"),
        found.get("id_token_signing_alg_values_supported"),
    )
    algorithms = tuple(name for name in ALGORITHMS if name in signs) if isinstance(signs, list) else ALGORITHMS[:1]
    if not algorithms:
        raise _unfit(f"it signs in no way that is taken here ({', '.join(ALGORITHMS)})")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=found["authorization_endpoint"],
        token_endpoint=found["token_endpoint"],
        jwks_uri=found["jwks_uri"],
        userinfo_endpoint=userinfo if isinstance(userinfo, str) and not _address_problem(userinfo) else "",
        # Basic is what a provider takes that says nothing.
        takes_secret_in_body=isinstance(methods, list) and "client_secret_basic" not in methods,
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        algorithms=algorithms,
    )


async def _redeemed(http: StepHttp, metadata: Metadata, client: Client, code: str, verifier: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier,
    }
    headers = {"Accept": "application/json"}
    if not client.secret or metadata.takes_secret_in_body:
        form["client_id"] = client.client_id
        if client.secret:
            form["client_secret"] = client.secret
    else:
        # Written as a form writes them first (RFC 6749, 2.3.1).
        pair = f"{quote(client.client_id, safe='')}:{quote(client.secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    # A code counts once, so one that was perhaps taken is not sent again.
    response = await http.post(metadata.token_endpoint, data=form, headers=headers, follow_redirects=False)
    if response.status_code in (400, 401):
        raise _refused(response)
    return _read(response)


def _refused(response: Response) -> SignOnFailed:
    try:
        found = response.json()
    except IntegrationError:
        found = None
    word = found.get("error") if isinstance(found, dict) else None
    if word == "invalid_client" or response.status_code == 401:
        message = _(
            "The provider does not know this installation by its client ID and secret. Trying again does not help: an "
            "owner of the tenant enters both again."
        )
    else:
        message = _("The provider does not take back the code that it gave. Begin once more.")
    return SignOnFailed(message, code="code_refused", detail=str(word)[:60])


def _address_problem(url: object) -> str:
    """Return what is wrong with an address of a provider, or nothing."""
    if not isinstance(url, str) or not url or len(url) > _LONGEST or not url.isascii() or not url.isprintable():
        return _("Write an address like https://login.example.com.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if not host or parts.username is not None or re.search(r"[\s\\<>\"]", url):
        return _("Write an address like https://login.example.com.")
    if parts.scheme == "https":
        return ""
    if parts.scheme == "http" and host in _LOOPBACK and _may_reach(host, port or 80):
        return ""
    return _("It must begin with https://, so that nobody on the way reads or changes what is sent.")


def _may_reach(host: str, port: int) -> bool:
    """Whether the operator lets this machine's own addresses be reached."""
    policy = egress_policy()
    address = "127.0.0.1" if host == "localhost" else host
    return policy.trusts_host(host, port) or policy.refusal(address, port) is None
