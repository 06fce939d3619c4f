"""Discord: messages into channels, by a bot."""

from integrations.providers.discord import client
from integrations.sdk import ApiKey, BearerToken, Provider

_HELP = "In Discord's developer portal, under your application's Bot: Reset token. It is shown once."

discord = Provider(
    key="discord",
    name="Discord",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            label="Bot token",
            help=_HELP,
            docs_url=client.TOKENS_URL,
            header="Authorization",
            prefix="Bot",
            test=client.account,
        ),
        BearerToken(
            label="Bot token (bearer)", help=_HELP, docs_url=client.TOKENS_URL, prefix="Bot", test=client.account
        ),
    ],
    description="Post messages to channels.",
    icon="icon.svg",
    category="Chat",
    docs_url=client.DOCS_URL,
    tile="chat",
)
