"""How OpenAI is spoken to. Errors are ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, IntegrationError, Permanent, Transient
from integrations.sdk.client import Response, StepHttp
from integrations.words import gettext as _
from integrations.words import gettext_noop

BASE_URL: Final = "https://api.openai.com/v1"
DOCS_URL: Final = "https://platform.openai.com/docs/api-reference"
KEYS_URL: Final = "https://platform.openai.com/api-keys"

CHAT_PATH: Final = "chat/completions"
EMBEDDINGS_PATH: Final = "embeddings"
MODELS_PATH: Final = "models"

_BILLING: Final = gettext_noop(
    "Check the plan and the billing details of the OpenAI account; trying again does not help."
)
# By ``code`` or ``type``, before the status: these 429 stay until somebody pays.
_NOT_WORTH_A_RETRY: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


async def chat(http: StepHttp, payload: Mapping[str, Any]) -> Response:
    """Ask for a completion. A lost answer is asked for again: a completion changes nothing at the other side."""
    return checked(await http.post(CHAT_PATH, json=dict(payload), idempotent=True))


async def embed(http: StepHttp, payload: Mapping[str, Any]) -> Response:
    """Ask for the vectors of texts. A lost answer is asked for again, as a completion's is."""
    return checked(await http.post(EMBEDDINGS_PATH, json=dict(payload), idempotent=True))


async def list_models(http: StepHttp) -> Response:
    """List the models that the credential may use; the list has no pages."""
    return checked(await http.get(MODELS_PATH))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with OpenAI's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx. OpenAI asks for 409 to be tried again, as 408, 429 and 5xx."""
    error = response.said("error")
    text = error.get("message")
    message = f"OpenAI: {text}" if isinstance(text, str) and text else ""
    if {str(error.get("code")), str(error.get("type"))} & _NOT_WORTH_A_RETRY:
        return response.error(message, hint=_(_BILLING), kind=Permanent)
    return response.error(message, kind=Transient if response.status_code == 409 else None)


async def account(ctx: AuthContext) -> Account:
    """List the models: the cheapest call that needs a good key."""
    response = await list_models(ctx.http)
    models = response.json_object().get("data")
    if not isinstance(models, list):
        raise response.unexpected()
    organisation = response.headers.get("openai-organization")
    return Account(label=f"OpenAI {organisation or 'account'}, {len(models)} models")
