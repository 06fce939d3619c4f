"""``prune``: retention, now."""

from __future__ import annotations

from typing import Any

from orchestrator.api.idempotency import forget_old_answers
from orchestrator.management.terminal import TerminalCommand
from runs.sweeper import prune


class Command(TerminalCommand):
    help = "Delete ended runs that are past their workflow's or tenant's retention."

    def work(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"Deleted {prune()} runs and {forget_old_answers()} kept answers of the API.")
