"""``tenant create``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestrator.management.terminal import TerminalCommand, user_named
from orchestrator.tenants.services import tenant_create


class Command(TerminalCommand):
    help = "Make a tenant. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        create = self.operations(parser).add_parser("create", help="make a tenant, or give it an owner")
        create.add_argument("slug", help="lower-case letters, digits and hyphens; part of every address")
        create.add_argument("--name", default="", help="what people see; the slug when left out")
        create.add_argument("--owner", metavar="USER", help="who becomes its owner")

    def work(self, options: dict[str, Any]) -> None:
        owner = user_named(options["owner"]) if options["owner"] else None
        tenant, made = tenant_create(slug=options["slug"], name=options["name"], owner=owner)
        self.stdout.write(f"Tenant {tenant.slug} was made." if made else f"Tenant {tenant.slug} was there already.")
