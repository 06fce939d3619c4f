"""OpenAI: answers from language models."""

from integrations.providers.openai import client
from integrations.sdk import ApiKey, BearerToken, Provider

_HELP = "On OpenAI's platform under API keys: create a secret key (sk-…). It is shown once."

openai = Provider(
    key="openai",
    name="OpenAI",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            label="API key",
            help=_HELP,
            docs_url=client.KEYS_URL,
            header="Authorization",
            prefix="Bearer",
            test=client.account,
        ),
        BearerToken(label="Bearer token", help=_HELP, docs_url=client.KEYS_URL, test=client.account),
    ],
    description="Write, summarise, classify and extract with OpenAI's models.",
    icon="icon.svg",
    category="AI",
    docs_url=client.DOCS_URL,
    tile="ai",
)
