"""How Anthropic is spoken to. Errors are ``{"type": "error", "error": {"type", "message"}, "request_id"}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, IntegrationError, Permanent, Transient
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.anthropic.com"
DOCS_URL: Final = "https://platform.claude.com/docs/en/api/messages"
KEYS_URL: Final = "https://platform.claude.com/settings/keys"

MESSAGES_PATH: Final = "v1/messages"
MODELS_PATH: Final = "v1/models"
# Every call names the version of the API that it was written for.
HEADERS: Final[Mapping[str, str]] = {"anthropic-version": "2023-06-01"}

_BILLING: Final = "Check the plan and the credits of the Anthropic account; trying again does not help."
_HINTS: Final[Mapping[str, str]] = {
    "overloaded_error": "Anthropic has too much to do just now; nothing in the step need be changed.",
    "request_too_large": "Send less text, or smaller pictures: a request may have 32 MB.",
    "not_found_error": "Check the model's name: choose one that the account may use.",
}


async def create(http: StepHttp, payload: Mapping[str, Any]) -> Response:
    """Ask for a message. A lost answer is asked for again: an answer changes nothing at the other side."""
    return checked(await http.post(MESSAGES_PATH, json=dict(payload), headers=HEADERS, idempotent=True))


async def list_models(http: StepHttp, params: Mapping[str, str]) -> Response:
    """List the models that the credential may use, the newest first; ``after_id`` asks for the next page."""
    return checked(await http.get(MODELS_PATH, params=dict(params), headers=HEADERS))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Anthropic's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx. 409 is worth another try, as 408, 429, 529 and 5xx are."""
    error = response.said("error")
    text, code = error.get("message"), str(error.get("type"))
    message = f"Anthropic: {text}" if isinstance(text, str) and text else ""
    if code == "billing_error" or response.status_code == 402:
        return response.error(message, hint=_BILLING, kind=Permanent)
    kind = Transient if response.status_code == 409 or code == "overloaded_error" else None
    return response.error(message, hint=_HINTS.get(code, ""), kind=kind)


async def account(ctx: AuthContext) -> Account:
    """List a model: the cheapest call that needs a good key."""
    response = await list_models(ctx.http, {"limit": "1"})
    if not isinstance(response.json_object().get("data"), list):
        raise response.unexpected()
    organisation = response.headers.get("anthropic-organization-id")
    return Account(label=f"Anthropic organisation {organisation}" if organisation else "Anthropic account")
