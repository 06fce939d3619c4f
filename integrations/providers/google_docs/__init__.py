"""Google Docs: documents, and text at their end."""

from integrations.google import FAMILY
from integrations.providers.google_docs import client
from integrations.sdk import Provider

google_docs = Provider(
    key="google_docs",
    name="Google Docs",
    base_url=client.BASE_URL,
    auth=client.SERVICE.auth(client.account),
    description="Create documents and add text to them.",
    icon="icon.svg",
    category="Documents",
    docs_url=client.DOCS_URL,
    oauth_family=FAMILY,
    tile="db",
)
