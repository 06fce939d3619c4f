"""How Telegram is spoken to. Answers are ``{"ok": true, "result"}`` or ``{"ok": false, "description", "parameters"}``.

The token is a part of the address. It is put there on the way out alone, in the place of ``:token``, so that no address
that is logged, shown or told in an error has it.
"""

from __future__ import annotations

import json
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
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.telegram.org"
DOCS_URL: Final = "https://core.telegram.org/bots/api"
TOKENS_URL: Final = "https://core.telegram.org/bots/features#botfather"
TOKEN: Final = ":token"

# Telegram has no codes of its own: the first of these that its description has in it counts.
ERRORS: Final[tuple[tuple[str, type[IntegrationError], str], ...]] = (
    ("chat not found", NotFound, "Check the chat's id; a person must have written to the bot first."),
    ("user not found", NotFound, "Check the person's id; they must have written to the bot first."),
    ("message to be replied not found", NotFound, "Check the id of the message to reply to; it may be deleted."),
    ("message thread not found", NotFound, "Check the id of the topic; it may be deleted."),
    ("upgraded to a supergroup", Permanent, "The group has another id now: put that into the step."),
    ("message is too long", InputError, "Telegram takes at most 4,096 characters: shorten the text or split it."),
    ("caption is too long", InputError, "Telegram takes at most 1,024 characters under a photo: shorten them."),
    ("message text is empty", InputError, "Give the message a text."),
    ("can't parse entities", InputError, "Check the markup: in HTML, < > and & that are text are written as entities."),
    (
        "wrong file identifier",
        InputError,
        "Give the photo's public address, or the file id of one that was sent before.",
    ),
    ("failed to get http url content", InputError, "Telegram could not fetch the photo: its address must be public."),
    ("wrong type of the web page content", InputError, "What lies at the photo's address is no picture."),
    ("was blocked by the user", Permanent, "The person has blocked the bot."),
    ("user is deactivated", Permanent, "The person's account is gone."),
    ("can't initiate conversation", Permanent, "The person must write to the bot first."),
    ("bot was kicked", Permanent, "Add the bot to the group or channel again."),
    ("is not a member", Permanent, "Add the bot to the channel and let it post messages."),
    (
        "bad webhook",
        Permanent,
        "Telegram calls public https addresses alone, on port 443, 80, 88 or 8443: an operator sets BASE_URL.",
    ),
    ("not enough rights", Permanent, "Let the bot send messages there: in the chat's settings, under Administrators."),
    ("have no rights", Permanent, "Let the bot send messages there: in the chat's settings, under Administrators."),
)
_NEW_TOKEN: Final = "Enter the token again, as @BotFather gave it, or ask it for a new one."


async def call(http: StepHttp, method: str, payload: Mapping[str, Any]) -> Response:
    """Call a method of the Bot API and return its answer, which has a ``result``. Raises the error of a refusal."""
    # Never to where a redirect leads, for the token would be in its address.
    return _said(await http.post(f"bot{TOKEN}/{method}", json=dict(payload), follow_redirects=False))


async def upload(
    http: StepHttp, method: str, payload: Mapping[str, Any], files: Mapping[str, tuple[str, bytes, str]]
) -> Response:
    """Call a method with files, each a name, its bytes and their type: what else there is goes along as JSON texts."""
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in payload.items()}
    return _said(await http.post(f"bot{TOKEN}/{method}", data=fields, files=dict(files), follow_redirects=False))


async def ask(http: StepHttp, method: str) -> Response:
    """Call a method that only reads and return its answer as ``call`` does."""
    return _said(await http.get(f"bot{TOKEN}/{method}", follow_redirects=False))


async def bot_of(http: StepHttp) -> tuple[int, str]:
    """Return the number of the bot whose token this is, and its name."""
    response = await ask(http, "getMe")
    bot = response.json_object()["result"]
    if not isinstance(bot, dict) or not isinstance(bot.get("id"), int) or not isinstance(bot.get("username"), str):
        raise response.unexpected()
    return bot["id"], f"@{bot['username']}"


async def account(ctx: AuthContext) -> Account:
    """Ask which bot this is."""
    _number, name = await bot_of(ctx.http)
    return Account(label=f"{name} on Telegram")


def _said(response: Response) -> Response:
    if not response.is_success:
        raise refusal(response, response.said())
    answer = response.json_object()
    if answer.get("ok") is False:
        raise refusal(response, answer)
    if answer.get("ok") is not True or "result" not in answer:
        raise response.unexpected()
    return response


def refusal(response: Response, answer: Mapping[str, Any]) -> IntegrationError:
    """Return the error of a refusal; ``answer`` is empty where it was not Telegram that answered."""
    text, told = answer.get("description"), answer.get("parameters")
    message = f"Telegram: {text}" if isinstance(text, str) and text else ""
    parameters = told if isinstance(told, dict) else {}
    if response.status_code >= 500 or response.status_code == 429 or answer.get("ok") is not False:
        return response.error(message, pause=_seconds(parameters.get("retry_after")))
    if response.status_code in (401, 404):
        # Every method exists, so what is not found is the bot of that token.
        return response.error(message, kind=AuthError, hint=_NEW_TOKEN)
    lower = message.lower()
    kind, hint = next(((kind, hint) for words, kind, hint in ERRORS if words in lower), (Permanent, ""))
    if isinstance(new := parameters.get("migrate_to_chat_id"), int):
        hint = f"{hint} It is {new}."
    return response.error(message, kind=kind, hint=hint)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
