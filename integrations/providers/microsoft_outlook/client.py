"""How Outlook is spoken to; what all of Microsoft Graph's services share is in ``integrations.microsoft``.

Source: learn.microsoft.com, the page on sendMail, and Exchange's response codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.microsoft import WHO, Errors, checked, name_in
from integrations.sdk import (
    Account,
    AuthContext,
    InputError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

DOCS_URL: Final = "https://learn.microsoft.com/en-us/graph/api/user-sendmail"

SEND_SCOPE: Final = "Mail.Send"
# The first gives a refresh token, the second says whose account it is.
SCOPES: Final = ("offline_access", "User.Read", SEND_SCOPE)
SEND_PATH: Final = "me/sendMail"
# Taken, and not yet delivered; the second is what its description says of actions without a result.
_TAKEN: Final = frozenset({202, 204})

ERRORS: Final[Errors] = {
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
    "ErrorServerBusy": (Transient, "Exchange has too much to do."),
    "ErrorMailboxStoreUnavailable": (Transient, "The mailbox is away for a moment."),
    "ErrorMailboxMoveInProgress": (Transient, "The mailbox is being moved."),
    "ErrorTimeoutExpired": (Transient, "Exchange took too long."),
}


async def send(http: StepHttp, message: Mapping[str, Any], *, keep: bool) -> Response:
    """Send a message and return the answer, which has no body. Raises the error that Graph names."""
    body = {"message": dict(message), "saveToSentItems": keep}
    response = checked(await http.post(SEND_PATH, json=body), ERRORS, SEND_SCOPE)
    if response.status_code not in _TAKEN:
        raise response.unexpected()
    return response


async def account(ctx: AuthContext) -> Account:
    """Ask whose account this is. A token that may only send is refused that, which proves it good as well."""
    try:
        response = checked(await ctx.http.get("me", params=WHO), ERRORS)
    except PermissionMissing:
        return Account(label="Microsoft Outlook, sending only", scopes=(SEND_SCOPE,))
    return Account(label=name_in(response))
