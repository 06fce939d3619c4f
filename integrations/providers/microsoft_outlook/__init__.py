"""Outlook: mail of Microsoft 365 and Outlook.com, by Microsoft Graph."""

from integrations.microsoft import BASE_URL, EVERYBODY, FAMILY, authorize_url, token_url
from integrations.providers.microsoft_outlook import client
from integrations.sdk import BearerToken, OAuth2, Provider

microsoft_outlook = Provider(
    key="microsoft_outlook",
    name="Microsoft Outlook",
    base_url=BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Microsoft",
            help="A work, school or personal account. The app is one for accounts in any directory.",
            authorize_url=authorize_url(EVERYBODY),
            token_url=token_url(EVERYBODY),
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
    oauth_family=FAMILY,
    tile="mail",
)
