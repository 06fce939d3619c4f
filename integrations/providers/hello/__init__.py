"""A greeting: the smallest integration there can be, and a first step that needs no account."""

from integrations.sdk import Provider

hello = Provider(
    key="hello",
    name="Hello",
    description="Says hello. Try the product with it.",
    icon="icon.svg",
    category="Start here",
    tile="gray",
)
