"""WhatsApp: messages of a business, by Meta's Cloud API."""

from integrations.providers.whatsapp import client
from integrations.sdk import BearerToken, Provider

whatsapp = Provider(
    key="whatsapp",
    name="WhatsApp",
    base_url=client.BASE_URL,
    auth=[
        BearerToken(
            label="Access token",
            help="In Meta's business settings, of a system user with whatsapp_business_messaging: it does not end. The "
            "one on the app's first page lasts a day.",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="Send messages to phones.",
    icon="icon.svg",
    category="Chat",
    docs_url=client.DOCS_URL,
    tile="chat",
)
