"""Google Sheets: rows of a spreadsheet, by the names in its header row."""

from integrations.google import FAMILY
from integrations.providers.google_sheets import client
from integrations.sdk import Provider

google_sheets = Provider(
    key="google_sheets",
    name="Google Sheets",
    base_url=client.BASE_URL,
    auth=client.SERVICE.auth(client.account),
    description="Read, append and change rows of a spreadsheet; start when a row is added.",
    icon="icon.svg",
    category="Data",
    docs_url=client.DOCS_URL,
    oauth_family=FAMILY,
    tile="db",
)
