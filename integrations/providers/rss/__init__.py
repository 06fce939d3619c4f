"""RSS: what appears in a feed, RSS or Atom."""

from integrations.sdk import Provider

rss = Provider(
    key="rss",
    name="RSS",
    description="Start when something new appears in a feed, RSS or Atom.",
    icon="icon.svg",
    category="Web",
    tile="http",
)
