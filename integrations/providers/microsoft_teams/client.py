"""How Teams is spoken to; what all of Microsoft Graph's services share is in ``integrations.microsoft``.

Source: learn.microsoft.com, the pages on sending chatMessages, on listing teams and channels, and on Teams' errors.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from integrations.microsoft import WHO, Errors, checked, name_in
from integrations.sdk import Account, AuthContext, InputError, NotFound, PermissionMissing, Transient
from integrations.sdk.client import Response, StepHttp

DOCS_URL: Final = "https://learn.microsoft.com/en-us/graph/api/chatmessage-post"

CHANNEL_SCOPE: Final = "ChannelMessage.Send"
CHAT_SCOPE: Final = "ChatMessage.Send"
LIST_SCOPES: Final = ("Team.ReadBasic.All", "Channel.ReadBasic.All")
# The first gives a refresh token, the second says whose account it is.
SCOPES: Final = ("offline_access", "User.Read", CHANNEL_SCOPE, CHAT_SCOPE, *LIST_SCOPES)

ERRORS: Final[Errors] = {
    "BadRequest": (InputError, "Correct what is named."),
    "Forbidden": (PermissionMissing, "The account must be a member of the team or chat, and sign in anew if it is."),
    "NotFound": (NotFound, "Check the ids of team and channel, or of the chat."),
    "MessageSizeExceeded": (InputError, "Teams does not take a message that long: shorten it."),
    "ServiceUnavailable": (Transient, "Teams is away for a moment."),
}


def channel_path(team_id: str, channel_id: str) -> str:
    return f"teams/{quote(team_id, safe='')}/channels/{quote(channel_id, safe='')}/messages"


def chat_path(chat_id: str) -> str:
    return f"chats/{quote(chat_id, safe='')}/messages"


async def listed(http: StepHttp, path: str) -> list[dict[str, Any]]:
    """Return the rows of a list, each of which has an id and a name."""
    response = checked(await http.get(path, params={"$select": "id,displayName"}), ERRORS, *LIST_SCOPES)
    return rows_of(response)


def rows_of(response: Response) -> list[dict[str, Any]]:
    rows = response.json_object().get("value")
    if not isinstance(rows, list):
        raise response.unexpected()
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise response.unexpected()
    return rows


async def account(ctx: AuthContext) -> Account:
    """Ask whose account this is."""
    return Account(label=name_in(checked(await ctx.http.get("me", params=WHO), ERRORS)))
