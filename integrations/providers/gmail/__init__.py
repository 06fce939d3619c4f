"""Gmail: mail from and to a person's own address."""

from integrations.google import FAMILY
from integrations.providers.gmail import client
from integrations.sdk import Provider

gmail = Provider(
    key="gmail",
    name="Gmail",
    base_url=client.BASE_URL,
    auth=client.SERVICE.auth(client.account),
    description="Send, find and label mail of a Gmail or Google Workspace address; start when mail arrives.",
    icon="icon.svg",
    category="Mail",
    docs_url=client.DOCS_URL,
    oauth_family=FAMILY,
    tile="mail",
)
