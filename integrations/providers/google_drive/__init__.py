"""Google Drive: files of a person's drive and of the drives shared with them."""

from integrations.google import FAMILY
from integrations.providers.google_drive import client
from integrations.sdk import Provider

google_drive = Provider(
    key="google_drive",
    name="Google Drive",
    base_url=client.BASE_URL,
    auth=client.SERVICE.auth(client.account),
    description="Download and upload files; start when a file is added.",
    icon="icon.svg",
    category="Files",
    docs_url=client.DOCS_URL,
    oauth_family=FAMILY,
    tile="db",
)
