"""``token create``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from orchestrator.management.terminal import TerminalCommand, positive, tenant_with, user_named
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Scope
from orchestrator.tenants.services import token_create


class Command(TerminalCommand):
    help = "Make an API token. It stands alone on the last line of the output and is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        create = self.operations(parser).add_parser("create", help="make an API token for a person in a tenant")
        create.add_argument("--tenant", required=True, metavar="SLUG")
        create.add_argument("--user", required=True, metavar="NAME")
        create.add_argument(
            "--scope",
            action="extend",
            nargs="+",
            metavar="SCOPE",
            help=f"{', '.join(Scope.values)}; each brings those before it. All that the person may do when left out",
        )
        create.add_argument("--name", default="terminal", help="to recognise it by")
        create.add_argument("--days", type=positive, help="how long it is good; for ever when left out")

    def work(self, options: dict[str, Any]) -> None:
        tenant, user = tenant_with(options["tenant"]), user_named(options["user"])
        if not user.is_active:
            raise CommandError(f"The user {user.get_username()} is switched off, so a token would not work.")
        actor = actor_for_user(user, tenant.slug)
        token, plain = token_create(
            actor=actor,
            name=options["name"],
            scopes=_scopes(options["scope"]) or actor.scopes,
            expires_at=timezone.now() + timedelta(days=options["days"]) if options["days"] else None,
        )
        self.stdout.write(
            f"A token of {user.get_username()} in {tenant.slug} with the scopes {', '.join(token.scopes)}:"
        )
        self.stdout.write(plain)


def _scopes(given: list[str] | None) -> set[Scope]:
    """Return the scopes of ``--scope read run`` and of ``--scope read,run`` alike."""
    words = {word for text in given or () for word in text.split(",") if word}
    if unknown := sorted(words - set(Scope.values)):
        raise CommandError(f"{unknown[0]!r} is not a scope: use {', '.join(Scope.values)}.")
    return {Scope(word) for word in words}
