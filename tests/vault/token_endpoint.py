"""A token endpoint on this machine that answers whatever a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


@dataclass(kw_only=True)
class TokenEndpoint:
    """Answers each POST with ``status``, ``kind`` and ``body``, once ``gate`` is set; ``asked`` are the forms it got.

    GET answers 401, which counts in ``refused``: an API that takes the token ``takes`` alone, none where that is empty.
    """

    address: str = ""
    status: int = 200
    kind: str = "application/json"
    body: bytes = b"{}"
    asked: list[dict[str, str]] = field(default_factory=list)
    refused: int = 0
    takes: str = ""
    gate: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def says(self, body: Any, *, status: int = 200, kind: str = "application/json") -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.kind = status, kind


@contextmanager
def token_endpoint() -> Iterator[TokenEndpoint]:
    """Serve on a free port until the end of the block."""
    found = TokenEndpoint()
    found.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.asked.append(dict(parse_qsl(sent.decode())))
            found.gate.wait(20)
            self._answer(found.status, found.kind, found.body)

        def do_GET(self) -> None:
            if found.takes and self.headers.get("Authorization") == f"Bearer {found.takes}":
                self._answer(200, "application/json", b"[]")
                return
            found.refused += 1
            self._answer(401, "application/json", b"{}")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
