"""How HubSpot is spoken to: version 3 of its CRM API. Errors are ``{"status": "error", "category", "message"}``.

Source: developers.hubspot.com, the pages on contacts, error handling, usage limits and OAuth (v3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.hubapi.com"
AUTHORIZE_URL: Final = "https://app.hubspot.com/oauth/authorize"
TOKEN_URL: Final = "https://api.hubapi.com/oauth/v3/token"
DOCS_URL: Final = "https://developers.hubspot.com/docs/api-reference/overview"
TOKENS_URL: Final = "https://developers.hubspot.com/docs/apps/legacy-apps/private-apps/overview"
# HubSpot insists on the first of them in every sign-in.
SCOPES: Final = ("oauth", "crm.objects.contacts.read", "crm.objects.contacts.write")

CONTACTS_PATH: Final = "crm/v3/objects/contacts"
# The limits are of ten seconds and of a day.
WINDOW_SECONDS: Final = 10.0
_DAILY: Final = "DAILY"
_MAX_ERRORS: Final = 3

# By the category of an error.
ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "VALIDATION_ERROR": (InputError, "Compare the names and values with the contact properties in HubSpot's settings."),
    "INVALID_AUTHENTICATION": (AuthError, "Connect HubSpot again or enter a new token."),
    "EXPIRED_AUTHENTICATION": (AuthError, "Connect HubSpot again or enter a new token."),
    "REVOKED_AUTHENTICATION": (AuthError, "Connect HubSpot again or enter a new token."),
    "MISSING_SCOPES": (PermissionMissing, "Give the app the scopes it lacks, then connect HubSpot again."),
    "USER_DOES_NOT_HAVE_PERMISSIONS": (PermissionMissing, "Who made the token may not do this in HubSpot."),
    "BANNED": (PermissionMissing, "HubSpot has shut out the account or the app: ask its support."),
    "OBJECT_NOT_FOUND": (NotFound, "Check the id; the contact may be deleted."),
    "RATE_LIMITS": (RateLimited, "HubSpot takes only so many requests in ten seconds and in a day."),
    "CONFLICT": (Transient, "Something else changed the contact at the same moment."),
}
# By the status, where no category is known: locked for a moment, and a move to another of HubSpot's regions.
_PASSING: Final = frozenset({423, 477})


def contact_path(key: str) -> str:
    """Return the path of one contact by its id or, with ``idProperty=email``, by its address."""
    return f"{CONTACTS_PATH}/{quote(key, safe='')}"


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call HubSpot and return its answer of success. Raises the error that an answer stands for."""
    response = await http.request(method, path, **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    said = error_of(response)
    message = _message(said)
    if response.status_code >= 500 or response.status_code == 401:
        return response.error(message)
    if response.status_code == 429:
        return _limited(response, said, message)
    kind, hint = ERRORS.get(str(said.get("category")), (None, ""))
    if kind is None and response.status_code in _PASSING:
        kind = Transient
    error = response.error(message, kind=kind, hint=hint)
    if isinstance(error, InputError):
        error.field = _property_of(said)
    return error


def _limited(response: Response, said: Mapping[str, Any], message: str) -> IntegrationError:
    if said.get("policyName") == _DAILY:
        return response.error(message, kind=RateLimited, hint="The account's requests of this day are used up.")
    error = response.error(message, kind=RateLimited)
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = WINDOW_SECONDS
    return error


def error_of(response: Response) -> Mapping[str, Any]:
    """Return HubSpot's own error, empty where the answer is of another form."""
    answer = response.said()
    return answer if isinstance(answer.get("message"), str) and answer.get("status") == "error" else {}


def _message(said: Mapping[str, Any]) -> str:
    """Return the message with the first of those that say more, in one line."""
    if not said:
        return ""
    listed = said.get("errors")
    rows = listed[:_MAX_ERRORS] if isinstance(listed, list) else []
    texts = [said["message"], *(row.get("message") for row in rows if isinstance(row, dict))]
    told = dict.fromkeys(text for text in texts if isinstance(text, str) and text)
    return f"HubSpot: {'; '.join(told)[:500]}"


def _property_of(said: Mapping[str, Any]) -> str | None:
    """Return the property that the first error names, if any."""
    listed = said.get("errors")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    context = first.get("context")
    named = context.get("propertyName") if isinstance(context, dict) else None
    name = named[0] if isinstance(named, list) and named else named
    return name if isinstance(name, str) else None


async def account(ctx: AuthContext) -> Account:
    """Ask whose account this is; every token may."""
    response = await call(ctx.http, "GET", "account-info/v3/details")
    answer = response.json_object()
    if not isinstance(answer.get("portalId"), int):
        raise response.unexpected()
    kind = str(answer.get("accountType") or "").replace("_", " ").lower()
    return Account(label=f"HubSpot account {answer['portalId']}{f' ({kind})' if kind else ''}")
