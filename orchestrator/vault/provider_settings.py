"""The readable part of a credential: which providers there are, and what each lets a person set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from integrations.registry import registry
from integrations.sdk import AuthKind, Provider
from integrations.sdk.provider import PROVIDER_KEY
from orchestrator.errors import Invalid, Problem
from orchestrator.vault.models import AuthType
from orchestrator.vault.secret_schemas import SCHEMAS, SECRET_FIELDS

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HOST: Final = re.compile(
    r"(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?::\d{1,5})?", re.I
)
MAX_PROVIDER: Final = 63
_HOP_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "cookie", "expect"}
)


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value.lower() in _HOP_HEADERS:
        raise ValueError("is not a header that a credential may be sent in")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("is not a host name, like api.example.com, api.example.com:8443 or *.example.com")
    return value.lower()


def _server(value: str) -> str:
    if ":" in value or "*" in value:
        raise ValueError("is not the name of one server, like smtp.example.com")
    return _host(value)


class NoSettings(BaseModel):
    """Nothing to set."""

    model_config = ConfigDict(extra="forbid")


class HttpSettings(BaseModel):
    """Where an HTTP step's credential goes."""

    model_config = ConfigDict(extra="forbid")

    hosts: list[Annotated[str, AfterValidator(_host)]] = Field(
        [], max_length=50, title="Only to these hosts", description="Empty: to every host that a step calls with it."
    )


class HttpKeySettings(HttpSettings):
    """An API key also says in which header or query parameter it is sent."""

    header: Annotated[str, AfterValidator(_header_name)] | None = Field(
        None, title="Header", description="X-API-Key when left out."
    )
    query: str | None = Field(
        None,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.\[\]-]+$",
        title="Query parameter",
        description="Instead of a header.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> HttpKeySettings:
        if self.header and self.query:
            raise ValueError("name a header or a query parameter, not both")
        return self


class EmailSettings(BaseModel):
    """The mail server that a credential signs in to."""

    model_config = ConfigDict(extra="forbid")

    host: Annotated[str, AfterValidator(_server)] = Field(title="Server", description="Like smtp.example.com.")
    port: int = Field(587, ge=1, le=65535, title="Port")
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", title="Security", description="tls on port 465, starttls on 587."
    )


_HTTP: Final[dict[tuple[str, str], type[BaseModel]]] = {("http", kind): HttpSettings for kind in AuthType.values}
_BY_PROVIDER: Final[Mapping[tuple[str, str], type[BaseModel]]] = MappingProxyType(
    {
        **_HTTP,
        ("http", AuthType.API_KEY.value): HttpKeySettings,
        ("email", AuthType.BASIC.value): EmailSettings,
    }
)


def check_provider(provider: str) -> None:
    """Raise Invalid for what cannot be a provider's key.

    One that nothing registers is taken: its integration may be installed later, and a step whose action is not
    registered still runs over HTTP. Whether the kind of credential suits an action is told where the two meet.
    """
    if len(provider) > MAX_PROVIDER or not PROVIDER_KEY.fullmatch(provider):
        raise _invalid("provider", f"{provider!r:.70} is not a provider's key, which is like google_sheets.")


def check_settings(provider: str, auth_type: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as they are stored. Raises Invalid with a problem for each wrong or unknown key."""
    try:
        parsed = _settings_model(provider, auth_type).model_validate(dict(settings))
    except ValidationError as error:
        problems = [
            Problem(path=_path(f["loc"]), message=f["msg"].removeprefix("Value error, "), code=f["type"])
            for f in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise Invalid("The settings are not valid for this provider.", problems=problems) from None
    return parsed.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def reaches_further(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a credential with the settings ``after`` could be sent where one with ``before`` could not."""
    if before.get("host") != after.get("host"):
        return True
    pinned, now = set(before.get("hosts", ())), set(after.get("hosts", ()))
    return bool(pinned) and not (now and now <= pinned)


def credential_types() -> list[dict[str, Any]]:
    """Return, for each provider and kind it offers, what a person fills in: JSON schemas with ``secret`` marks."""
    return [
        {
            "provider": provider.key,
            "name": provider.name,
            "auth_type": kind.type,
            "secret_schema": _secret_schema(kind),
            "settings_schema": _settings_model(provider.key, kind.type).model_json_schema(),
        }
        for provider in registry.providers()
        for kind in _offered(provider)
    ]


def _offered(provider: Provider) -> list[AuthKind]:
    """Return the kinds a person can save for a provider: a bearer token goes wherever a sign-in or a key does."""
    kinds = {kind.type: kind for kind in provider.auth if kind.type != "none"}
    if kinds.keys() & {"oauth2", "api_key"} and "bearer_token" not in kinds:
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
                "title": f.label,
                "description": f.help,
                "secret": f.secret or f.name in SECRET_FIELDS,
            }
            for f in kind.fields
            if f.name in known
        },
    }


def _settings_model(provider: str, auth_type: str) -> type[BaseModel]:
    return _BY_PROVIDER.get((provider, auth_type), NoSettings)


def _path(location: tuple[int | str, ...]) -> str:
    """Return the path of a problem, like ``settings.hosts[0]``."""
    return "settings" + "".join(f"[{part}]" if isinstance(part, int) else f".{part[:80]}" for part in location)


def _invalid(path: str, message: str) -> Invalid:
    return Invalid(message, problems=[Problem(path=path, message=message, code="invalid")])
