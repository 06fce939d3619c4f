"""The leader of the web's processes: granian, serving the WSGI application; ``python -m orchestrator.server``.

Source of the shape, one worker with many blocking threads: measured, see ``tests/bench``. A worker that dies is
started again by granian; if this process dies, the one above starts the whole group again.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

from orchestrator.supervise import lifeline

GRACE_SECONDS: Final = 12.0
_KILL_SECONDS: Final = 8


def serve(host: str, port: int, *, threads: int) -> None:
    """Serve until SIGTERM."""
    _forget_headers()
    server = Server(
        "orchestrator.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=threads,
        blocking_threads_idle_timeout=600,
        respawn_failed_workers=True,
        respawn_interval=0.1,
        workers_kill_timeout=_KILL_SECONDS,
        websockets=False,
        log_level=LogLevels.error,
    )
    server.on_startup(lambda: lifeline(grace=GRACE_SECONDS))
    server.serve()


def _forget_headers() -> None:
    """Take out of the environment what every request would seem to have sent: granian puts all of it into each.

    With ``HTTP_PROXY`` set, its password would be stored with each webhook as the header ``proxy``.
    """
    for name in [name for name in os.environ if name.startswith("HTTP_")]:
        del os.environ[name]


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), threads=int(sys.argv[3]))
