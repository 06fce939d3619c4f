"""Telegram: messages to chats, groups and channels, by a bot."""

from integrations.providers.telegram import client
from integrations.sdk import ApiKey, BearerToken, Provider

_HELP = "In Telegram, write /newbot or /token to @BotFather: it answers with the token (123456:ABC…)."

telegram = Provider(
    key="telegram",
    name="Telegram",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(label="Bot token", help=_HELP, docs_url=client.TOKENS_URL, path=client.TOKEN, test=client.account),
        BearerToken(
            label="Bot token (bearer)",
            help=_HELP,
            docs_url=client.TOKENS_URL,
            path=client.TOKEN,
            test=client.account,
        ),
    ],
    description="Send messages and photos to people, groups and channels, and start when somebody writes.",
    icon="icon.svg",
    category="Chat",
    docs_url=client.DOCS_URL,
    tile="chat",
)
