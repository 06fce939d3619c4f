"""A server that steps call: it counts what it was asked, and can answer slowly."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer that is not 200 with JSON."""

    status: int = 200
    content_type: str = "text/html"
    body: bytes = b""


@dataclass(kw_only=True)
class Upstream:
    """Answers every request with JSON: that of ``answers`` by path, which may be a function of the call, else an echo.

    ``?slow=SECONDS`` waits first, ``?away=N`` answers the first N requests of a path with 503, ``?gated=N`` keeps those
    of a path from the Nth on, counted from 0, without an answer until ``gate`` is set.
    """

    address: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: Counter[str] = field(default_factory=Counter)

    def count(self) -> Counter[str]:
        """Return how often each path was asked."""
        with self._lock:
            return Counter(call.path for call in self.calls)

    def note(self, call: Call) -> int:
        """Keep a call and return how many there were before it at its path."""
        with self._lock:
            self.calls.append(call)
            self._seen[call.path] += 1
            return self._seen[call.path] - 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: callers are killed in mid-call here."""


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Serve on a free port of this machine until the end of the block."""
    found = Upstream()
    server = _Server(("127.0.0.1", 0), _handler(found))
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        found.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(found: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            length = int(self.headers.get("Content-Length") or 0)
            call = Call(
                method=self.command,
                path=parts.path,
                query=query,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            before = found.note(call)
            time.sleep(float(query.get("slow", ["0"])[0]))
            if before >= int(query.get("gated", [sys.maxsize])[0]):
                found.gate.wait()
            is_away = before < int(query.get("away", ["0"])[0])
            given = found.answers.get(parts.path, {"path": parts.path, "query": query})
            given = given(call) if callable(given) else given
            if not isinstance(given, Answered):
                given = Answered(content_type="application/json", body=json.dumps(given).encode())
            self.send_response(503 if is_away else given.status)
            self.send_header("Content-Type", given.content_type)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body)

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the suite's output clean."""

    return Handler
