"""How Stripe is spoken to: bodies are forms with brackets, errors ``{"error": {"message", "type", "code"}}``.

Source: docs.stripe.com, the pages on errors, idempotent requests and low-level error handling. Whether a request is
worth another try is said by Stripe-Should-Retry; the same Idempotency-Key gives the first answer again for a day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    RunContext,
    Transient,
)
from integrations.sdk.client import Response, StepHttp

BASE_URL: Final = "https://api.stripe.com"
DOCS_URL: Final = "https://docs.stripe.com/api"
KEYS_URL: Final = "https://dashboard.stripe.com/apikeys"
PER_PAGE: Final = 100

_CONFLICT: Final = 409
_RATE_LIMITED: Final = 429
_REPLAYED: Final = "idempotent-replayed"

# By the code of an error, else by its type; what is in neither is told by its status.
ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "resource_missing": (NotFound, "Check the id; test and live mode know different ones."),
    "amount_too_small": (InputError, "Stripe takes no amount below about half a US dollar."),
    "amount_too_large": (InputError, "Give the amount in the currency's smallest unit."),
    "parameter_missing": (InputError, "Fill in what is named."),
    "parameter_unknown": (InputError, "Leave out what is named: the account's version of the API does not know it."),
    "payment_intent_authentication_failure": (Permanent, "The customer has to confirm the payment on a page of yours."),
    "authentication_required": (Permanent, "The customer has to confirm the payment on a page of yours."),
    "card_declined": (Permanent, "Ask the customer for another payment method; the same is declined again."),
    "expired_card": (Permanent, "Ask the customer for another payment method."),
    "idempotency_key_in_use": (Transient, "The attempt before is still being worked on."),
    "lock_timeout": (Transient, "Something else changed it at the same moment."),
    "rate_limit": (RateLimited, "Stripe takes only so many requests a second."),
    "secret_key_required": (PermissionMissing, "Enter the secret key (sk_… or rk_…), not the publishable one."),
    "idempotency_error": (
        Permanent,
        "An earlier attempt of this step sent other values: look at Stripe what it did, then run the workflow anew.",
    ),
    "card_error": (Permanent, "Ask the customer for another payment method."),
}


async def create(ctx: RunContext[Any], path: str, form: Mapping[str, str], has: Sequence[str] = ()) -> dict[str, Any]:
    """Make something and return it: the client sends the step's key along, the same one with every attempt.

    ``has`` are what it must have beside its id. Raises the error that an answer stands for.
    """
    response = await call(ctx.http, "POST", path, data=dict(form), idempotent=True)
    made = response.json_object()
    if not isinstance(made.get("id"), str) or any(made.get(name) is None for name in has):
        raise response.unexpected()
    replayed = response.headers.get(_REPLAYED) == "true"
    ctx.log(f"{made['id']} was made by an earlier attempt" if replayed else f"Made {made['id']}")
    return made


async def call(http: StepHttp, method: str, path: str, **options: Any) -> Response:
    """Call Stripe and return its answer of success. Raises the error that an answer stands for."""
    response = await http.request(method, f"v1/{path}", **options)
    if response.is_success:
        return response
    raise refusal(response)


def refusal(response: Response) -> IntegrationError:
    """Return the error for an answer outside 2xx, with Stripe's own words. Stripe-Should-Retry has the last one."""
    said = response.said("error")
    text, param = said.get("message"), said.get("param")
    message = f"Stripe: {text}" if isinstance(text, str) and text else ""
    if response.status_code == _RATE_LIMITED and said.get("code") != "lock_timeout":
        return response.error(message, kind=RateLimited)
    kind, hint = _kind_of(response, said)
    match response.headers.get("stripe-should-retry"):
        case "true" if kind is None or not issubclass(kind, Transient):
            return response.error(message, kind=Transient)
        case "false" if response.error(kind=kind).retryable:
            return response.error(message, kind=Permanent)
    error = response.error(message, hint=hint, kind=kind)
    if isinstance(error, InputError) and isinstance(param, str):
        error.field = param.partition("[")[0]
    return error


def _kind_of(response: Response, said: Mapping[str, Any]) -> tuple[type[IntegrationError] | None, str]:
    if response.status_code >= 500 or response.status_code == 401:
        return None, ""
    for name in ("code", "type"):
        if isinstance(known := said.get(name), str) and known in ERRORS:
            return ERRORS[known]
    if response.status_code == _CONFLICT:
        return Transient, "Something else changed it at the same moment."
    is_about_an_input = response.status_code == 400 and isinstance(said.get("param"), str)
    return (InputError, "Correct the input that is named.") if is_about_an_input else (None, "")


async def account(ctx: AuthContext) -> Account:
    """Ask whose key this is."""
    answer = (await call(ctx.http, "GET", "account")).json_object()
    shown = answer.get("settings")
    dashboard = shown.get("dashboard") if isinstance(shown, dict) else None
    name = dashboard.get("display_name") if isinstance(dashboard, dict) else None
    return Account(label=str(name or answer.get("id") or "?"))
