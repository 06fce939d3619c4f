"""How Twilio is spoken to: forms, and errors as ``{"code", "message", "more_info", "status"}``.

Source of the codes: Twilio's dictionary of errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from integrations.sdk import (
    Account,
    AuthContext,
    InputError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.twilio.com"
DOCS_URL: Final = "https://www.twilio.com/docs/messaging/api/message-resource"
KEYS_URL: Final = "https://console.twilio.com/"

ACCOUNTS_PATH: Final = "2010-04-01/Accounts"

ERRORS: Final[Mapping[int, tuple[type[IntegrationError], str]]] = {
    14107: (RateLimited, "The sender's limit is reached: send fewer messages, or later."),
    20404: (NotFound, "Check the account's SID."),
    20429: (RateLimited, "Twilio takes only so many requests at once."),
    21211: (InputError, "Write the recipient's number with + and the country, as in +4915112345678."),
    21212: (InputError, "Write the sender's number with + and the country, as in +15005550006."),
    21408: (PermissionMissing, "Allow the country in Twilio's console, under Messaging, Geo permissions."),
    21602: (InputError, "Give the message a text or a picture."),
    21603: (InputError, "Give a sender: a number of yours or a messaging service."),
    21606: (Permanent, "The sender is no number of the account that can send text messages there."),
    21608: (Permanent, "A trial account sends to verified numbers alone: verify it in Twilio's console."),
    21610: (Permanent, "The recipient wrote STOP and takes no messages of this sender any more."),
    21611: (RateLimited, "The sender has too many messages waiting."),
    21612: (Permanent, "From this sender there is no way to that recipient."),
    21614: (InputError, "The recipient's number takes no text messages: give a mobile number."),
    21617: (InputError, "Twilio takes at most 1,600 characters: shorten the text or split it."),
    21659: (Permanent, "The sender is no number of the account."),
    21701: (NotFound, "Check the messaging service's SID."),
    21703: (Permanent, "The messaging service has no number yet: add one in Twilio's console."),
    30001: (RateLimited, "Twilio has too many messages waiting."),
    63007: (Permanent, "The sender is no channel of the account, for instance of WhatsApp."),
}


def account_path(sid: str, rest: str = "") -> str:
    """Return a path below an account, whose SID a person entered."""
    return f"{ACCOUNTS_PATH}/{quote(sid, safe='')}{rest}.json"


async def send(http: StepHttp, sid: str, form: Mapping[str, str | list[str]]) -> Response:
    """Send a message and return the answer. Raises the error that Twilio names."""
    return checked(await http.post(account_path(sid, "/Messages"), data=dict(form)))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Twilio's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    answer = response.said()
    text, code = answer.get("message"), answer.get("code")
    message = f"Twilio: {text}" if isinstance(text, str) and text and isinstance(code, int) else ""
    if response.status_code >= 500 or response.status_code in (401, 429):
        return response.error(message)
    kind, hint = ERRORS.get(code, (None, "")) if isinstance(code, int) else (None, "")
    return response.error(f"{message} (code {code})" if message else "", hint=hint, kind=kind)


async def account(ctx: AuthContext) -> Account:
    """Ask for the account's name. An API key knows no SID, so that its accounts are listed."""
    sid = str(ctx.auth["username"])
    if not sid.startswith("AC"):
        response = checked(await ctx.http.get(f"{ACCOUNTS_PATH}.json", params={"PageSize": "1"}))
        rows = response.json_object().get("accounts")
        if not isinstance(rows, list):
            raise response.unexpected()
        return Account(label=_name(rows[0] if rows else {}))
    response = checked(await ctx.http.get(account_path(sid)))
    answer = response.json_object()
    if not isinstance(answer.get("sid"), str):
        raise response.unexpected()
    return Account(label=_name(answer))


def _name(row: Any) -> str:
    name = row.get("friendly_name") if isinstance(row, dict) else None
    return f"{name} at Twilio" if name else "Twilio account"
