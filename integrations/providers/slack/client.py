"""How Slack is spoken to. It answers failures with HTTP 200, ``ok: false`` and an error code.

Source of the codes: Slack's pages on chat.postMessage and on rate limits.
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
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://slack.com/api"
AUTHORIZE_URL: Final = "https://slack.com/oauth/v2/authorize"
TOKEN_URL: Final = "https://slack.com/api/oauth.v2.access"
REVOKE_URL: Final = "https://slack.com/api/auth.revoke"
DOCS_URL: Final = "https://api.slack.com/methods"
TOKENS_URL: Final = "https://api.slack.com/authentication/token-types#bot"

# Without the charset Slack warns in every answer.
JSON_TYPE: Final = "application/json; charset=utf-8"

_CONNECT_AGAIN: Final = "Connect Slack again or enter a new token."
ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "account_inactive": (AuthError, "The token's user or workspace was deactivated. " + _CONNECT_AGAIN),
    "invalid_auth": (AuthError, _CONNECT_AGAIN),
    "not_authed": (AuthError, _CONNECT_AGAIN),
    "token_expired": (AuthError, _CONNECT_AGAIN),
    "token_revoked": (AuthError, _CONNECT_AGAIN),
    "missing_scope": (PermissionMissing, "Add the scope to the Slack app and install it again."),
    "not_allowed_token_type": (PermissionMissing, "Use a bot or user token of the Slack app."),
    "no_permission": (PermissionMissing, "The app may not do this in that workspace."),
    "restricted_action": (PermissionMissing, "A setting of the workspace forbids this."),
    "channel_not_found": (NotFound, "Check the channel's name or id; a private channel must have the app as a member."),
    "thread_not_found": (NotFound, "Check the time stamp of the message to reply to."),
    "not_in_channel": (Permanent, "Invite the app to the channel: /invite @your-app."),
    "is_archived": (Permanent, "The channel is archived: choose another or unarchive it."),
    "no_text": (InputError, "Give the message a text."),
    "msg_too_long": (InputError, "Slack takes at most 40,000 characters: shorten the text or split it."),
    "msg_blocks_too_long": (InputError, "Shorten the blocks."),
    "invalid_blocks": (InputError, "Check the blocks in Slack's Block Kit Builder."),
    "invalid_blocks_format": (InputError, "Blocks are a list of objects."),
    "too_many_attachments": (InputError, "Slack takes at most 100 attachments."),
    "ratelimited": (RateLimited, "Slack takes about one message a second for each channel."),
    "rate_limited": (RateLimited, "Slack takes about one message a second for each channel."),
    "message_limit_exceeded": (Permanent, "The workspace's limit of messages is reached."),
    "service_unavailable": (Transient, "Slack is out of order: see status.slack.com."),
    "request_timeout": (Transient, "Slack did not receive the whole request."),
    # Slack says of both that part of the operation may have succeeded.
    "fatal_error": (OutcomeUnknown, "Look into the channel whether the message is there before you run it again."),
    "internal_error": (OutcomeUnknown, "Look into the channel whether the message is there before you run it again."),
}


async def call(http: StepHttp, method: str, payload: Mapping[str, Any]) -> Response:
    """Call a method of Slack's API and return its answer, which says ``ok``. Raises the error that Slack names."""
    response = await http.post(method, json=dict(payload), headers={"Content-Type": JSON_TYPE})
    response.raise_for_status()
    answer = response.json_object()
    if answer.get("ok") is True:
        return response
    if answer.get("ok") is not False:
        raise response.unexpected()
    raise refusal(response, answer)


def refusal(response: Response, answer: Mapping[str, Any]) -> IntegrationError:
    """Return the error for an answer with ``ok: false``."""
    code = str(answer.get("error") or "unknown_error")
    kind, hint = ERRORS.get(code, (Permanent, "Slack's page on the method explains the code."))
    needed = tuple(part.strip() for part in str(answer.get("needed") or "").split(",") if part.strip())
    message = f"Slack refused the call: {code}" + (f" (needs {', '.join(needed)})" if needed else "")
    error = response.error(message, hint=hint, kind=kind)
    if isinstance(error, PermissionMissing):
        error.scopes = needed
    return error


async def account(ctx: AuthContext) -> Account:
    """Ask whose token this is (auth.test needs no scope)."""
    response = await call(ctx.http, "auth.test", {})
    answer = response.json_object()
    scopes = response.headers.get("x-oauth-scopes", "")
    return Account(
        label=f"{answer.get('user', '?')} in {answer.get('team', '?')}",
        scopes=tuple(scope.strip() for scope in scopes.split(",") if scope.strip()),
    )
