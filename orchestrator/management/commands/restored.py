"""``restored``: what must be done between restoring a backup and starting the product on it."""

from __future__ import annotations

from typing import Any

from orchestrator.management.terminal import TerminalCommand
from runs.clock import database_now
from runs.restoring import settle


class Command(TerminalCommand):
    help = (
        "After a backup was restored and before anything is started: stop the runs that were under way when it was "
        "made, let schedules and polls go on from now, and leave unsent what alerts were about to tell, so that "
        "nothing that was done since is done twice. Safe to repeat."
    )

    def work(self, options: dict[str, Any]) -> None:
        done = settle(database_now())
        self.stdout.write(
            f"Stopped {done.runs} runs. {done.schedules} schedules and {done.polls} polls go on from now. "
            f"{done.messages} messages of alerts that were on their way are not sent: they most likely were. "
            "Start the product; the stopped runs are under Runs, Cancelled, and each can run again from any step."
        )
