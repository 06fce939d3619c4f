"""How Outlook is spoken to, through Microsoft Graph. Errors are ``{"error": {"code", "message", "innerError"}}``.

Source: learn.microsoft.com, the pages on sendMail, on errors of Graph and on throttling (429 and 503 with
Retry-After), and Exchange's response codes.
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
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://graph.microsoft.com/v1.0"
# Of accounts in every directory, and of personal ones.
AUTHORIZE_URL: Final = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize"
TOKEN_URL: Final = "https://login.microsoftonline.com/common/oauth2/v2.0/token"
DOCS_URL: Final = "https://learn.microsoft.com/en-us/graph/api/user-sendmail"

SEND_SCOPE: Final = "Mail.Send"
# The first gives a refresh token, the second says whose account it is.
SCOPES: Final = ("offline_access", "User.Read", SEND_SCOPE)
SEND_PATH: Final = "me/sendMail"
# Taken, and not yet delivered; the second is what its description says of actions without a result.
_TAKEN: Final = frozenset({202, 204})
_DENIED: Final = frozenset({"ErrorAccessDenied", "Authorization_RequestDenied", "accessDenied"})

ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "InvalidAuthenticationToken": (AuthError, "Connect Microsoft Outlook again or enter a new token."),
    "ErrorAccessDenied": (PermissionMissing, "Connect Microsoft Outlook again and allow it to send mail."),
    "Authorization_RequestDenied": (PermissionMissing, "Connect Microsoft Outlook again and allow what it asks for."),
    "accessDenied": (PermissionMissing, "Connect Microsoft Outlook again and allow it to send mail."),
    "ErrorSendAsDenied": (PermissionMissing, "The account may not send in that name."),
    "ErrorInvalidRecipients": (InputError, "Check the addresses."),
    "ErrorMissingRecipients": (InputError, "Give at least one address."),
    "ErrorRecipientNotFound": (InputError, "Check the addresses."),
    "ErrorMessageSizeExceeded": (InputError, "Exchange does not take a mail that long: shorten it."),
    "ErrorExceededMessageLimit": (RateLimited, "The account has sent as many mails as it may in a day."),
    "ErrorMessageSubmissionBlocked": (Permanent, "Microsoft has stopped the account from sending: ask its support."),
    "ErrorAccountSuspend": (Permanent, "Sign in to Outlook in a browser: the account has to be confirmed there."),
    "ErrorQuotaExceeded": (Permanent, "The mailbox is full: delete something in it, or keep no copy of what is sent."),
    "MailboxNotEnabledForRESTAPI": (NotFound, "The account has no mailbox in Microsoft's cloud."),
    "MailboxNotSupportedForRESTAPI": (NotFound, "The account has no mailbox in Microsoft's cloud."),
    "ErrorInvalidUser": (NotFound, "The account has no mailbox."),
    "ApplicationThrottled": (RateLimited, "The mailbox takes only so many requests at once."),
    "ErrorServerBusy": (Transient, "Exchange has too much to do."),
    "ErrorMailboxStoreUnavailable": (Transient, "The mailbox is away for a moment."),
    "ErrorMailboxMoveInProgress": (Transient, "The mailbox is being moved."),
    "ErrorTimeoutExpired": (Transient, "Exchange took too long."),
}


async def send(http: StepHttp, message: Mapping[str, Any], *, keep: bool) -> Response:
    """Send a message and return the answer, which has no body. Raises the error that Graph names."""
    response = checked(await http.post(SEND_PATH, json={"message": dict(message), "saveToSentItems": keep}))
    if response.status_code not in _TAKEN:
        raise response.unexpected()
    return response


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Graph's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    said = _error_of(response)
    code, text = str(said.get("code") or ""), said.get("message")
    message = f"Microsoft: {text}"[:500] if isinstance(text, str) and text else ""
    kind, hint = ERRORS.get(code, (None, ""))
    if response.status_code in (401, 429) or (response.status_code >= 500 and kind is not Permanent):
        return response.error(message)
    error = response.error(message, hint=hint, kind=kind)
    if isinstance(error, PermissionMissing) and code in _DENIED:
        error.scopes = (SEND_SCOPE,)
    return error


def _error_of(response: Response) -> Mapping[str, Any]:
    try:
        error = response.json_object().get("error")
    except IntegrationError:
        return {}
    return error if isinstance(error, dict) else {}


async def account(ctx: AuthContext) -> Account:
    """Ask whose account this is. A token that may only send is refused that, which proves it good as well."""
    try:
        response = checked(await ctx.http.get("me", params={"$select": "displayName,mail,userPrincipalName"}))
    except PermissionMissing:
        return Account(label="Microsoft Outlook, sending only", scopes=(SEND_SCOPE,))
    answer = response.json_object()
    names = [answer.get(name) for name in ("mail", "userPrincipalName", "displayName")]
    label = next((name for name in names if isinstance(name, str) and name), "")
    if not label:
        raise response.unexpected()
    return Account(label=label)
