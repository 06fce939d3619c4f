"""``setup``: what ``up`` does before it starts the rest."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from orchestrator.bootstrap import FirstStart, first_start
from orchestrator.env import KEYS_FILE
from orchestrator.management.terminal import TerminalCommand

DEFAULT_BASE_URL = "http://127.0.0.1:8000"


class Command(TerminalCommand):
    help = "Prepare database, keys, first tenant and user. Safe to repeat, and to run from several hosts at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="make no example workflows")

    def work(self, options: dict[str, Any]) -> None:
        done = first_start(demo=not options["no_demo"], base_url=settings.BASE_URL or DEFAULT_BASE_URL)
        for line in describe(done):
            self.stdout.write(line)


def describe(done: FirstStart) -> list[str]:
    """Return what a person should know of a start, a line each; `up` prints the same."""
    lines = [f"Database, tenant {done.tenant} and user {done.user} are ready."]
    if settings.ENV.keys_are_self_made:
        lines.append(f"Keys were made by this machine and lie in {settings.ENV.data_dir / KEYS_FILE}: keep a copy.")
    if done.examples:
        lines.append(f"Made the example workflows {', '.join(done.examples)}.")
    if done.password_made:
        lines.append(f"Sign in as {done.user} with the password {done.password_made} (shown once).")
    if done.weak:
        lines.append(f"ORCHESTRATOR_ADMIN_PASSWORD is weak: {' '.join(done.weak)}")
    return lines
