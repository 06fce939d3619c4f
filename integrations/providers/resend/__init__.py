"""Resend: mail of an app."""

from integrations.providers.resend import client
from integrations.sdk import ApiKey, Provider

resend = Provider(
    key="resend",
    name="Resend",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            label="API key",
            header="Authorization",
            prefix="Bearer",
            help="In Resend under API keys (re_…). Sending access is enough.",
            docs_url=client.KEYS_URL,
            test=client.account,
        ),
    ],
    description="Send mail, each once.",
    icon="icon.svg",
    category="Mail",
    docs_url=client.DOCS_URL,
    tile="mail",
)
