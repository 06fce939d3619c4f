"""How Gemini is spoken to. Errors are ``{"error": {"code", "message", "status", "details"}}``.

Source of the reasons and of the pause in the details: Google's page on errors of its APIs (google.rpc).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, AuthError, IntegrationError
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://generativelanguage.googleapis.com"
DOCS_URL: Final = "https://ai.google.dev/api/generate-content"
KEYS_URL: Final = "https://aistudio.google.com/apikey"

MODELS_PATH: Final = "v1beta/models"

# Google answers a wrong key with 400.
_WRONG_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED"})
_NEW_KEY: Final = "Enter the key again, or make a new one in Google AI Studio."


async def generate(http: StepHttp, model: str, payload: Mapping[str, Any]) -> Response:
    """Ask a model. A lost answer is asked for again: an answer changes nothing at the other side."""
    path = f"{MODELS_PATH}/{model.removeprefix('models/')}:generateContent"
    return checked(await http.post(path, json=dict(payload), idempotent=True))


async def list_models(http: StepHttp, params: Mapping[str, str]) -> Response:
    return checked(await http.get(MODELS_PATH, params=dict(params)))


def checked(response: Response) -> Response:
    """Return a successful answer, or raise the classified error with Google's own message."""
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error of an answer outside 2xx. A limit says in its details how long to wait."""
    error = response.said("error")
    text = error.get("message")
    message = f"Gemini: {text}" if isinstance(text, str) and text else ""
    details = list(_details(error))
    if response.status_code == 400 and {str(each.get("reason")) for each in details} & _WRONG_KEY:
        return response.error(message, kind=AuthError, hint=_NEW_KEY)
    pauses = [seconds for each in details if (seconds := _seconds(each.get("retryDelay"))) is not None]
    return response.error(message, pause=pauses[0] if pauses else None)


def _details(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = error.get("details")
    yield from (each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict))


def _seconds(text: object) -> float | None:
    """Return the seconds of a duration as Google writes it, ``37.5s``."""
    if not isinstance(text, str) or not text.endswith("s") or not text[:-1].replace(".", "", 1).isdecimal():
        return None
    return float(text[:-1])


async def account(ctx: AuthContext) -> Account:
    """List a model: the cheapest call that needs a good key. Google tells nobody whose key it is."""
    response = await list_models(ctx.http, {"pageSize": "1"})
    if not isinstance(response.json_object().get("models"), list):
        raise response.unexpected()
    return Account(label="Gemini account")
