"""``member add``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from orchestrator.management.terminal import TerminalCommand, tenant_with, user_named
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Role
from orchestrator.tenants.services import member_add


class Command(TerminalCommand):
    help = "Give a person a role in a tenant, or change it. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        add = self.operations(parser).add_parser("add", help="give a person a role in a tenant")
        add.add_argument("--tenant", required=True, metavar="SLUG")
        add.add_argument("--user", required=True, metavar="NAME")
        add.add_argument("--role", required=True, choices=Role.values)

    def work(self, options: dict[str, Any]) -> None:
        tenant, user = tenant_with(options["tenant"]), user_named(options["user"])
        membership = member_add(actor=system_actor(tenant), user=user, role=Role(options["role"]))
        self.stdout.write(f"{user.get_username()} is {membership.role} of {tenant.slug}.")
