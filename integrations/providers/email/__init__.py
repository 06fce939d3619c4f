"""E-mail: what arrives in a mailbox and what is sent, by a credential that names the mail servers."""

from integrations.providers.email.account import account
from integrations.sdk import Basic, Provider

email = Provider(
    key="email",
    name="Email",
    auth=[
        Basic(
            label="Mail server",
            help="The user name and password of the mailbox. Many providers want a password made for one app.",
            test=account,
        )
    ],
    description="Start when a message arrives in a mailbox (IMAP), and send mail (SMTP).",
    icon="mail",
    category="Mail",
    tile="mail",
)
