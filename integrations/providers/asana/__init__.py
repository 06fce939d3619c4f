"""Asana: tasks in projects."""

from integrations.providers.asana import client
from integrations.sdk import BearerToken, OAuth2, Provider

asana = Provider(
    key="asana",
    name="Asana",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Asana",
            help="The app has the scopes for tasks (read, write), projects, users and workspaces (read).",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            revoke_url=client.REVOKE_URL,
            scopes=client.SCOPES,
            test=client.account,
        ),
        BearerToken(
            label="Personal access token",
            help="In Asana's developer console. It may do what its owner may.",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="Create tasks.",
    icon="icon.svg",
    category="Development",
    docs_url=client.DOCS_URL,
    tile="gray",
)
