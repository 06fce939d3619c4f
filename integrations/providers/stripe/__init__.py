"""Stripe: who pays, and what is paid."""

from integrations.providers.stripe import client
from integrations.sdk import ApiKey, Provider

stripe = Provider(
    key="stripe",
    name="Stripe",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            label="Secret key",
            header="Authorization",
            prefix="Bearer",
            help=(
                "In Stripe's dashboard under Developers, API keys. A restricted key needs Customers: write and "
                "PaymentIntents: write for steps, Webhook Endpoints: write for triggers, and Accounts: read for the "
                "check of it."
            ),
            docs_url=client.KEYS_URL,
            test=client.account,
        ),
    ],
    description="Make customers and payments, and start when a payment succeeds.",
    icon="icon.svg",
    category="Payments",
    docs_url=client.DOCS_URL,
    tile="pay",
)
