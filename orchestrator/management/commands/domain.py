"""``domain list``, ``domain confirm`` and ``domain release``: whose people single sign-on leads where."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestrator.management.terminal import TerminalCommand, tenant_with
from orchestrator.tenants.sign_on_domains import claims_of_all, domain_confirm, domain_release


class Command(TerminalCommand):
    help = (
        "Domains of e-mail addresses that tenants claim for their single sign-on. Confirm one only once you know that "
        "the domain is theirs: the sign-in page leads its people to the tenant's provider. Safe to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        operations = self.operations(parser)
        listed = operations.add_parser("list", help="list the claims of all tenants")
        listed.add_argument("--waiting", action="store_true", help="those alone that nobody confirmed")
        for name, words in (
            ("confirm", "lead people of a domain to the tenant that claims it"),
            ("release", "lead them there no more"),
        ):
            one = operations.add_parser(name, help=words)
            one.add_argument("--tenant", required=True, metavar="SLUG")
            one.add_argument("domain", metavar="DOMAIN")

    def work(self, options: dict[str, Any]) -> None:
        if options["operation"] == "list":
            for claim in claims_of_all(waiting=options["waiting"]):
                how = f"confirmed {claim.confirmed_at:%Y-%m-%d}" if claim.confirmed_at else "waits"
                self.stdout.write(f"{claim.domain}  {claim.tenant.slug}  {how}")
            return
        tenant = tenant_with(options["tenant"])
        if options["operation"] == "confirm":
            claim = domain_confirm(tenant=tenant, domain=options["domain"])
            self.stdout.write(f"People of {claim.domain} are led to {tenant.slug}.")
        else:
            claim = domain_release(tenant=tenant, domain=options["domain"])
            self.stdout.write(f"Nobody is led to {tenant.slug} by {claim.domain} any more.")
