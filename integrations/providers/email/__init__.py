"""E-mail: what arrives in a mailbox, by a credential that names the mail server."""

from integrations.providers.email import client
from integrations.sdk import Basic, Provider

email = Provider(
    key="email",
    name="Email",
    auth=[
        Basic(
            label="Mail server",
            help="The user name and password of the mailbox. Many providers want a password made for one app.",
            test=client.account,
        )
    ],
    description="Start when a message arrives in a mailbox, by IMAP.",
    icon="mail",
    category="Communication",
    tile="mail",
)
