"""Everything that an integration needs: declare a provider, decorate functions, raise classified errors."""

from integrations.sdk.action import Action, Retry, action
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
from integrations.sdk.files import FileValue
from integrations.sdk.limits import RateLimit
from integrations.sdk.options import Option, Options, OptionsContext
from integrations.sdk.polling import Item, Polled, PollingTrigger, polling
from integrations.sdk.provider import Provider
from integrations.sdk.state import Scope, State
from integrations.sdk.types import JSONObject, JSONValue
from integrations.sdk.webhook import (
    Hmac,
    Subscription,
    WebhookContext,
    WebhookReply,
    WebhookRequest,
    WebhookTrigger,
    webhook,
)

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
    "FileValue",
    "Hmac",
    "InputError",
    "IntegrationError",
    "Item",
    "JSONObject",
    "JSONValue",
    "LogLine",
    "NoAuth",
    "NotFound",
    "OAuth2",
    "Option",
    "Options",
    "OptionsContext",
    "OutcomeUnknown",
    "Permanent",
    "PermissionMissing",
    "Polled",
    "PollingTrigger",
    "Provider",
    "RateLimit",
    "RateLimited",
    "Retry",
    "RunContext",
    "Scope",
    "State",
    "StepLog",
    "Subscription",
    "Timeout",
    "Transient",
    "WebhookContext",
    "WebhookReply",
    "WebhookRequest",
    "WebhookTrigger",
    "action",
    "polling",
    "ui",
    "webhook",
]
