"""What the commands for people and tenants share: sub-commands, and errors of one sentence."""

from __future__ import annotations

import argparse
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from orchestrator.errors import ServiceError
from orchestrator.tenants.models import Tenant
from orchestrator.vault.crypto import VaultError


class TerminalCommand(BaseCommand):
    """A command whose ``work`` may raise what services raise; a person gets one sentence and exit status 1.

    The operator's settings are checked by the time that ``work`` is called. The other checks are about the program,
    which ``manage.py check`` looks at: they would load pages, API and admin each time, and take longer than the work.
    """

    requires_migrations_checks = False
    requires_system_checks: tuple[str, ...] = ("orchestrator",)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.work(options)
        except (ServiceError, VaultError) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(
                f"The database cannot be used ({_first_line(error)}): check DATABASE_URL and run "
                "`python manage.py setup` once."
            ) from error

    def work(self, options: dict[str, Any]) -> None:
        """Do what the command is for."""
        raise CommandError("This command does nothing by itself.")

    def operations(self, parser: CommandParser) -> Any:
        """Return where operations are added, like ``create`` of ``token create``; one of them must be given."""
        return parser.add_subparsers(dest="operation", required=True, metavar="OPERATION")


def user_named(name: str) -> User:
    """Return the user. Raises CommandError that says how to make one."""
    found = User.objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no user {name!r}: make one with `python manage.py user create {name}`.")
    return found


def tenant_with(slug: str) -> Tenant:
    """Return the tenant. Raises CommandError that says how to make one."""
    found = Tenant.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no tenant {slug!r}: make one with `python manage.py tenant create {slug}`.")
    return found


def positive(text: str) -> int:
    """Parse a positive whole number for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def _first_line(error: DatabaseError) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
