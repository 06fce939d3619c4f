"""What Microsoft Graph's services have in common: how people sign in, and how a refusal is written.

Errors are ``{"error": {"code", "message", "innerError"}}``. Source: learn.microsoft.com, the pages on errors of Graph
and on throttling (429 and 503 with Retry-After).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from integrations.sdk.client import Response
from integrations.sdk.errors import AuthError, IntegrationError, Permanent, PermissionMissing, RateLimited

FAMILY: Final = "microsoft"
BASE_URL: Final = "https://graph.microsoft.com/v1.0"
_SIGN_IN: Final = "https://login.microsoftonline.com"
# Of accounts in every directory, and of personal ones.
EVERYBODY: Final = "common"
# Of accounts in every directory alone.
AT_WORK: Final = "organizations"

Errors = Mapping[str, tuple[type[IntegrationError], str]]
ERRORS: Final[Errors] = {
    "InvalidAuthenticationToken": (AuthError, "Sign in with Microsoft again or enter a new token."),
    "Authorization_RequestDenied": (PermissionMissing, "Sign in with Microsoft again and allow what it asks for."),
    "InsufficientPrivileges": (PermissionMissing, "Sign in with Microsoft again and allow what it asks for."),
    "accessDenied": (PermissionMissing, "Sign in with Microsoft again and allow what it asks for."),
    "ErrorAccessDenied": (PermissionMissing, "Sign in with Microsoft again and allow what it asks for."),
    "ApplicationThrottled": (RateLimited, "Microsoft takes only so many requests at once."),
}
_DENIED: Final = frozenset(name for name, (kind, _hint) in ERRORS.items() if kind is PermissionMissing)


def authorize_url(whose: str) -> str:
    return f"{_SIGN_IN}/{whose}/oauth2/v2.0/authorize"


def token_url(whose: str) -> str:
    return f"{_SIGN_IN}/{whose}/oauth2/v2.0/token"


def checked(response: Response, errors: Errors, *scopes: str) -> Response:
    """Return a successful answer, or raise the classified error with Graph's own message; arguments of ``refusal``."""
    if response.is_success:
        return response
    raise refusal(response, errors, *scopes)


def refusal(response: Response, errors: Errors, *scopes: str) -> IntegrationError:
    """Return the error of an answer outside 2xx.

    ``errors`` are the service's own, by code; ``scopes`` are what this call needs.
    """
    said = response.said("error")
    code, text = str(said.get("code") or ""), said.get("message")
    message = f"Microsoft: {text}"[:500] if isinstance(text, str) and text else ""
    kind, hint = {**ERRORS, **errors}.get(code, (None, ""))
    if response.status_code in (401, 429) or (response.status_code >= 500 and kind is not Permanent):
        return response.error(message)
    error = response.error(message, hint=hint, kind=kind)
    if isinstance(error, PermissionMissing) and code in _DENIED:
        error.scopes = scopes
    return error


def name_in(response: Response) -> str:
    """Return the name of an account that was asked for: its address, mostly."""
    answer = response.json_object()
    names = [answer.get(name) for name in ("mail", "userPrincipalName", "displayName")]
    found = next((name for name in names if isinstance(name, str) and name), "")
    if not found:
        raise response.unexpected()
    return found


WHO: Final[Mapping[str, str]] = {"$select": "displayName,mail,userPrincipalName"}
