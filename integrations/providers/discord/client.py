"""How Discord is spoken to. Errors are ``{"code", "message", "errors"}``, a limit ``{"message", "retry_after"}``.

Source of the codes: Discord's page on opcodes and status codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

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

BASE_URL: Final = "https://discord.com/api/v10"
DOCS_URL: Final = "https://docs.discord.com/developers/resources/message"
TOKENS_URL: Final = "https://discord.com/developers/applications"

# Discord turns clients away that do not name themselves in this form.
HEADERS: Final[Mapping[str, str]] = {"User-Agent": "DiscordBot (orchestrator, 0.1)"}

ERRORS: Final[Mapping[int, tuple[type[IntegrationError], str]]] = {
    10003: (NotFound, "Check the channel's id; the bot must be a member of its server."),
    10008: (NotFound, "Check the id of the message to reply to; it may be deleted."),
    20028: (RateLimited, "The channel takes only so many messages in a while: send fewer of them, or later."),
    40333: (Permanent, "Discord turned the request away before it reached the API."),
    50001: (PermissionMissing, "Let the bot see the channel: in the channel's settings, under Permissions."),
    50006: (InputError, "Give the message a text or an embed."),
    50007: (Permanent, "The person takes no messages from the bot: they must share a server with it and allow them."),
    50008: (InputError, "Choose a channel that takes messages: this one is a category, or of another kind."),
    50013: (
        PermissionMissing,
        "Let the bot send messages in the channel: in the channel's settings, under Permissions.",
    ),
    50035: (InputError, "Correct the fields that Discord names."),
    160002: (PermissionMissing, "Let the bot read the channel's history: it cannot reply otherwise."),
}
# How deep and how many of the fields that Discord complains of are told.
_DEEPEST: Final = 8
_TOLD: Final = 3


async def post_message(http: StepHttp, channel_id: str, payload: Mapping[str, Any]) -> Response:
    """Post a message to a channel and return the answer. Raises the error that Discord names."""
    return checked(await http.post(f"channels/{channel_id}/messages", json=dict(payload), headers=HEADERS))


async def ask(http: StepHttp, path: str, params: Mapping[str, str] | None = None) -> Response:
    """Read something and return the answer. Raises the error that Discord names."""
    return checked(await http.get(path, params=params, headers=HEADERS))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Discord's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    answer = response.said()
    code, text = answer.get("code"), answer.get("message")
    message = f"Discord: {text}" if isinstance(text, str) and text else ""
    if response.status_code == 429:
        # With its fraction, where the header has whole seconds.
        return response.error(message, pause=_seconds(answer.get("retry_after")))
    if response.status_code >= 500 or response.status_code == 401:
        return response.error(message)
    kind, hint = ERRORS.get(code, (None, "")) if isinstance(code, int) else (None, "")
    told = list(_complaints(answer.get("errors"), "", _DEEPEST))[:_TOLD]
    if told:
        message = f"{message} ({'; '.join(told)})"
    return response.error(message, hint=hint, kind=kind)


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _complaints(errors: object, path: str, depth: int) -> Iterator[str]:
    """Yield ``embeds.0.title: Must be …`` for each of the fields of an error's tree."""
    if not isinstance(errors, dict) or not depth:
        return
    for name, part in errors.items():
        if name == "_errors" and isinstance(part, list):
            yield from (f"{path or 'message'}: {each.get('message')}" for each in part if isinstance(each, dict))
        else:
            yield from _complaints(part, f"{path}.{name}" if path else str(name), depth - 1)


async def account(ctx: AuthContext) -> Account:
    """Ask which bot this is."""
    response = await ask(ctx.http, "users/@me")
    answer = response.json_object()
    if not isinstance(answer.get("username"), str):
        raise response.unexpected()
    return Account(label=f"{answer['username']} on Discord")
