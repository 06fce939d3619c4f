"""How Gmail is spoken to. Errors are ``{"error": {"code", "message", "status", "errors": [{"reason"}]}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, IntegrationError, PermissionMissing, RateLimited
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://gmail.googleapis.com"
AUTHORIZE_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"
REVOKE_URL: Final = "https://oauth2.googleapis.com/revoke"
DOCS_URL: Final = "https://developers.google.com/workspace/gmail/api/reference/rest"
TOKENS_URL: Final = "https://developers.google.com/oauthplayground"
SEND_SCOPE: Final = "https://www.googleapis.com/auth/gmail.send"

SEND_PATH: Final = "gmail/v1/users/me/messages/send"
PROFILE_PATH: Final = "gmail/v1/users/me/profile"

# A 403 is a limit for these reasons alone; for any other it is a missing permission.
LIMIT_REASONS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


async def send(http: StepHttp, message: Mapping[str, Any]) -> Response:
    """Send a message resource and return the answer. Raises the error that Gmail names."""
    return checked(await http.post(SEND_PATH, json=dict(message)))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Gmail's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    error = _error_of(response)
    listed = error.get("errors")
    reasons = (
        {str(entry.get("reason")) for entry in listed if isinstance(entry, dict)} if isinstance(listed, list) else set()
    )
    text = error.get("message")
    message = f"Gmail: {text}" if isinstance(text, str) and text else ""
    if response.status_code == 403 and reasons & LIMIT_REASONS:
        return response.error(message, kind=RateLimited)
    refused = response.error(message)
    if isinstance(refused, PermissionMissing):
        refused.scopes = (SEND_SCOPE,)
        refused.hint = "Connect the account again and allow it to send mail."
    return refused


def _error_of(response: Response) -> Mapping[str, Any]:
    try:
        error = response.json_object().get("error")
    except IntegrationError:
        return {}
    return error if isinstance(error, dict) else {}


async def account(ctx: AuthContext) -> Account:
    """Ask whose mailbox this is. A token that may only send is refused the profile, which proves it good as well."""
    try:
        response = checked(await ctx.http.get(PROFILE_PATH))
    except PermissionMissing:
        return Account(label="Gmail, sending only", scopes=(SEND_SCOPE,))
    return Account(label=str(response.json_object().get("emailAddress") or "Gmail"))
