"""Google Gemini: answers from Google's language models."""

from integrations.providers.google_gemini import client
from integrations.sdk import ApiKey, BearerToken, Provider

google_gemini = Provider(
    key="google_gemini",
    name="Google Gemini",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            label="API key",
            help="In Google AI Studio under Get API key: create a key (AIza…).",
            docs_url=client.KEYS_URL,
            header="x-goog-api-key",
            test=client.account,
        ),
        BearerToken(
            label="Access token",
            help="A short-lived access token of a Google account that may use the API.",
            docs_url=client.KEYS_URL,
            test=client.account,
        ),
    ],
    description="Write, summarise, classify and extract with Google's models.",
    icon="icon.svg",
    category="AI",
    docs_url=client.DOCS_URL,
    tile="ai",
)
