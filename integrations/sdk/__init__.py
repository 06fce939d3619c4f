"""Everything that an integration needs: declare a provider, decorate functions, raise classified errors."""

from integrations.sdk.action import Action, action
from integrations.sdk.auth import Account, ApiKey, AuthContext, AuthField, AuthKind, Basic, BearerToken, NoAuth, OAuth2
from integrations.sdk.context import LogLine, RunContext, StepLog
from integrations.sdk.errors import (
    AuthError,
    DeclarationError,
    InputError,
    IntegrationError,
    NotFound,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Timeout,
    Transient,
)
from integrations.sdk.fields import ui
from integrations.sdk.provider import Provider
from integrations.sdk.types import JSONObject, JSONValue

__all__ = [
    "Account",
    "Action",
    "ApiKey",
    "AuthContext",
    "AuthError",
    "AuthField",
    "AuthKind",
    "Basic",
    "BearerToken",
    "DeclarationError",
    "InputError",
    "IntegrationError",
    "JSONObject",
    "JSONValue",
    "LogLine",
    "NoAuth",
    "NotFound",
    "OAuth2",
    "OutcomeUnknown",
    "Permanent",
    "PermissionMissing",
    "Provider",
    "RateLimited",
    "RunContext",
    "StepLog",
    "Timeout",
    "Transient",
    "action",
    "ui",
]
