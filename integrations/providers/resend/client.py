"""How Resend is spoken to. Errors are ``{"statusCode", "name", "message"}``.

Source: resend.com/docs, the pages on errors, on rate limits and on idempotency keys: a key of at most 256 characters
gives the first answer again for a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.resend.com"
DOCS_URL: Final = "https://resend.com/docs/api-reference/emails/send-email"
KEYS_URL: Final = "https://resend.com/api-keys"
SEND_ONLY: Final = "restricted_api_key"

ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "missing_api_key": (AuthError, "Enter a new API key."),
    "invalid_api_key": (AuthError, "Enter a new API key."),
    SEND_ONLY: (PermissionMissing, "The API key may only send: this needs one with full access."),
    "validation_error": (InputError, "Correct what is named; a sender's domain has to be verified in Resend."),
    "missing_required_field": (InputError, "Fill in what is named."),
    "missing_required_fields": (InputError, "Fill in what is named."),
    "invalid_parameter": (InputError, "Correct what is named."),
    "invalid_from_address": (InputError, "Write the sender as shop@example.com or Shop <shop@example.com>."),
    "invalid_to_address": (InputError, "Check the addresses."),
    "invalid_attachment": (InputError, "Correct what is named."),
    "not_found": (NotFound, "Check the ids in the step's inputs."),
    "invalid_idempotent_request": (
        Permanent,
        "An earlier attempt of this step sent other values: look in Resend what it sent, then run the workflow anew.",
    ),
    "concurrent_idempotent_requests": (Transient, "The attempt before is still being worked on."),
    "rate_limit_exceeded": (RateLimited, "Resend takes only so many requests a second."),
    "daily_quota_exceeded": (RateLimited, "The plan's mails of this day are used up."),
    "monthly_quota_exceeded": (Permanent, "The plan's mails of this month are used up."),
    "security_error": (Permanent, "Resend took the mail for harmful: ask its support."),
}
_FIELDS: Final[Mapping[str, str]] = {"invalid_from_address": "from", "invalid_to_address": "to"}


async def send(http: StepHttp, mail: Mapping[str, Any]) -> Response:
    """Send a mail and return the answer: the client sends the step's key along, the same one with every attempt."""
    return checked(await http.post("emails", json=dict(mail), idempotent=True))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Resend's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    said = error_of(response)
    name, text = str(said.get("name") or ""), said.get("message")
    message = f"Resend: {text}"[:500] if isinstance(text, str) and text else ""
    if response.status_code >= 500:
        return response.error(message)
    kind, hint = ERRORS.get(name, (None, ""))
    error = response.error(message, kind=kind, hint=hint)
    if isinstance(error, InputError):
        error.field = _FIELDS.get(name)
    return error


def error_of(response: Response) -> Mapping[str, Any]:
    """Return Resend's own error, empty where the answer is of another form."""
    answer = response.said()
    return answer if isinstance(answer.get("name"), str) else {}


async def account(ctx: AuthContext) -> Account:
    """Ask for the domains. A key that may only send is refused them, which proves it good as well."""
    response = await ctx.http.get("domains")
    if error_of(response).get("name") == SEND_ONLY:
        return Account(label="Resend, sending only")
    rows = checked(response).json_object().get("data")
    if not isinstance(rows, list):
        raise response.unexpected()
    names = [str(row["name"]) for row in rows if isinstance(row, dict) and row.get("name")]
    return Account(label=f"Resend, {', '.join(names[:3])}" if names else "Resend, no domain yet")
