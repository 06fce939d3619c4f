"""Twilio: text messages to phones."""

from integrations.providers.twilio import client
from integrations.sdk import Basic, Provider

twilio = Provider(
    key="twilio",
    name="Twilio",
    base_url=client.BASE_URL,
    auth=[
        Basic(
            label="Account SID and auth token",
            help="On the first page of Twilio's console. An API key (SK…) with its secret works, too: "
            "then give the account's SID in the step.",
            docs_url=client.KEYS_URL,
            username_label="Account SID",
            password_label="Auth token",  # noqa: S106 - what the field is called
            test=client.account,
        ),
    ],
    description="Send text messages.",
    icon="icon.svg",
    category="Chat",
    docs_url=client.DOCS_URL,
    tile="chat",
)
