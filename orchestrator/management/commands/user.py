"""``user create`` and ``user reset-factor``."""

from __future__ import annotations

import sys
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from orchestrator.management.terminal import TerminalCommand, user_named
from orchestrator.tenants.second_factor import factor_reset_on_terminal
from orchestrator.tenants.services import password_problems, user_create


class Command(TerminalCommand):
    help = "Make a user, or turn off the second factor of one who has lost it. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
        operations = self.operations(parser)
        create = operations.add_parser("create", help="make a user")
        create.add_argument("name", help="what they sign in with")
        # The only way: an argument would be in the shell's history and in the list of processes.
        create.add_argument("--password-stdin", action="store_true", required=True, help="read it from standard input")
        create.add_argument("--staff", action="store_true", help="may use the admin for their tenants")
        reset = operations.add_parser("reset-factor", help="turn a lost second factor off")
        reset.add_argument("name", help="what they sign in with")

    def work(self, options: dict[str, Any]) -> None:
        if options["operation"] == "reset-factor":
            self.reset(user_named(options["name"]))
            return
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise CommandError("No password came on standard input: pipe one line into this command.")
        user, made = user_create(name=options["name"], password=password, staff=options["staff"], weak_allowed=True)
        if not made:
            self.stdout.write(f"User {user.get_username()} was there already and keeps their password.")
            return
        for problem in password_problems(password, user):
            self.stderr.write(f"The password is weak: {problem}")
        self.stdout.write(f"User {user.get_username()} was made.")

    def reset(self, user: User) -> None:
        """Turn a person's second factor off; they are signed out everywhere."""
        name = user.get_username()
        if factor_reset_on_terminal(user=user):
            self.stdout.write(f"The second factor of {name} is off: their password alone signs them in.")
        else:
            self.stdout.write(f"User {name} has no second factor.")
