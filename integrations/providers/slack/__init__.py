"""Slack: messages into channels and conversations, and what is written there."""

from integrations.providers.slack import client
from integrations.sdk import BearerToken, OAuth2, Provider, SigningSecret

slack = Provider(
    key="slack",
    name="Slack",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Slack",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            revoke_url=client.REVOKE_URL,
            # The last two list the channels to choose from.
            scopes=("chat:write", "chat:write.public", "channels:read", "groups:read"),
            scope_separator=",",
            pkce=False,
            test=client.account,
        ),
        BearerToken(
            label="Bot token",
            help="In your Slack app's settings, under OAuth & Permissions: the Bot User OAuth Token (xoxb-…).",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
        SigningSecret(
            help=(
                "For what starts workflows: in your Slack app's settings, under Basic Information, App Credentials, "
                "the Signing Secret."
            ),
            docs_url=client.APPS_URL,
            test=client.signing_secret,
        ),
    ],
    description="Post messages to channels and people, and start when somebody writes.",
    icon="icon.svg",
    category="Chat",
    docs_url=client.DOCS_URL,
    tile="chat",
)
