"""HubSpot: contacts of the CRM."""

from integrations.providers.hubspot import client
from integrations.sdk import BearerToken, OAuth2, Provider

hubspot = Provider(
    key="hubspot",
    name="HubSpot",
    base_url=client.BASE_URL,
    auth=[
        OAuth2(
            label="Sign in with HubSpot",
            authorize_url=client.AUTHORIZE_URL,
            token_url=client.TOKEN_URL,
            scopes=client.SCOPES,
            pkce=False,
            test=client.account,
        ),
        BearerToken(
            label="Private app's access token",
            help="In HubSpot under Development, in a private app: the access token (pat-…). The app needs the scopes "
            "crm.objects.contacts.read and crm.objects.contacts.write.",
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="Keep contacts up to date.",
    icon="icon.svg",
    category="Sales",
    docs_url=client.DOCS_URL,
    tile="db",
)
