"""Linear: issues of teams."""

from integrations.providers.linear import client
from integrations.sdk import ApiKey, OAuth2, Provider

linear = Provider(
    key="linear",
    name="Linear",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Linear",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            revoke_url=client.REVOKE_URL,
            scopes=client.SCOPES,
            scope_separator=",",
            test=client.account,
        ),
        ApiKey(
            label="Personal API key",
            header="Authorization",
            help="In Linear under Settings, Security & access (lin_api_…). It may do what its owner may.",
            docs_url=client.KEYS_URL,
            test=client.account,
        ),
    ],
    description="Create issues.",
    icon="icon.svg",
    category="Development",
    docs_url=client.DOCS_URL,
    tile="gray",
)
