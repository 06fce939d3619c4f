"""How Gmail is spoken to; what all of Google's services share is in ``integrations.google``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from integrations.google import SCOPES_ROOT, Service, next_page, part, rows_of
from integrations.sdk import Account, AuthContext, NotFound, PermissionMissing
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://gmail.googleapis.com"
DOCS_URL: Final = "https://developers.google.com/workspace/gmail/api/reference/rest"
SEND_SCOPE: Final = SCOPES_ROOT + "gmail.send"
# Reads and labels, and deletes nothing for good.
MODIFY_SCOPE: Final = SCOPES_ROOT + "gmail.modify"
# Both, although the second covers the first: who only sends may leave the second out at Google's page.
# What each asks for, with the scopes that hold it.
_ALL_MAIL: Final = "https://mail.google.com/"
SENDING: Final = "|".join((SEND_SCOPE, MODIFY_SCOPE, SCOPES_ROOT + "gmail.compose", _ALL_MAIL))
READING: Final = "|".join((MODIFY_SCOPE, SCOPES_ROOT + "gmail.readonly", _ALL_MAIL))
CHANGING: Final = f"{MODIFY_SCOPE}|{_ALL_MAIL}"
SERVICE: Final = Service(name="Gmail", scopes=(SEND_SCOPE, MODIFY_SCOPE), grants="send, read and label mail")

MESSAGES_PATH: Final = "gmail/v1/users/me/messages"
SEND_PATH: Final = "gmail/v1/users/me/messages/send"
LABELS_PATH: Final = "gmail/v1/users/me/labels"
PROFILE_PATH: Final = "gmail/v1/users/me/profile"

# Gmail lists at most so many a page.
MAX_PAGE: Final = 500
HEADERS: Final = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References")


async def send(http: StepHttp, message: Mapping[str, Any]) -> Response:
    """Send a message resource and return the answer. Raises the error that Gmail names."""
    return SERVICE.checked(await http.post(SEND_PATH, json=dict(message)), SEND_SCOPE)


async def find(
    http: StepHttp, *, query: str, labels: Sequence[str] = (), most: int, page: str | None = None
) -> tuple[list[str], str | None]:
    """Return one page of ids, the newest first, and the token of the next."""
    params: list[tuple[str, str]] = [("maxResults", str(min(most, MAX_PAGE)))]
    params += [("q", query)] if query else []
    params += [("labelIds", label) for label in labels]
    params += [("pageToken", page)] if page else []
    response = SERVICE.checked(await http.get(MESSAGES_PATH, params=params), MODIFY_SCOPE)
    # A page without messages has no list.
    rows = rows_of(response, "messages", absent_with="resultSizeEstimate")
    if not all(isinstance(row.get("id"), str) for row in rows):
        raise response.unexpected()
    return [row["id"] for row in rows], next_page(response)


async def message(http: StepHttp, message_id: str, *, body: bool) -> dict[str, Any] | None:
    """Return a message resource, or None for one that is gone by now."""
    params: list[tuple[str, str]] = [("format", "full" if body else "metadata")]
    params += [] if body else [("metadataHeaders", name) for name in HEADERS]
    response = await http.get(f"{MESSAGES_PATH}/{part(message_id)}", params=params)
    try:
        answer = SERVICE.checked(response, MODIFY_SCOPE).json_object()
    except NotFound:
        return None
    if not isinstance(answer.get("id"), str) or not isinstance(answer.get("payload"), dict):
        raise response.unexpected()
    return answer


def label_path(message_id: str) -> str:
    return f"{MESSAGES_PATH}/{part(message_id)}/modify"


async def account(ctx: AuthContext) -> Account:
    """Ask whose mailbox this is. A token that may only send is refused the profile, which proves it good as well."""
    try:
        response = SERVICE.checked(await ctx.http.get(PROFILE_PATH))
    except PermissionMissing:
        return Account(label="Gmail, sending only", scopes=(SEND_SCOPE,))
    return Account(label=str(response.json_object().get("emailAddress") or "Gmail"))
