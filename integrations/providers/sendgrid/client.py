"""How SendGrid is spoken to: success is 202 without a body, errors are ``{"errors": [{"message", "field", "help"}]}``.

Source: Twilio's pages on SendGrid's Mail Send API, its errors and its rate limits (X-RateLimit-Reset, in seconds since
1970).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import (
    Account,
    AuthContext,
    AuthError,
    InputError,
    IntegrationError,
    PermissionMissing,
    RateLimited,
)
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _

BASE_URL: Final = "https://api.sendgrid.com"
EU_URL: Final = "https://api.eu.sendgrid.com"
DOCS_URL: Final = "https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send"
KEYS_URL: Final = "https://app.sendgrid.com/settings/api_keys"
SEND_PATH: Final = "v3/mail/send"
SEND_SCOPE: Final = "mail.send"

_ACCEPTED: Final = 202
_SHOWN: Final = 3
_MOST_WAIT: Final = 3600.0
HINTS: Final[Mapping[int, tuple[type[IntegrationError] | None, str]]] = {
    400: (InputError, "Correct the input that is named."),
    401: (AuthError, "Enter a new API key: one that was deleted or is for another region is refused."),
    403: (PermissionMissing, "The API key needs the permission Mail Send."),
    413: (InputError, "SendGrid takes at most 30 MB a mail."),
}
_INPUTS: Final[Mapping[str, str]] = {
    **{name: name for name in ("to", "cc", "bcc", "from", "subject", "reply_to", "template_id", "categories")},
    "content": "text",
    "dynamic_template_data": "template_data",
}
_SENDER: Final = "Verify the sender in SendGrid, under Settings, Sender Authentication."


async def send(http: StepHttp, mail: Mapping[str, Any]) -> Response:
    """Send a mail and return the answer, which has no body. Raises the error that SendGrid names."""
    response = await http.post(SEND_PATH, json=dict(mail))
    if response.status_code == _ACCEPTED:
        return response
    raise response.unexpected() if response.is_success else refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx, with SendGrid's own words and the input that they are about."""
    rows = _errors_of(response)
    texts = [str(row.get("message")) for row in rows if row.get("message")]
    message = f"SendGrid: {'; '.join(texts)}"[:500] if texts else ""
    kind, hint = HINTS.get(response.status_code, (None, ""))
    field = next((str(row["field"]) for row in rows if isinstance(row.get("field"), str)), "")
    if response.status_code == 403 and field.startswith("from"):
        kind, hint = InputError, _SENDER
    if kind is InputError and not texts:
        kind, hint = None, ""
    error = response.error(message, kind=kind, hint=hint)
    if isinstance(error, InputError):
        error.field = _input_of(field)
    if isinstance(error, RateLimited) and error.retry_after is None:
        error.retry_after = _pause(response)
    return error


def _pause(response: Response) -> float | None:
    reset = response.headers.get("x-ratelimit-reset", "")
    if not (reset.isascii() and reset.isdigit() and len(reset) < 13):
        return None
    return min(max(int(reset) - time.time(), 1.0), _MOST_WAIT)


def _input_of(field: str) -> str | None:
    """Return our input that a path such as ``personalizations.0.to.0.email`` is about."""
    parts = field.replace("[", ".").split(".")
    return next((_INPUTS[part] for part in parts if part in _INPUTS), None)


def _errors_of(response: Response) -> list[dict[str, Any]]:
    rows = response.said().get("errors")
    return [row for row in rows[:_SHOWN] if isinstance(row, dict)] if isinstance(rows, list) else []


async def account(ctx: AuthContext) -> Account:
    """Ask what the key may do; whose it is, it may mostly not say."""
    response = await ctx.http.get("v3/scopes")
    if not response.is_success:
        raise refusal(response)
    scopes = response.json_object().get("scopes")
    if not isinstance(scopes, list):
        raise response.unexpected()
    if SEND_SCOPE not in scopes:
        raise PermissionMissing(
            _("The API key may not send mail."), scopes=(SEND_SCOPE,), hint=_("Give it the permission Mail Send.")
        )
    return Account(label="SendGrid API key", scopes=tuple(map(str, scopes)))
