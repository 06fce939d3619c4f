"""Everything that an integration needs: declare a provider, decorate functions, raise classified errors."""

from integrations.sdk.action import Action, Retry, action
from integrations.sdk.auth import (
    Account,
    ApiKey,
    AuthContext,
    AuthField,
    AuthKind,
    Basic,
    BearerToken,
    NoAuth,
    OAuth2,
    SigningSecret,
)
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
from integrations.sdk.paging import (
    CursorPaging,
    LinkPaging,
    OffsetPaging,
    Page,
    PageLimits,
    PagePaging,
    collected,
    first_found,
)
from integrations.sdk.polling import Item, Polled, PollingTrigger, polling
from integrations.sdk.provider import Provider, Site
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
    "CursorPaging",
    "DeclarationError",
    "FileValue",
    "Hmac",
    "InputError",
    "IntegrationError",
    "Item",
    "JSONObject",
    "JSONValue",
    "LinkPaging",
    "LogLine",
    "NoAuth",
    "NotFound",
    "OAuth2",
    "OffsetPaging",
    "Option",
    "Options",
    "OptionsContext",
    "OutcomeUnknown",
    "Page",
    "PageLimits",
    "PagePaging",
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
    "SigningSecret",
    "Site",
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
    "collected",
    "first_found",
    "polling",
    "ui",
    "webhook",
]
