"""Anthropic: answers from the Claude models."""

from integrations.providers.anthropic import client
from integrations.sdk import ApiKey, BearerToken, Provider

anthropic = Provider(
    key="anthropic",
    name="Anthropic",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            label="API key",
            help="In the Claude Console under API keys: create a key (sk-ant-…). It is shown once.",
            docs_url=client.KEYS_URL,
            header="x-api-key",
            test=client.account,
        ),
        BearerToken(
            label="Access token",
            help="A short-lived token of an organisation's sign-in. An API key is not one.",
            docs_url=client.KEYS_URL,
            test=client.account,
        ),
    ],
    description="Write, summarise, classify and extract with the Claude models.",
    icon="icon.svg",
    category="AI",
    docs_url=client.DOCS_URL,
    tile="ai",
)
