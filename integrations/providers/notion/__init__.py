"""Notion: pages and databases."""

from integrations.providers.notion import client
from integrations.sdk import BearerToken, OAuth2, Provider, RateLimit

notion = Provider(
    key="notion",
    name="Notion",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Notion",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            revoke_url=client.REVOKE_URL,
            authorize_params={"owner": "user"},
            client_auth="basic",
            token_request="json",  # noqa: S106 - how it is asked, not what it gives
            token_headers=client.HEADERS,
            pkce=False,
            test=client.account,
        ),
        BearerToken(
            label="Integration's secret",
            help="In Notion's list of integrations: make an internal one and copy its secret (ntn_…). "
            "Then add it to the pages it may use, in their menu under Connections.",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="Create pages and query databases.",
    icon="icon.svg",
    category="Documents",
    docs_url=client.DOCS_URL,
    tile="db",
    # On average, of each connection, with some bursts beyond.
    rate_limit=RateLimit(requests=3, burst=10),
)
