"""SendGrid: mail of a shop or an app."""

from integrations.providers.sendgrid import client
from integrations.sdk import ApiKey, Provider

sendgrid = Provider(
    key="sendgrid",
    name="SendGrid",
    base_url=client.BASE_URL,
    regions={"eu": client.EU_URL},
    auth=[
        ApiKey(
            label="API key",
            header="Authorization",
            prefix="Bearer",
            help="In SendGrid under Settings, API keys (SG.…), with the permission Mail Send.",
            docs_url=client.KEYS_URL,
            test=client.account,
        ),
    ],
    description="Send mail, by templates too.",
    icon="icon.svg",
    category="Mail",
    docs_url=client.DOCS_URL,
    tile="mail",
)
