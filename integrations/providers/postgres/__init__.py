"""PostgreSQL: statements in a database, by a credential that names its server."""

from integrations.providers.postgres import client
from integrations.sdk import Basic, Provider

postgres = Provider(
    key="postgres",
    name="PostgreSQL",
    auth=[
        Basic(
            label="Database user",
            help="A user of the database; one that may only read what its steps need is best.",
            docs_url=client.DOCS_URL,
            test=client.account,
        )
    ],
    description="Read and change what is in a PostgreSQL database.",
    icon="db",
    category="Data",
    docs_url=client.DOCS_URL,
    tile="db",
)
