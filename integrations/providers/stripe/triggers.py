"""What happens at Stripe and starts workflows: an endpoint of the account, made and taken away as its workflow is.

Source: docs.stripe.com, the pages on webhook endpoints and on verifying signatures. The secret is Stripe's own and is
told once, in the answer that makes the endpoint. What is not taken is sent again for three days.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.providers.stripe import stripe
from integrations.providers.stripe.client import PER_PAGE, call
from integrations.sdk import InputError, Item, RunContext, Subscription, WebhookContext, WebhookRequest, webhook
from integrations.words import gettext as _

PAID: Final = "payment_intent.succeeded"
ENDPOINTS: Final = "webhook_endpoints"
# With it a browser may go on with the payment: no run needs that.
_LEFT_OUT: Final = frozenset({"client_secret"})
# Stripe takes sixteen endpoints of an account.
_PAGES: Final = 3


class NewPaymentInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    currency: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z]{3}$",
        title="Currency",
        description="Only payments in it; all where it is left empty.",
        examples=["eur"],
    )


class NewPaymentOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Id of the payment")
    amount: int = Field(title="Amount", description="In the currency's smallest unit, such as cents.")
    amount_received: int = Field(title="Amount received", description="In the currency's smallest unit.")
    currency: str = Field(title="Currency", description="Three letters, in lower case.")
    customer: str | None = Field(default=None, title="Customer", description="Stripe's id of who paid, if known.")
    description: str | None = Field(default=None, title="Description")
    metadata: dict[str, str] = Field(default={}, title="Metadata", description="What your own system put there.")
    livemode: bool = Field(title="Live", description="Whether it is real money.")


async def subscribe(ctx: RunContext[NewPaymentInputs], address: str, secret: str) -> Subscription:
    """Make an endpoint that calls the address, and take away older ones that do: their secret is not known any more."""
    form = {"url": address, "enabled_events[]": [PAID], "description": "Orchestrator"}
    response = await call(ctx.http, "POST", ENDPOINTS, data=form)
    made = response.json_object()
    number, theirs = made.get("id"), made.get("secret")
    if not isinstance(number, str) or not isinstance(theirs, str):
        raise response.unexpected()
    for other in await _calling(ctx, address):
        if other != number:
            await call(ctx.http, "DELETE", f"{ENDPOINTS}/{other}")
    return Subscription(id=number, secret=theirs)


async def renew(ctx: RunContext[NewPaymentInputs], subscription: Subscription) -> Subscription:
    """Look whether the endpoint is there, and switch it on where Stripe or somebody switched it off."""
    path = f"{ENDPOINTS}/{subscription.id}"
    if (await call(ctx.http, "GET", path)).json_object().get("status") == "disabled":
        await call(ctx.http, "POST", path, data={"disabled": "false"})
    return subscription


async def unsubscribe(ctx: RunContext[NewPaymentInputs], subscription: Subscription) -> None:
    """Take the endpoint away; where its id is not known, those that call the address."""
    known = [subscription.id] if subscription.id else await _calling(ctx, subscription.address)
    for number in known:
        await call(ctx.http, "DELETE", f"{ENDPOINTS}/{number}")


async def _calling(ctx: RunContext[NewPaymentInputs], address: str) -> list[str]:
    """Return the ids of the endpoints that call an address."""
    found: list[str] = []
    params = {"limit": str(PER_PAGE)}
    for _page in range(_PAGES):
        response = await call(ctx.http, "GET", ENDPOINTS, params=params)
        answer = response.json_object()
        rows = answer.get("data")
        if not isinstance(rows, list) or any(not isinstance(row, dict) or "id" not in row for row in rows):
            raise response.unexpected()
        found += [str(row["id"]) for row in rows if row.get("url") == address]
        if not rows or answer.get("has_more") is not True:
            break
        params["starting_after"] = str(rows[-1]["id"])
    return found


@webhook(
    provider=stripe,
    key="stripe.newPayment",
    name="New payment",
    auth_type="api_key",
    input_schema=NewPaymentInputs,
    output_schema=NewPaymentOutput,
    sample={
        "id": "pi_1PgafyB7WZ01zgkWSjxsAJo3",
        "object": "payment_intent",
        "amount": 1099,
        "amount_received": 1099,
        "currency": "eur",
        "customer": None,
        "description": "Order 77",
        "metadata": {"order": "77"},
        "livemode": False,
        "status": "succeeded",
    },
    verify="stripe",
    subscribe=subscribe,
    renew=renew,
    unsubscribe=unsubscribe,
    synonyms=("paid", "sale", "charge", "checkout", "money", "webhook"),
)
def new_payment(ctx: WebhookContext[NewPaymentInputs], request: WebhookRequest) -> list[Item]:
    """Starts when a payment succeeds."""
    event: Any = request.json()
    if not isinstance(event, dict) or not isinstance(event.get("id"), str):
        raise InputError(_("This is no event of Stripe's: it has no id."))
    data = event.get("data")
    payment = data.get("object") if isinstance(data, dict) else None
    if event.get("type") != PAID:
        return []
    if not isinstance(payment, dict):
        raise InputError(_("This event of Stripe's holds no payment."))
    wanted = ctx.inputs.currency
    if wanted and str(payment.get("currency")).lower() != wanted.lower():
        return []
    return [Item(event["id"], {name: value for name, value in payment.items() if name not in _LEFT_OUT})]
