"""How Slack is spoken to. It answers failures with HTTP 200, ``ok: false`` and an error code.

Source of the codes: Slack's pages on chat.postMessage and on rate limits.
"""

from __future__ import annotations

import re
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
from integrations.words import gettext as _
from integrations.words import gettext_noop as noop

BASE_URL: Final = "https://slack.com/api"
AUTHORIZE_URL: Final = "https://slack.com/oauth/v2/authorize"
TOKEN_URL: Final = "https://slack.com/api/oauth.v2.access"
REVOKE_URL: Final = "https://slack.com/api/auth.revoke"
DOCS_URL: Final = "https://api.slack.com/methods"
APPS_URL: Final = "https://api.slack.com/apps"
TOKENS_URL: Final = "https://api.slack.com/authentication/token-types#bot"

# Without the charset Slack warns in every answer.
JSON_TYPE: Final = "application/json; charset=utf-8"
# As many as Slack recommends.
CHANNELS_A_PAGE: Final = 200

_SIGNING_SECRET: Final = re.compile(r"[0-9a-z]{32}")
_CONNECT_AGAIN: Final = noop("Connect Slack again or enter a new token.")
ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "account_inactive": (
        AuthError,
        noop("The token's user or workspace was deactivated. Connect Slack again or enter a new token."),
    ),
    "invalid_auth": (AuthError, _CONNECT_AGAIN),
    "not_authed": (AuthError, _CONNECT_AGAIN),
    "token_expired": (AuthError, _CONNECT_AGAIN),
    "token_revoked": (AuthError, _CONNECT_AGAIN),
    "missing_scope": (PermissionMissing, noop("Add the scope to the Slack app and install it again.")),
    "not_allowed_token_type": (PermissionMissing, noop("Use a bot or user token of the Slack app.")),
    "no_permission": (PermissionMissing, noop("The app may not do this in that workspace.")),
    "restricted_action": (PermissionMissing, noop("A setting of the workspace forbids this.")),
    "channel_not_found": (
        NotFound,
        noop("Check the channel's name or id; a private channel must have the app as a member."),
    ),
    "thread_not_found": (NotFound, noop("Check the time stamp of the message to reply to.")),
    "not_in_channel": (Permanent, noop("Invite the app to the channel: /invite @your-app.")),
    "is_archived": (Permanent, noop("The channel is archived: choose another or unarchive it.")),
    "no_text": (InputError, noop("Give the message a text.")),
    "invalid_cursor": (InputError, noop("Begin the list again: Slack no longer knows its next page.")),
    "msg_too_long": (InputError, noop("Slack takes at most 40,000 characters: shorten the text or split it.")),
    "msg_blocks_too_long": (InputError, noop("Shorten the blocks.")),
    "invalid_blocks": (InputError, noop("Check the blocks in Slack's Block Kit Builder.")),
    "invalid_blocks_format": (InputError, noop("Blocks are a list of objects.")),
    "too_many_attachments": (InputError, noop("Slack takes at most 100 attachments.")),
    "ratelimited": (RateLimited, noop("Slack takes about one message a second for each channel.")),
    "rate_limited": (RateLimited, noop("Slack takes about one message a second for each channel.")),
    "message_limit_exceeded": (Permanent, noop("The workspace's limit of messages is reached.")),
    "service_unavailable": (Transient, noop("Slack is out of order: see status.slack.com.")),
    "request_timeout": (Transient, noop("Slack did not receive the whole request.")),
    # Slack says of both that part of the operation may have succeeded.
    "fatal_error": (
        OutcomeUnknown,
        noop("Look into the channel whether the message is there before you run it again."),
    ),
    "internal_error": (
        OutcomeUnknown,
        noop("Look into the channel whether the message is there before you run it again."),
    ),
}


async def call(http: StepHttp, method: str, payload: Mapping[str, Any]) -> Response:
    """Call a method of Slack's API and return its answer, which says ``ok``. Raises the error that Slack names."""
    return _said(await http.post(method, json=dict(payload), headers={"Content-Type": JSON_TYPE}))


async def ask(http: StepHttp, method: str, params: Mapping[str, Any]) -> Response:
    """Call a method that only reads, which takes no JSON, and return its answer as ``call`` does."""
    return _said(await http.get(method, params=dict(params)))


def channels_of(response: Response) -> tuple[list[dict[str, Any]], str | None]:
    """Return the channels of an answer, each with id and name, and the cursor of the next page, None after the last."""
    answer = response.json_object()
    rows, metadata = answer.get("channels"), answer.get("response_metadata") or {}
    if not isinstance(rows, list) or not isinstance(metadata, dict) or not all(map(_is_channel, rows)):
        raise response.unexpected()
    following = metadata.get("next_cursor") or None
    return rows, str(following) if following else None


def _is_channel(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("name"), str)


def _said(response: Response) -> Response:
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
    kind, hint = ERRORS.get(code, (Permanent, noop("Slack's page on the method explains the code.")))
    needed = tuple(part.strip() for part in str(answer.get("needed") or "").split(",") if part.strip())
    said = _("Slack refused the call: %(code)s (needs %(scopes)s)") if needed else _("Slack refused the call: %(code)s")
    error = response.error(said % {"code": code, "scopes": ", ".join(needed)}, hint=_(hint), kind=kind)
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


async def signing_secret(ctx: AuthContext) -> Account:
    """Look whether this can be a signing secret. Nobody can be asked: it is on no request, but on Slack's own."""
    if not _SIGNING_SECRET.fullmatch(str(ctx.auth.get("api_key") or "")):
        raise AuthError(
            _("This is no signing secret of Slack's, which has 32 digits and small letters."),
            hint=_("Copy it from your Slack app's settings, under Basic Information, App Credentials."),
        )
    return Account(label=_("Signing secret of a Slack app"))
