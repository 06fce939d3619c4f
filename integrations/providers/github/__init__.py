"""GitHub: issues in repositories, and what happens in them."""

from integrations.providers.github import client
from integrations.sdk import BearerToken, Provider

github = Provider(
    key="github",
    name="GitHub",
    base_url=client.BASE_URL,
    auth=[
        BearerToken(
            label="Access token",
            help=(
                "On GitHub under Settings, Developer settings, Personal access tokens. A fine-grained one needs "
                "Issues: write for its repositories, and Webhooks: write where what happens in them starts a workflow."
            ),
            docs_url=client.TOKENS_URL,
            test=client.account,
        ),
    ],
    description="Open issues, and start when something happens in a repository.",
    icon="icon.svg",
    category="Development",
    docs_url=client.DOCS_URL,
    tile="gray",
)
