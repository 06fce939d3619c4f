"""What a secret must look like for each auth type, and the one shape a step reads it in.

Checked when it is saved and again when a worker opens it, so that a step never meets half a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final

from django.utils.translation import gettext as _
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from integrations.findings import findings
from orchestrator.errors import Invalid, Problem
from orchestrator.flow import secret_inputs
from orchestrator.vault.models import AuthType

MAX_SECRET: Final = 16_384
# Where the value is never sent in a header by us, as that of a signature or of a step's secret input, any text will do.
ANY_TEXT_PROVIDERS: Final = frozenset({"webhook", secret_inputs.PROVIDER})
# What of a secret an action reads; the rest is for renewing it.
READ_BY_ACTIONS: Final = frozenset({"api_key", "token", "access_token", "refresh_token", "username", "password"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _one_line(value: str) -> str:
    """Refuse what would break out of the header or form that the value is sent in."""
    value = value.strip()
    if not value:
        raise ValueError(_("is empty"))
    if _CONTROL.search(value):
        raise ValueError(_("holds a line break or another control character; paste the value alone"))
    return value


def _no_control(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError(_("holds a line break or another control character; paste the value alone"))
    return value


Text = Annotated[str, Field(max_length=MAX_SECRET), AfterValidator(_one_line)]
# A password may begin or end with a space, or be empty: some APIs put the key into the user name.
Password = Annotated[str, Field(max_length=MAX_SECRET), AfterValidator(_no_control)]


class _Secret(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: str | None = None
    type: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__


class ApiKeySecret(_Secret):
    api_key: Text


class BearerTokenSecret(_Secret):
    token: Text


class OAuth2Secret(_Secret):
    """Before the sign-in there is no token yet, and where the operator's app is used no client either."""

    access_token: Text | None = None
    refresh_token: Text | None = None
    expires_at: datetime | None = None
    client_id: Text | None = None
    client_secret: Text | None = None


class BasicSecret(_Secret):
    username: Text
    password: Password


SCHEMAS: Final[Mapping[str, type[_Secret]]] = MappingProxyType(
    {
        AuthType.API_KEY: ApiKeySecret,
        AuthType.BEARER_TOKEN: BearerTokenSecret,
        AuthType.OAUTH2: OAuth2Secret,
        AuthType.BASIC: BasicSecret,
    }
)
# What must never be shown; a user name and a client id may.
SECRET_FIELDS: Final = frozenset({"api_key", "token", "access_token", "refresh_token", "client_secret", "password"})


_HEADER_FIELDS: Final = ("api_key", "token", "access_token")


def check_secret(secret: Any, *, provider: str, auth_type: str) -> dict[str, Any]:
    """Return the secret as it is sealed. Raises Invalid with a problem for each field; no value is repeated."""
    if not isinstance(secret, Mapping):
        raise Invalid(_("secret is not an object."), problems=[_problem("secret", _("Send an object."), "type")])
    try:
        parsed = SCHEMAS[auth_type].model_validate(dict(secret))
    except ValidationError as error:
        problems = [
            _problem(".".join(("secret", *(str(part)[:80] for part in found["loc"]))), _message(found), found["type"])
            for found in findings(error)
        ]
        raise Invalid(
            _("The secret is not a valid %(auth_type)s.") % {"auth_type": auth_type}, problems=problems
        ) from None
    for name, expected in (("provider", provider), ("type", auth_type)):
        if getattr(parsed, name) not in (None, expected):
            raise Invalid(
                _("The secret says another %(name)s than the credential.") % {"name": name},
                problems=[
                    _problem(
                        f"secret.{name}", _("Leave it out, or send %(expected)s.") % {"expected": expected}, "mismatch"
                    )
                ],
            )
    values = parsed.model_dump(mode="json", exclude_none=True, exclude={"provider", "type"})
    for name in _HEADER_FIELDS:
        if not str(values.get(name, "")).isascii() and provider not in ANY_TEXT_PROVIDERS:
            raise Invalid(
                _("The secret is not a valid %(auth_type)s.") % {"auth_type": auth_type},
                problems=[
                    _problem(f"secret.{name}", _("Has characters outside ASCII; paste the value alone."), "ascii")
                ],
            )
    return values


def normalised(values: Mapping[str, Any], *, provider: str, auth_type: str) -> Mapping[str, Any]:
    """Return ``ctx.auth`` as actions read it, of a checked secret: provider, type and what is there; read-only."""
    read = {name: value for name, value in values.items() if name in READ_BY_ACTIONS}
    return MappingProxyType({"provider": provider, "type": str(auth_type), **read})


def secret_values(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every value of a checked secret that must not be shown."""
    return tuple(str(value) for name, value in values.items() if name in SECRET_FIELDS and value)


def _message(found: Any) -> str:
    return str(found["msg"])


def _problem(path: str, message: str, code: str) -> Problem:
    return Problem(path=path, message=message, code=code)
