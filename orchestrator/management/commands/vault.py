"""``vault status`` and ``vault rotate``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestrator.management.terminal import TerminalCommand, positive
from orchestrator.vault.rotation import BATCH, KeyUse, key_use, rotate


class Command(TerminalCommand):
    help = "Show which key wraps how many sealed values, or move all of them to the first key."

    def add_arguments(self, parser: CommandParser) -> None:
        operations = self.operations(parser)
        operations.add_parser("status", help="how many values each key wraps")
        rotation = operations.add_parser("rotate", help="move every value to the first key; may be stopped and resumed")
        rotation.add_argument("--batch", type=positive, default=BATCH, help="values a transaction")

    def work(self, options: dict[str, Any]) -> None:
        if options["operation"] == "status":
            self._show()
        else:
            self._rotate(options["batch"])

    def _show(self) -> None:
        uses = key_use()
        for use in uses:
            self.stdout.write(f"{use.key_id}  {use.column:<12} {use.values:>8}  {_standing(use)}")
        if any(use.values and not use.known for use in uses):
            raise CommandError("Values are sealed with a key that is not in VAULT_KEYS: add it back to open them.")

    def _rotate(self, batch: int) -> None:
        moved, failed = 0, 0
        for progress in rotate(batch=batch):
            moved += progress.moved
            failed += len(progress.failed)
            for name in progress.failed:
                self.stderr.write(f"{name} could not be opened and was left as it is.")
        self.stdout.write(f"{moved} values were moved to the first key.")
        if failed:
            raise CommandError(f"{failed} values could not be opened: keep the old keys, or enter these secrets again.")


def _standing(use: KeyUse) -> str:
    if use.first:
        return "first: seals new values"
    if not use.known:
        return "not in VAULT_KEYS"
    return "opens old values: `vault rotate` moves them" if use.values else "unused: may be taken out of VAULT_KEYS"
