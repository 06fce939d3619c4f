"""How Stripe is spoken to: bodies are forms with brackets, errors ``{"error": {"message", "type", "code"}}``.

Source: docs.stripe.com, the pages on errors, idempotent requests and low-level error handling. Whether a request is
worth another try is said by Stripe-Should-Retry; the same Idempotency-Key gives the first answer again for a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk import Account, AuthContext, IntegrationError, Permanent, RateLimited, Transient
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.stripe.com"
DOCS_URL: Final = "https://docs.stripe.com/api"
KEYS_URL: Final = "https://dashboard.stripe.com/apikeys"
PER_PAGE: Final = 100

_RATE_LIMITED: Final = 429


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call Stripe and return its answer of success. Raises the error that an answer stands for."""
    response = await http.request(method, f"v1/{path}", **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error for an answer outside 2xx, with Stripe's own words."""
    text = _error_of(response).get("message")
    message = f"Stripe: {text}" if isinstance(text, str) and text else ""
    if response.status_code == _RATE_LIMITED:
        return response.error(message, kind=RateLimited)
    worth = response.headers.get("stripe-should-retry")
    if worth == "true":
        return response.error(message, kind=Transient)
    error = response.error(message)
    return response.error(message, kind=Permanent) if worth == "false" and error.retryable else error


def _error_of(response: Response) -> Mapping[str, Any]:
    try:
        error = response.json_object().get("error")
    except IntegrationError:
        return {}
    return error if isinstance(error, dict) else {}


async def account(ctx: AuthContext) -> Account:
    """Ask whose key this is."""
    answer = (await call(ctx.http, "GET", "account")).json_object()
    shown = answer.get("settings")
    dashboard = shown.get("dashboard") if isinstance(shown, dict) else None
    name = dashboard.get("display_name") if isinstance(dashboard, dict) else None
    return Account(label=str(name or answer.get("id") or "?"))
