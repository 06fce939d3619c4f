"""A collector that takes traces by OTLP over HTTP, and keeps them decoded."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_STATUS = {0: "unset", 1: "ok", 2: "error"}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One span as it arrived; ids are hex."""

    trace: str
    span: str
    parent: str
    name: str
    kind: int
    status: str
    message: str
    seconds: float
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    service: str


@dataclass(kw_only=True)
class Sink:
    """Answers every request with ``status``; ``slow`` seconds later."""

    address: str = ""
    status: int = 200
    slow: float = 0.0
    spans: list[Sent] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def named(self, path: str) -> list[Sent]:
        """Return the spans of a step by its path, in the order of its attempts."""
        found = [span for span in self.spans if span.attributes.get("orchestrator.step.path") == path]
        return sorted(found, key=lambda span: span.attributes["orchestrator.attempt"])

    def roots(self) -> list[Sent]:
        return [span for span in self.spans if not span.parent]


@contextmanager
def sink() -> Iterator[Sink]:
    """Serve on a free port of this machine until the end of the block."""
    found = Sink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    server.daemon_threads = True
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(found: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            time.sleep(found.slow)
            found.headers.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
            if found.status == 200:
                found.bodies.append(body)
                found.spans.extend(_decoded(body))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the suite's output clean."""

    return Handler


def _decoded(body: bytes) -> Iterator[Sent]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _attributes(of_resource.resource.attributes)
        for span in (span for scope in of_resource.scope_spans for span in scope.spans):
            yield Sent(
                trace=span.trace_id.hex(),
                span=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                name=span.name,
                kind=span.kind,
                status=_STATUS[span.status.code],
                message=span.status.message,
                seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                attributes=_attributes(span.attributes),
                links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                service=resource["service.name"],
            )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
