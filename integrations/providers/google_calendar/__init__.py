"""Google Calendar: events of a person's calendars."""

from integrations.google import FAMILY
from integrations.providers.google_calendar import client
from integrations.sdk import Provider

google_calendar = Provider(
    key="google_calendar",
    name="Google Calendar",
    base_url=client.BASE_URL,
    auth=client.SERVICE.auth(client.account),
    description="Create events and list them.",
    icon="icon.svg",
    category="Calendar",
    docs_url=client.DOCS_URL,
    oauth_family=FAMILY,
    tile="chat",
)
