"""``user create``."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestrator.management.terminal import TerminalCommand
from orchestrator.tenants.services import password_problems, user_create


class Command(TerminalCommand):
    help = "Make a user. Safe to repeat: one who is there keeps their password."

    def add_arguments(self, parser: CommandParser) -> None:
        create = self.operations(parser).add_parser("create", help="make a user")
        create.add_argument("name", help="what they sign in with")
        # The only way: an argument would be in the shell's history and in the list of processes.
        create.add_argument("--password-stdin", action="store_true", required=True, help="read it from standard input")
        create.add_argument("--staff", action="store_true", help="may use the admin for their tenants")

    def work(self, options: dict[str, Any]) -> None:
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
