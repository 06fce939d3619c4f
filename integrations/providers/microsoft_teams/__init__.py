"""Microsoft Teams: messages in channels and chats, by Microsoft Graph."""

from integrations.microsoft import AT_WORK, BASE_URL, FAMILY, authorize_url, token_url
from integrations.providers.microsoft_teams import client
from integrations.sdk import BearerToken, OAuth2, Provider

microsoft_teams = Provider(
    key="microsoft_teams",
    name="Microsoft Teams",
    base_url=BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with Microsoft",
            help="A work or school account: messages are written in its name.",
            authorize_url=authorize_url(AT_WORK),
            token_url=token_url(AT_WORK),
            scopes=client.SCOPES,
            test=client.account,
        ),
        BearerToken(
            label="Access token",
            help="For tokens that are made elsewhere: of Microsoft Graph, of a person. It lasts an hour or so.",
            docs_url=client.DOCS_URL,
            test=client.account,
        ),
    ],
    description="Send messages to channels and chats.",
    icon="icon.svg",
    category="Chat",
    docs_url=client.DOCS_URL,
    oauth_family=FAMILY,
    tile="chat",
)
