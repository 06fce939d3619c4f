"""Airtable: records of bases."""

from integrations.providers.airtable import client
from integrations.sdk import BearerToken, OAuth2, Provider, RateLimit

airtable = Provider(
    key="airtable",
    name="Airtable",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Airtable",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            # The last one lists the bases and tables to choose from.
            scopes=("data.records:read", "data.records:write", "user.email:read", "schema.bases:read"),
            client_auth="basic",
            test=client.account,
        ),
        BearerToken(
            label="Personal access token",
            help="In Airtable's Builder hub under Personal access tokens (pat…): with the scopes data.records:read, "
            "data.records:write and schema.bases:read, and access to the bases.",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="List, create and update records.",
    icon="icon.svg",
    category="Data",
    docs_url=client.DOCS_URL,
    tile="db",
    # Of each base, whoever asks; one that asks more is shut out for 30 s.
    rate_limit=RateLimit(requests=5, by_credential=False),
)
