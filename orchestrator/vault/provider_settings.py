"""The readable part of a credential: which providers there are, and what each lets a person set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from integrations.findings import findings
from integrations.registry import registry
from integrations.sdk import AuthField, AuthKind, Provider, ui
from integrations.sdk.provider import PROVIDER_KEY
from integrations.words import declared
from orchestrator.errors import Invalid, Problem
from orchestrator.flow import secret_inputs
from orchestrator.flow.schemas import translated
from orchestrator.vault.models import AuthType
from orchestrator.vault.secret_schemas import SCHEMAS, SECRET_FIELDS

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_WEB_ADDRESS: Final = re.compile(
    r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?][!$-;=?-Z_a-z~%]*)?", re.IGNORECASE
)
_SITE: Final = re.compile(
    r"https://[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::\d{1,5})?(?:/[a-z0-9._~!$&'()*+,;=:@%-]+)*", re.I
)
_HOST: Final = re.compile(
    r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::\d{1,5})?", re.I
)
MAX_PROVIDER: Final = 63
_HOP_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "cookie", "expect"}
)


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value.lower() in _HOP_HEADERS:
        raise ValueError(_("is not a header that a credential may be sent in"))
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError(_("is not a host name, like api.example.com, api.example.com:8443 or *.example.com"))
    return value.lower()


def _server(value: str) -> str:
    if ":" in value or "*" in value:
        raise ValueError(_("is not the name of one server, like smtp.example.com"))
    return _host(value)


def _web_address(value: str) -> str:
    if not _WEB_ADDRESS.fullmatch(value):
        raise ValueError("is not a web address, like https://example.com/oauth/token")
    return value


def _site(value: str) -> str:
    """Return where a provider's customer is found: without a scheme, over HTTPS; nothing else carries a password."""
    address = value.strip().rstrip("/")
    if "://" not in address:
        address = f"https://{address}"
    if not _SITE.fullmatch(address):
        raise ValueError(_("is not an address over HTTPS without a query, like https://example.com"))
    scheme, _mark, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


WebAddress = Annotated[str, Field(max_length=1_000), AfterValidator(_web_address)]
SiteAddress = Annotated[str, Field(max_length=500), AfterValidator(_site)]


class NoSettings(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(extra="forbid")


class HttpSettings(BaseModel):
    """Where an HTTP step's credential goes."""

    model_config = ConfigDict(extra="forbid")

    hosts: list[Annotated[str, AfterValidator(_host)]] = Field(
        [],
        max_length=50,
        title=noop("Only to these hosts"),
        description=noop("Empty: to every host that a step calls with it."),
    )


class HttpKeySettings(HttpSettings):
    """An API key also says in which header or query parameter it is sent."""

    header: Annotated[str, AfterValidator(_header_name)] | None = Field(
        None, title=noop("Header"), description=noop("X-API-Key when left out.")
    )
    query: str | None = Field(
        None,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.\[\]-]+$",
        title=noop("Query parameter"),
        description=noop("Instead of a header."),
    )

    @model_validator(mode="after")
    def _one_place(self) -> HttpKeySettings:
        if self.header and self.query:
            raise ValueError(_("name a header or a query parameter, not both"))
        return self


class HttpOAuthSettings(HttpSettings):
    """A sign-in at any server: its addresses, and what is asked for."""

    grant: Literal["authorization_code", "client_credentials"] = Field(
        "authorization_code",
        title=noop("Sign-in"),
        json_schema_extra=ui(
            words={
                "authorization_code": noop("A person signs in"),
                "client_credentials": noop("The app itself does, with its secret"),
            }
        ),
    )
    authorize_url: WebAddress | None = Field(
        None, title=noop("Authorize URL"), description=noop("Where a person signs in.")
    )
    token_url: WebAddress | None = Field(None, title=noop("Token URL"), description=noop("Where tokens are given out."))
    revoke_url: WebAddress | None = Field(
        None, title=noop("Revoke URL"), description=noop("Where a deleted credential is told.")
    )
    scopes: str | None = Field(
        None,
        max_length=2_000,
        pattern=r"^[\x21\x23-\x5B\x5D-\x7E ]*$",
        title=noop("Scopes"),
        description=noop("Separated by spaces."),
    )
    client_auth: Literal["post", "basic"] | None = Field(
        None,
        title=noop("How the client secret is sent"),
        description=noop("In the body when left out."),
        json_schema_extra=ui(words={"post": noop("In the body"), "basic": noop("In a header")}),
    )


_MAIL_SECURITY: Final = {"starttls": noop("STARTTLS"), "tls": noop("TLS"), "none": noop("None")}


class EmailSettings(BaseModel):
    """The mail server that a credential signs in to."""

    model_config = ConfigDict(extra="forbid")

    host: Annotated[str, AfterValidator(_server)] = Field(
        title=noop("Server"), description=noop("Like smtp.example.com.")
    )
    port: int = Field(587, ge=1, le=65535, title=noop("Port"))
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        title=noop("Security"),
        description=noop("TLS on ports 993 and 465, STARTTLS on 143 and 587."),
        json_schema_extra=ui(words=_MAIL_SECURITY),
    )
    smtp_host: Annotated[str, AfterValidator(_server)] | None = Field(
        None,
        title=noop("Server for outgoing mail"),
        description=noop("Where it is another one than above, which then is the one for IMAP."),
    )
    smtp_port: int | None = Field(
        None, ge=1, le=65535, title=noop("Port for outgoing mail"), description=noop("587 when left out.")
    )
    smtp_security: Literal["starttls", "tls", "none"] | None = Field(
        None,
        title=noop("Security of outgoing mail"),
        description=noop("TLS on port 465, else STARTTLS, when left out."),
        json_schema_extra=ui(words=_MAIL_SECURITY),
    )


class SiteSettings(BaseModel):
    """Where the customer of a provider is found whose customers have an address of their own each."""

    model_config = ConfigDict(extra="forbid")

    site: SiteAddress


class PostgresSettings(BaseModel):
    """The database that a credential signs in to."""

    model_config = ConfigDict(extra="forbid")

    host: Annotated[str, AfterValidator(_server)] = Field(
        title=noop("Server"), description=noop("Like db.example.com.")
    )
    port: int = Field(5432, ge=1, le=65535, title=noop("Port"))
    database: str = Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f]+$", title=noop("Database"))
    tls: Literal["verify-full", "require", "disable"] = Field(
        "verify-full",
        title=noop("TLS"),
        description=noop(
            "A certificate that is checked is publicly trusted, and for the server's name. Otherwise whoever answers "
            "is believed."
        ),
        json_schema_extra=ui(
            words={
                "verify-full": noop("Encrypted, certificate checked"),
                "require": noop("Encrypted"),
                "disable": noop("Not encrypted"),
            }
        ),
    )


# By the name of a setting, how well each of its values secures a connection, and the value of one that is left out.
_SECURITY: Final = (
    ("security", ("none", "starttls", "tls"), "starttls"),
    ("smtp_security", ("none", "starttls", "tls"), "starttls"),
    ("tls", ("disable", "require", "verify-full"), "verify-full"),
)
# Settings that say where a secret is sent.
_PLACES: Final = ("site", "host", "port", "smtp_host", "smtp_port", "authorize_url", "token_url", "revoke_url")
_HTTP: Final[dict[tuple[str, str], type[BaseModel]]] = {("http", kind): HttpSettings for kind in AuthType.values}
_BY_PROVIDER: Final[Mapping[tuple[str, str], type[BaseModel]]] = MappingProxyType(
    {
        **_HTTP,
        ("http", AuthType.API_KEY.value): HttpKeySettings,
        ("http", AuthType.OAUTH2.value): HttpOAuthSettings,
        ("email", AuthType.BASIC.value): EmailSettings,
        ("postgres", AuthType.BASIC.value): PostgresSettings,
    }
)


def check_provider(provider: str) -> None:
    """Raise Invalid for what cannot be a provider's key.

    One that nothing registers is taken: its integration may be installed later, and a step whose action is not
    registered still runs over HTTP. Whether the kind of credential suits an action is told where the two meet.
    """
    if len(provider) > MAX_PROVIDER or not PROVIDER_KEY.fullmatch(provider):
        raise _invalid(
            "provider",
            _("%(provider).70r is not a provider's key, which is like google_sheets.") % {"provider": provider},
        )


def check_settings(provider: str, auth_type: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as they are stored. Raises Invalid with a problem for each wrong or unknown key."""
    try:
        parsed = _settings_model(provider, auth_type).model_validate(dict(settings))
    except ValidationError as error:
        problems = [Problem(path=_path(f["loc"]), message=f["msg"], code=f["type"]) for f in findings(error)]
        raise Invalid(_("The settings are not valid for this provider."), problems=problems) from None
    return parsed.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def reaches_further(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether with the settings ``after`` a secret could be sent where, or less safely than, with ``before``."""
    if any(before.get(name) != after.get(name) for name in _PLACES):
        return True
    if any(now < then for now, then in zip(_safety(after), _safety(before), strict=True)):
        return True
    pinned, now = set(before.get("hosts", ())), set(after.get("hosts", ()))
    return bool(pinned) and not (now and now <= pinned)


def _safety(settings: Mapping[str, Any]) -> list[int]:
    """Return how well connections are secured, setting by setting."""
    return [order.index(settings.get(name, default)) for name, order, default in _SECURITY]


def credential_types() -> list[dict[str, Any]]:
    """Return, for each provider and kind it offers, what a person fills in: JSON schemas with ``secret`` marks."""
    return [
        {
            "provider": provider.key,
            "name": declared(provider.name),
            "auth_type": kind.type,
            "secret_schema": _secret_schema(kind),
            "settings_schema": translated(_settings_model(provider.key, kind.type).model_json_schema()),
        }
        for provider in registry.providers()
        for kind in _offered(provider)
    ]


def _offered(provider: Provider) -> list[AuthKind]:
    """Return the kinds a person can save for a provider: a bearer token goes wherever a sign-in or a key does.

    A secret value goes on no request, so for it there is nothing else.
    """
    kinds = {kind.type: kind for kind in provider.auth if kind.type != "none"}
    is_sent = provider.key not in secret_inputs.NEVER_SENT
    if is_sent and kinds.keys() & {"oauth2", "api_key"} and "bearer_token" not in kinds:
        kinds["bearer_token"] = provider.auth_kind("bearer_token")
    return list(kinds.values())


def _secret_schema(kind: AuthKind) -> dict[str, Any]:
    """Return the form of a secret, with the provider's own labels and help."""
    known = SCHEMAS[kind.type].model_fields
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [f.name for f in kind.fields if f.required],
        "properties": {
            f.name: {
                "type": "string",
                "title": declared(f.label),
                "description": declared(f.help),
                "secret": f.secret or f.name in SECRET_FIELDS,
                **_where(f, kind),
            }
            for f in kind.fields
            if f.name in known
        },
    }


def _where(field: AuthField, kind: AuthKind) -> dict[str, str]:
    """Return where a person finds the value of a field, as a keyword of its schema."""
    found = field.docs_url or (kind.docs_url if field.required and field.secret else "")
    return {"docs_url": found} if found else {}


def _settings_model(provider: str, auth_type: str) -> type[BaseModel]:
    known = registry.provider(provider)
    if known is not None and known.regions:
        # One of its own roots, all of which its integration names: a secret goes nowhere else by another choice.
        about: Any = Field(
            None,
            title=noop("Region"),
            description=noop("Where the account is kept, if not as usual."),
            json_schema_extra=ui(words={name: name.upper() for name in known.regions}),
        )
        names: Any = Literal[*known.regions]
        return create_model("RegionSettings", __base__=NoSettings, region=(names | None, about))
    if known is None or known.site is None:
        return _BY_PROVIDER.get((provider, auth_type), NoSettings)
    # The operator's root, if any, is called in the place of every site.
    default = "" if known.key in settings.ENV.base_urls else ...
    about = Field(default, title=known.site.label, description=known.site.help)
    return create_model("SiteSettings", __base__=SiteSettings, site=(SiteAddress, about))


def _path(location: tuple[int | str, ...]) -> str:
    """Return the path of a problem, like ``settings.hosts[0]``."""
    return "settings" + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in location)


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(message, problems=[Problem(path=path, message=message, code="invalid")])
