"""How WhatsApp's Cloud API is spoken to. Errors are ``{"error": {"code", "message", "error_data": {"details"}}}``.

Source: developers.facebook.com, the pages on messages and on error codes of the Cloud API: what to do is said by the
code, and not by the status.
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

BASE_URL: Final = "https://graph.facebook.com/v24.0"
DOCS_URL: Final = "https://developers.facebook.com/docs/whatsapp/cloud-api"
TOKENS_URL: Final = "https://developers.facebook.com/docs/whatsapp/business-management-api/get-started"

# To one recipient goes a message every six seconds.
PAIR_LIMIT: Final = 131056
PAIR_SECONDS: Final = 6.0
_PERMISSIONS: Final = range(200, 300)
_NO_TOKEN: Final = "Enter a new access token."
_NO_PERMISSION: Final = "Give the token's system user the WhatsApp account, and whatsapp_business_messaging."
_TOO_MANY: Final = "The number's or the account's limit is reached: send fewer messages, or later."

ERRORS: Final[Mapping[int, tuple[type[IntegrationError], str]]] = {
    0: (AuthError, _NO_TOKEN),
    190: (AuthError, _NO_TOKEN),
    3: (PermissionMissing, _NO_PERMISSION),
    10: (PermissionMissing, _NO_PERMISSION),
    131005: (PermissionMissing, _NO_PERMISSION),
    4: (RateLimited, _TOO_MANY),
    80007: (RateLimited, _TOO_MANY),
    130429: (RateLimited, _TOO_MANY),
    PAIR_LIMIT: (RateLimited, "Too many messages went to this recipient in a short while."),
    2: (Transient, "WhatsApp is away for a moment."),
    131000: (Transient, "WhatsApp does not say why; mostly the next try works."),
    131016: (Transient, "WhatsApp is away for a moment."),
    131057: (Transient, "The number is being moved or maintained."),
    33: (NotFound, "Check the id of the phone number: it is not the number itself."),
    100: (InputError, "Check the step's inputs, and that the token may use the phone number."),
    131008: (InputError, "Fill in what is named."),
    131009: (InputError, "Correct what is named."),
    131021: (InputError, "The recipient is the sender: give another number."),
    131051: (InputError, "WhatsApp takes no message of this kind."),
    132000: (InputError, "Give as many values as the template has places."),
    132001: (InputError, "Check the template's name and language: there must be an approved one of both."),
    132005: (InputError, "With these values the template's text is too long."),
    132012: (InputError, "Give the values in the form that the template wants."),
    368: (Permanent, "The account is blocked for breaking a rule: look into WhatsApp Manager."),
    130472: (Permanent, "The recipient takes part in an experiment of Meta's and gets no such message."),
    130497: (Permanent, "The account may not write to people in that country."),
    131026: (Permanent, "The recipient has no WhatsApp, an old one, or has not agreed to its terms."),
    131030: (Permanent, "A test number writes to listed numbers alone: add the recipient on the app's first page."),
    131031: (Permanent, "The account is locked: look into WhatsApp Manager."),
    131042: (Permanent, "There is a problem with the account's way to pay: look into WhatsApp Manager."),
    131045: (Permanent, "The phone number is not registered: register it in WhatsApp Manager."),
    131047: (Permanent, "The recipient has not written for more than 24 hours: send a template in place of a text."),
    131048: (Permanent, "Too many people blocked or reported the number: look at its quality in WhatsApp Manager."),
    131049: (Permanent, "Meta holds it back, as the recipient got much of the kind: wait a day at least."),
    131050: (Permanent, "The recipient takes no marketing of this account any more."),
    132007: (Permanent, "The template breaks a rule: look into WhatsApp Manager."),
    132015: (Permanent, "The template is paused for its low quality: look into WhatsApp Manager."),
    132016: (Permanent, "The template was switched off for its low quality: make another one."),
    133010: (Permanent, "The phone number is not registered: register it in WhatsApp Manager."),
}
# The inputs that these codes are about.
_FIELDS: Final[Mapping[int, str]] = {
    131021: "to", 131051: "components", 132000: "parameters", 132001: "template", 132005: "parameters",
    132012: "parameters",
}  # fmt: skip


async def send(http: StepHttp, phone_number_id: str, message: Mapping[str, Any]) -> Response:
    """Send a message and return the answer. Raises the error that WhatsApp names."""
    return checked(await http.post(f"{phone_number_id}/messages", json=dict(message)))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with WhatsApp's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx."""
    said = response.said("error")
    code, data = said.get("code"), said.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    text = next((each for each in (details, said.get("message")) if isinstance(each, str) and each), "")
    if not isinstance(code, int) or isinstance(code, bool):
        return response.error(f"WhatsApp: {text}"[:500] if text else "")
    kind, hint = ERRORS.get(code, (None, ""))
    if code in _PERMISSIONS:
        kind, hint = PermissionMissing, _NO_PERMISSION
    error = response.error(f"WhatsApp: {text[:450]} (code {code})", kind=kind, hint=hint)
    if isinstance(error, RateLimited) and code == PAIR_LIMIT and error.retry_after is None:
        error.retry_after = PAIR_SECONDS
    if isinstance(error, InputError):
        error.field = _FIELDS.get(code)
    return error


async def account(ctx: AuthContext) -> Account:
    """Ask whose token this is: a system user's name, mostly."""
    response = checked(await ctx.http.get("me", params={"fields": "id,name"}))
    answer = response.json_object()
    if not isinstance(answer.get("id"), str):
        raise response.unexpected()
    return Account(label=f"{answer.get('name') or answer['id']} at Meta")
