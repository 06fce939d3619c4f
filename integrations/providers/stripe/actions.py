"""What can be done at Stripe.

A request that is sent again has the same Idempotency-Key, for which Stripe gives the first answer again: a customer
and a payment are made once, whatever was lost.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.stripe import stripe
from integrations.providers.stripe.client import create
from integrations.providers.stripe.forms import Metadata, bracketed
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

# Of Indonesian rupiah, twelve digits; of most others, eight.
MAX_AMOUNT: Final = 999_999_999_999
_CUSTOMER: Final = r"^cus_[A-Za-z0-9]{1,250}$"
# With it whoever holds it may go on with the payment.
_CLIENT_SECRET: Final = "client_secret"


class Address(BaseModel):
    model_config = ConfigDict(extra="forbid")

    line1: str | None = Field(default=None, title="Street and number")
    line2: str | None = Field(default=None, title="Second line")
    postal_code: str | None = Field(default=None, title="Postal code")
    city: str | None = Field(default=None, title="City")
    state: str | None = Field(default=None, title="State")
    country: str | None = Field(default=None, pattern=r"^[A-Za-z]{2}$", title="Country", description="Two letters.")


class CreateCustomerInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: str | None = Field(
        default=None, min_length=3, max_length=512, title="Mail address", examples=["ada@example.com"]
    )
    name: str | None = Field(default=None, min_length=1, max_length=256, title="Name", examples=["Ada Lovelace"])
    phone: str | None = Field(default=None, min_length=1, max_length=20, title="Phone", examples=["+4915112345678"])
    description: str | None = Field(
        default=None,
        max_length=5000,
        title="Description",
        description="Your own note; the customer does not see it.",
        examples=["Came by the fair in May"],
    )
    address: Address | None = Field(
        default=None,
        title="Address",
        examples=[{"line1": "12 Rue de la Paix", "postal_code": "75002", "city": "Paris", "country": "FR"}],
        json_schema_extra=ui(format="json", advanced=True),
    )
    preferred_locales: list[str] | None = Field(
        default=None,
        title="Languages",
        description="The first is the customer's favourite.",
        examples=[["fr", "en"]],
        json_schema_extra=ui(advanced=True),
    )
    metadata: Metadata | None = Field(default=None, examples=[{"crm": "4711"}])

    @model_validator(mode="after")
    def somebody(self) -> Self:
        if not (self.email or self.name or self.phone or self.description or self.metadata):
            raise ValueError(_("give at least a mail address, a name or a phone number"))
        return self


class CreateCustomerOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Customer id")
    email: str | None = Field(default=None, title="Mail address")
    name: str | None = Field(default=None, title="Name")
    created: int = Field(title="Made at", description="Seconds since 1970.")
    livemode: bool = Field(title="Live", description="Whether it is real money.")
    metadata: dict[str, str] = Field(default_factory=dict, title="Metadata")


@action(
    provider=stripe,
    key="stripe.createCustomer",
    name="Create customer",
    auth_type="api_key",
    input_schema=CreateCustomerInputs,
    output_schema=CreateCustomerOutput,
    sample={
        "id": "cus_QXg1o8vcGmoR32",
        "object": "customer",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "created": 1772443800,
        "livemode": False,
        "metadata": {"crm": "4711"},
    },
    idempotent=True,
    effect="create",
    synonyms=("client", "buyer", "account", "payer", "new"),
    summary=lambda output: f"{output.get('email') or output.get('name') or 'customer'} ({output['id']})",
)
async def create_customer(ctx: RunContext[CreateCustomerInputs]) -> dict[str, Any]:
    """Make a customer, to whom payments and invoices belong."""
    made = await create(ctx, "customers", bracketed(ctx.inputs.model_dump(exclude_none=True)))
    return {"email": None, "name": None, "metadata": {}, **made}


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _whole_units(value: object) -> object:
    """A boolean is no amount, and a fraction of a cent none either: 10.99 is meant as 1099."""
    if isinstance(value, bool):
        raise ValueError(_("give the amount as a number"))
    if (isinstance(value, float) and not value.is_integer()) or (
        isinstance(value, str) and re.fullmatch(r"\s*[0-9]+[.,][0-9]+\s*", value)
    ):
        raise ValueError(_("give the amount in the currency's smallest unit, as a whole number: 10.99 euros are 1099"))
    return value


class CreatePaymentIntentInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, BeforeValidator(_whole_units)] = Field(
        ge=1,
        le=MAX_AMOUNT,
        title="Amount",
        description="In the currency's smallest unit: 1099 is 10.99 euros, but 1099 yen.",
        examples=[1099],
    )
    currency: Annotated[str, BeforeValidator(_lower)] = Field(
        pattern=r"^[a-z]{3}$", title="Currency", description="Three letters.", examples=["eur"]
    )
    customer: str | None = Field(
        default=None,
        pattern=_CUSTOMER,
        title="Customer",
        description="Stripe's id of who pays.",
        examples=["cus_QXg1o8vcGmoR32"],
    )
    description: str | None = Field(default=None, max_length=1000, title="Description", examples=["Order 77"])
    receipt_email: str | None = Field(
        default=None,
        min_length=3,
        max_length=512,
        title="Receipt to",
        description="A mail address that gets the receipt of a live payment.",
        examples=["ada@example.com"],
    )
    confirm: bool = Field(
        default=False,
        title="Charge at once",
        description="With the payment method below. Else a page of yours goes on with the payment.",
        examples=[True],
    )
    payment_method: str | None = Field(
        default=None,
        pattern=r"^(pm|card|src|ba)_[A-Za-z0-9_]{1,250}$",
        title="Payment method",
        description="Stripe's id of a card or account, mostly one that the customer has stored.",
        examples=["pm_1PgafyB7WZ01zgkWcHv3jQm0"],
    )
    off_session: bool = Field(
        default=False,
        title="The customer is away",
        description="For a charge at once that nobody can confirm on a screen.",
        examples=[True],
        json_schema_extra=ui(show_if="confirm"),
    )
    return_url: str | None = Field(
        default=None,
        min_length=8,
        max_length=2000,
        title="Come back to",
        description="Where the customer is led after a bank's page, for a charge at once.",
        examples=["https://example.com/thanks"],
        json_schema_extra=ui(format="uri", show_if="confirm"),
    )
    payment_method_types: list[str] | None = Field(
        default=None,
        min_length=1,
        title="Kinds of payment",
        description="Those that are chosen in Stripe's dashboard if left out.",
        examples=[["card"]],
        json_schema_extra=ui(advanced=True),
    )
    capture_method: Literal["automatic", "manual"] = Field(
        default="automatic",
        title="Collect",
        description="Until it is collected later, the amount is only reserved.",
        examples=["manual"],
        json_schema_extra=ui(advanced=True, words={"automatic": "At once", "manual": "Later"}),
    )
    setup_future_usage: Literal["on_session", "off_session"] | None = Field(
        default=None,
        title="Store for later",
        description="Keep the payment method for further payments of the customer.",
        examples=["off_session"],
        json_schema_extra=ui(
            advanced=True,
            words={"on_session": "Those the customer is there for", "off_session": "Those without the customer too"},
        ),
    )
    statement_descriptor_suffix: str | None = Field(
        default=None,
        min_length=1,
        max_length=22,
        pattern=r"^[^<>\\'\"*]*$",
        title="On the statement",
        description="Added to your name on a card's statement.",
        examples=["ORDER 77"],
        json_schema_extra=ui(advanced=True),
    )
    metadata: Metadata | None = Field(default=None, examples=[{"order": "77"}])
    for_page: bool = Field(
        default=False,
        title="For a page of yours",
        description="Gives the client secret, with which a page goes on with the payment. Whoever may read the run "
        "can read it, too.",
        examples=[True],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def can_be_charged(self) -> Self:
        if self.confirm and not self.payment_method:
            raise ValueError(_("a charge at once (confirm) needs a payment_method"))
        if not self.confirm and (self.off_session or self.return_url):
            raise ValueError(_("off_session and return_url are for a charge at once: set confirm, too"))
        return self

    def form(self) -> dict[str, str]:
        """Return the fields of the request; the kinds of payment are the dashboard's where none are named."""
        given = self.model_dump(exclude_none=True, exclude={"for_page"}, exclude_defaults=True)
        if not self.payment_method_types:
            given["automatic_payment_methods"] = {"enabled": True}
        return bracketed(given)


class CreatePaymentIntentOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Id of the payment")
    status: str = Field(
        title="Status",
        description="succeeded, processing, requires_payment_method, requires_action and others of Stripe's.",
    )
    amount: int = Field(title="Amount", description="In the currency's smallest unit.")
    amount_received: int = Field(default=0, title="Amount received", description="In the currency's smallest unit.")
    currency: str = Field(title="Currency", description="Three letters, in lower case.")
    customer: str | None = Field(default=None, title="Customer")
    livemode: bool = Field(title="Live", description="Whether it is real money.")
    client_secret: str | None = Field(
        default=None, title="Client secret", description="Only where the step asks for it."
    )


SAMPLE_PAYMENT: Final[dict[str, JsonValue]] = {
    "id": "pi_1PgafyB7WZ01zgkWSjxsAJo3",
    "object": "payment_intent",
    "status": "requires_payment_method",
    "amount": 1099,
    "amount_received": 0,
    "currency": "eur",
    "customer": "cus_QXg1o8vcGmoR32",
    "livemode": False,
    "metadata": {"order": "77"},
}


@action(
    provider=stripe,
    key="stripe.createPaymentIntent",
    name="Create payment",
    auth_type="api_key",
    input_schema=CreatePaymentIntentInputs,
    output_schema=CreatePaymentIntentOutput,
    sample=SAMPLE_PAYMENT,
    idempotent=True,
    effect="create",
    synonyms=("charge", "pay", "card", "money", "checkout", "intent", "amount"),
    summary=lambda output: f"{output['status']}, {output['id']}",
)
async def create_payment_intent(ctx: RunContext[CreatePaymentIntentInputs]) -> dict[str, Any]:
    """Make a payment: charge a stored payment method at once, or prepare what a page of yours goes on with."""
    made = await create(ctx, "payment_intents", ctx.inputs.form(), has=("status", "amount", "currency"))
    if not ctx.inputs.for_page:
        made.pop(_CLIENT_SECRET, None)
    return {"amount_received": 0, "customer": None, **made}
