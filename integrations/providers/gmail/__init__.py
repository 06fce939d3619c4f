"""Gmail: mail from a person's own address."""

from integrations.providers.gmail import client
from integrations.sdk import BearerToken, OAuth2, Provider

gmail = Provider(
    key="gmail",
    name="Gmail",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Google",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            revoke_url=client.REVOKE_URL,
            scopes=(client.SEND_SCOPE,),
            authorize_params={"access_type": "offline", "prompt": "consent"},
            test=client.account,
        ),
        BearerToken(
            label="Access token",
            help="A short-lived access token with the scope gmail.send, for instance from Google's OAuth Playground.",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="Send mail from a Gmail or Google Workspace address.",
    icon="icon.svg",
    category="Mail",
    docs_url=client.DOCS_URL,
    oauth_family="google",
    tile="mail",
    quality="gold",
)
