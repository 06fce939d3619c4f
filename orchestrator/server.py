"""The web's process: granian, serving the WSGI application; ``python -m orchestrator.server``.

Source of the shape, one process with many blocking threads: measured, see ``tests/bench``. granian would have a second
one watch over it; the process above does that already, and starts this one again when it dies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from orchestrator.supervise import lifeline

GRACE_SECONDS: Final = 12.0


class Server(MPServer):
    """granian's server and its one worker in a single process: a process for each costs twelve megabytes.

    What is overridden and called is private to granian, so ``pyproject.toml`` bounds its version.
    """

    def _serve(self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]) -> None:
        granian: Any = super()
        granian._init_shared_socket()
        granian._call_hooks(self.hooks_startup)
        # A process that is not started, but whose work is done here.
        granian._spawn_worker(0, spawn_target, target_loader).inner.run()


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
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of granian's live on, which the interpreter's own end would wait for or trip over.
    os._exit(0)
