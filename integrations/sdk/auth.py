"""Kinds of credential: what a person fills in, and how it is applied to a request.

Every class can be made without arguments. ``test`` is an async function that asks the other side whose credential
this is; the library requires it, and ``integration lint`` says where it is missing.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias
from urllib.parse import quote

from integrations.sdk.errors import AuthError
from integrations.sdk.types import AuthType
from integrations.words import gettext as _

if TYPE_CHECKING:
    import httpx

    from integrations.sdk.client import StepHttp
    from integrations.sdk.dialling import Dialler


class AuthView(Mapping[str, Any]):
    """``ctx.auth``: read-only, absent keys absent, and nothing of it in ``repr``."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<auth {self._values.get('provider', '?')} {self._values.get('type', 'none')}>"

    @property
    def bearer(self) -> str:
        """The token of whatever kind this is: an access token, a bearer token or an API key."""
        for name in ("access_token", "token", "api_key"):
            if name in self._values:
                return str(self._values[name])
        raise AuthError(
            _("This step needs a credential, and none was given."), hint=_("Choose one in the step's form.")
        )

    def secrets(self) -> tuple[str, ...]:
        """Return every value that must not be shown."""
        return tuple(str(value) for key, value in self._values.items() if key in SECRET_NAMES and value)


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a credential's test found out: whose it is, what it may do, and until when."""

    label: str
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AuthContext:
    """What a credential's ``test`` gets; ``http`` carries the credential to the provider's hosts as in a step.

    ``dial`` connects to a host that speaks no HTTP, under the same guard; it blocks, so call it in a thread, and
    ``dial.addresses`` says where a library may connect that makes its connections itself.
    """

    auth: AuthView
    http: StepHttp
    settings: Mapping[str, Any] = field(default_factory=dict)
    dial: Dialler | None = None


AuthTest: TypeAlias = Callable[[AuthContext], Awaitable[Account]]


@dataclass(frozen=True, kw_only=True)
class AuthField:
    """One field of a credential's form; ``docs_url`` is where to find its value, if not where the kind's is."""

    name: str
    label: str
    help: str = ""
    docs_url: str = ""
    secret: bool = True
    required: bool = True


SECRET_NAMES = frozenset({"api_key", "token", "access_token", "refresh_token", "client_secret", "password"})


@dataclass(frozen=True)
class AuthKind:
    """What the kinds share. ``help`` says where a person finds the value."""

    type: ClassVar[AuthType]
    default_label: ClassVar[str] = ""
    _: KW_ONLY
    label: str = ""
    help: str = ""
    docs_url: str = ""
    test: AuthTest | None = None

    @property
    def title(self) -> str:
        return self.label or self.default_label

    @property
    def fields(self) -> tuple[AuthField, ...]:
        """Return what a person fills in, in order."""
        return ()

    def apply(self, request: httpx.Request, auth: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """Put the credential on ``request``."""


def _put_into_path(request: httpx.Request, place: str, value: str) -> None:
    """Put a credential where ``place`` stands in the path, and nowhere else: no part of it ends the segment."""
    path, mark, query = request.url.raw_path.partition(b"?")
    put = path.replace(place.encode(), quote(value, safe=":").encode(), 1)
    request.url = request.url.copy_with(raw_path=put + mark + query)


@dataclass(frozen=True)
class NoAuth(AuthKind):
    """Nothing to fill in."""

    type = "none"
    default_label = "No credential"


@dataclass(frozen=True)
class BearerToken(AuthKind):
    """A token in the Authorization header, after the word ``prefix``; ``path`` is as of ApiKey."""

    type = "bearer_token"
    default_label = "Bearer token"
    _: KW_ONLY
    prefix: str = "Bearer"
    path: str = ""

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (AuthField(name="token", label="Token", help=self.help),)

    def apply(self, request: httpx.Request, auth: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        if self.path:
            _put_into_path(request, self.path, str(auth["token"]))
            return
        request.headers["Authorization"] = f"{self.prefix} {auth['token']}".strip()


@dataclass(frozen=True)
class ApiKey(AuthKind):
    """A key in a header, a query parameter or the path; a configurable one lets the credential's settings name which.

    ``path`` is what an address that is asked has in its place, ``:token`` for one: the key is nowhere but on the wire.
    """

    type = "api_key"
    default_label = "API key"
    _: KW_ONLY
    header: str = "X-API-Key"
    prefix: str = ""
    query: str = ""
    path: str = ""
    configurable: bool = False

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (AuthField(name="api_key", label="API key", help=self.help),)

    def apply(self, request: httpx.Request, auth: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        if self.path:
            _put_into_path(request, self.path, str(auth["api_key"]))
            return
        header, query = self.header, self.query
        if self.configurable:
            header, query = settings.get("header") or header, settings.get("query") or query
        if query:
            request.url = request.url.copy_set_param(query, str(auth["api_key"]))
        else:
            request.headers[header] = f"{self.prefix} {auth['api_key']}".strip()


@dataclass(frozen=True)
class SigningSecret(ApiKey):
    """What a sender signs its requests with, under the name that senders give it: put on no request of ours."""

    default_label = "Signing secret"

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (AuthField(name="api_key", label=self.title, help=self.help),)

    def apply(self, request: httpx.Request, auth: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        return None


@dataclass(frozen=True)
class Basic(AuthKind):
    """User name and password in the Authorization header."""

    type = "basic"
    default_label = "User name and password"
    _: KW_ONLY
    username_label: str = "User name"
    password_label: str = "Password"

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (
            AuthField(name="username", label=self.username_label, help=self.help, secret=False),
            AuthField(name="password", label=self.password_label),
        )

    def apply(self, request: httpx.Request, auth: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        pair = f"{auth['username']}:{auth['password']}".encode()
        request.headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True)
class OAuth2(AuthKind):
    """A sign-in at the provider; the access token goes into the Authorization header.

    ``client_auth``, ``token_request`` and ``token_headers`` say how the token endpoint is asked; ``token_path`` names
    the keys under which its answer holds the tokens, empty for the top level. ``refresh_skew`` is how long before its
    end a token is renewed. A ``configurable`` one takes the addresses and scopes from the credential's settings.
    """

    type = "oauth2"
    default_label = "Sign in"
    _: KW_ONLY
    authorize_url: str = ""
    token_url: str = ""
    revoke_url: str = ""
    scopes: tuple[str, ...] = ()
    scope_separator: str = " "
    pkce: bool = True
    client_auth: Literal["post", "basic"] = "post"
    token_request: Literal["form", "json"] = "form"
    token_headers: Mapping[str, str] = field(default_factory=dict)
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    token_path: tuple[str, ...] = ()
    refresh_skew: timedelta = timedelta(minutes=2)
    prefix: str = "Bearer"
    configurable: bool = False

    @property
    def fields(self) -> tuple[AuthField, ...]:
        return (
            AuthField(name="client_id", label="Client id", secret=False, required=False),
            AuthField(name="client_secret", label="Client secret", required=False),
            AuthField(name="access_token", label="Access token", help=self.help, required=False),
            AuthField(name="refresh_token", label="Refresh token", required=False),
            AuthField(name="expires_at", label="Expires at", secret=False, required=False),
        )

    def apply(self, request: httpx.Request, auth: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        request.headers["Authorization"] = f"{self.prefix} {auth['access_token']}".strip()


DEFAULT_KINDS: Mapping[str, AuthKind] = {
    kind.type: kind for kind in (OAuth2(), ApiKey(), BearerToken(), Basic(), NoAuth())
}

# A token made by hand at the provider works wherever its sign-in or its key does.
ALSO_TAKES: Mapping[str, frozenset[str]] = {
    "oauth2": frozenset({"oauth2", "bearer_token"}),
    "api_key": frozenset({"api_key", "bearer_token"}),
    "bearer_token": frozenset({"bearer_token"}),
    "basic": frozenset({"basic"}),
    "none": frozenset(),
}
