"""Outlook: mail of Microsoft 365 and Outlook.com, by Microsoft Graph."""

from integrations.providers.microsoft_outlook import client
from integrations.sdk import BearerToken, OAuth2, Provider

microsoft_outlook = Provider(
    key="microsoft_outlook",
    name="Microsoft Outlook",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Microsoft",
            help="A work, school or personal account. The app is one for accounts in any directory.",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            scopes=client.SCOPES,
            test=client.account,
        ),
        BearerToken(
            label="Access token",
            help="For tokens that are made elsewhere: of Microsoft Graph, with Mail.Send. It lasts an hour or so.",
            docs_url=client.DOCS_URL,
            test=client.account,
        ),
    ],
    description="Send mail.",
    icon="icon.svg",
    category="Mail",
    docs_url=client.DOCS_URL,
    oauth_family="microsoft",
    tile="mail",
)
