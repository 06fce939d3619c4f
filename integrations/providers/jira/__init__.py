"""Jira Cloud: issues in projects."""

from integrations.providers.jira import client
from integrations.sdk import Basic, Provider, Site

jira = Provider(
    key="jira",
    name="Jira",
    site=Site(
        label="Site",
        help="The address of your Jira, like https://acme.atlassian.net. A token with scopes takes "
        "https://api.atlassian.com/ex/jira/ and the site's cloud id.",
    ),
    auth=[
        Basic(
            label="Mail address and API token",
            help="The mail address that you sign in with at Atlassian.",
            docs_url=client.TOKENS_URL,
            username_label="Mail address",
            password_label="API token",  # noqa: S106 - what the field is called
            test=client.account,
        ),
    ],
    description="Create issues.",
    icon="icon.svg",
    category="Development",
    docs_url=client.DOCS_URL,
    tile="gray",
)
