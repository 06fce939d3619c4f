"""What Google's services have in common: how people sign in, how a refusal is written, how a list is paged.

Errors are ``{"error": {"code", "message", "status", "errors": [{"reason"}], "details": [{"reason"}]}}``; the older
services fill ``errors``, the newer ones ``details``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from integrations.sdk import BearerToken, InputError, IntegrationError, OAuth2, PermissionMissing, RateLimited
from integrations.sdk.auth import AuthKind, AuthTest
from integrations.sdk.client import Response
from integrations.words import gettext as _

FAMILY: Final = "google"
AUTHORIZE_URL: Final = "https://accounts.google.com/o/oauth2/v2/auth"
TOKEN_URL: Final = "https://oauth2.googleapis.com/token"
REVOKE_URL: Final = "https://oauth2.googleapis.com/revoke"
TOKENS_URL: Final = "https://developers.google.com/oauthplayground"
SCOPES_ROOT: Final = "https://www.googleapis.com/auth/"

# A 403 is a limit for these reasons alone; for any other it is a missing permission.
LIMIT_REASONS: Final = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
_SCOPE_REASONS: Final = frozenset({"insufficientPermissions", "insufficientScopes", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"})
_OFF_REASONS: Final = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
_MAX_MESSAGE: Final = 500
_ID_IN_A_LINK: Final = re.compile(r"(?:/d/|/folders/|[?&]id=)([\w-]+)")


@dataclass(frozen=True, kw_only=True)
class Service:
    """One of Google's services; ``scopes`` are what a sign-in asks for, ``grants`` what they allow, in words."""

    name: str
    scopes: tuple[str, ...]
    grants: str

    def auth(self, test: AuthTest) -> Sequence[AuthKind]:
        """Return the kinds of credential: a sign-in that can be renewed, and a token made by hand."""
        named = ", ".join(scope.removeprefix(SCOPES_ROOT) for scope in self.scopes)
        return (
            OAuth2(
                label="Sign in with Google",
                authorize_url=AUTHORIZE_URL,
                token_url=TOKEN_URL,
                revoke_url=REVOKE_URL,
                scopes=self.scopes,
                # Without the two, Google gives a refresh token at the first sign-in alone, or none.
                authorize_params={"access_type": "offline", "prompt": "consent"},
                test=test,
            ),
            BearerToken(
                label="Access token",
                help=f"A short-lived access token with {named}, for instance from Google's OAuth Playground.",
                docs_url=TOKENS_URL,
                test=test,
            ),
        )

    def checked(self, response: Response, *scopes: str) -> Response:
        """Return a successful answer, or raise the classified error with Google's own message."""
        if response.is_success:
            return response
        raise self.refusal(response, *scopes)

    def refusal(self, response: Response, *scopes: str) -> IntegrationError:
        """Return the error of an answer outside 2xx; ``scopes`` are what this call needs, if not all of them."""
        text, reasons = told(response)
        message = f"{self.name}: {text}" if text else ""
        if response.status_code == 403 and reasons & LIMIT_REASONS:
            return response.error(message, kind=RateLimited)
        refused = response.error(message)
        if isinstance(refused, PermissionMissing):
            if reasons & _SCOPE_REASONS:
                refused.scopes = scopes or self.scopes
                refused.hint = _("Connect the account again and allow it to %(grants)s.") % {"grants": self.grants}
            elif reasons & _OFF_REASONS:
                refused.hint = _("Switch this API on in the Google Cloud project of the app that was signed in to.")
            else:
                refused.hint = _("The account may not do this: look whether it is shared with it, and its limits.")
        return refused


def told(response: Response) -> tuple[str, frozenset[str]]:
    """Return Google's own message, shortened, and the reasons it gives; empty where it gives none."""
    error = response.said("error")
    text = error.get("message")
    listed = [entry for name in ("errors", "details") for entry in _rows(error.get(name))]
    reasons = frozenset(str(entry["reason"]) for entry in listed if entry.get("reason"))
    return text[:_MAX_MESSAGE] if isinstance(text, str) else "", reasons


def _rows(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def rows_of(response: Response, name: str, *, absent_with: str = "") -> list[dict[str, Any]]:
    """Return the list of objects under ``name``. Raises Permanent where there is none.

    ``absent_with`` is a key that stands in an answer whose list is left out because it is empty.
    """
    answer = response.json_object()
    rows = answer.get(name, [] if absent_with and absent_with in answer else None)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise response.unexpected()
    return rows


def next_page(response: Response) -> str | None:
    """Return the token of the next page of a list, None after the last."""
    token = response.json_object().get("nextPageToken")
    return token if isinstance(token, str) and token else None


def id_of(value: str) -> str:
    """Return the id of a file, spreadsheet or folder, given so or as the link that a browser shows.

    Raises InputError for a link that has none.
    """
    text = value.strip()
    if "/" not in text:
        return text
    found = _ID_IN_A_LINK.search(text)
    if found is None:
        raise InputError(_("%(value)r is neither an id nor a link to a file.") % {"value": text[:80]})
    return found.group(1)


def part(value: str) -> str:
    """Return an id as one part of a path: none leads to another resource. Raises InputError for one that is no id."""
    if not value.strip() or set(value) <= {"."}:
        raise InputError(_("%(value)r is not an id.") % {"value": value[:40]})
    return quote(value, safe="")
