"""WordPress: posts of a site, by its own REST API."""

from integrations.providers.wordpress import client
from integrations.sdk import Basic, Provider, Site

wordpress = Provider(
    key="wordpress",
    name="WordPress",
    site=Site(
        label="Site", help="The address of your WordPress, like https://example.com or https://example.com/blog."
    ),
    auth=[
        Basic(
            label="Application password",
            help="The name that you sign in with at the site.",
            docs_url=client.PASSWORDS_URL,
            username_label="User name",
            password_label="Application password",  # noqa: S106 - what the field is called
            test=client.account,
        ),
    ],
    description="Publish posts on a site of yours.",
    icon="icon.svg",
    category="Web",
    docs_url=client.DOCS_URL,
    tile="gray",
)
