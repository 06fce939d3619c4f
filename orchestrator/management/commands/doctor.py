"""``doctor``: looks at every part of an installation and says what to do."""

from __future__ import annotations

from typing import Any, Final

from django.core.management.base import CommandError

from orchestrator.doctor import State, examine
from orchestrator.management.terminal import TerminalCommand

_WIDTH: Final = 9


class Command(TerminalCommand):
    help = "Check database, broker, keys, clock, workers, disk and addresses, and say what to do. 1 when one fails."
    # They are among its own lines, and must not stop it before the others.
    requires_system_checks = ()

    def work(self, options: dict[str, Any]) -> None:
        styles = {State.OK: self.style.SUCCESS, State.WARN: self.style.WARNING, State.FAIL: self.style.ERROR}
        failed = 0
        for finding in examine():
            failed += finding.state is State.FAIL
            mark = styles[finding.state](finding.state.ljust(4))
            self.stdout.write(f"{mark}  {finding.subject.ljust(_WIDTH)} {finding.text}")
        if failed:
            raise CommandError(f"{failed} of the above must be put right.")
