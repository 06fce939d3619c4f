"""What stands between a client and PostgreSQL in tests: it adds TLS, breaks off, stops or asks for a password.

with Relay(cut_at=b"COMMIT") as relay: connect to 127.0.0.1, relay.port
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Self

from tests.services import POSTGRES

_ASK_TLS = 80877103


class Relay:
    """``cut_at`` and ``stall_at`` are what a client sends for which the connection ends, or nothing more is said.

    With ``password`` it asks for one in the clear, as no honest server does, and keeps it in ``passwords``.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        cut_at: bytes = b"",
        stall_at: bytes = b"",
        password: bool = False,
        greeting: bytes = b"",
    ) -> None:
        self.tls, self.cut_at, self.stall_at, self.asks, self.greeting = tls, cut_at, stall_at, password, greeting
        self.passwords: list[bytes] = []
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    owner._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, client: Any) -> None:
        if self.greeting:
            client.recv(1_000)
            client.sendall(self.greeting)
            client.close()
            return
        begins = client.recv(8, socket.MSG_PEEK)
        if self.tls is not None and int.from_bytes(begins[4:8]) == _ASK_TLS:
            client.recv(8)
            client.sendall(b"S")
            client = self.tls.wrap_socket(client, server_side=True)
        if self.asks:
            client.recv(1_000)
            client.sendall(b"R" + (8).to_bytes(4) + (3).to_bytes(4))
            answered = client.recv(1_000)
            if answered[:1] == b"p":
                self.passwords.append(answered[5:-1])
            client.close()
            return
        with socket.create_connection(POSTGRES) as server:
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()
            while data := client.recv(65_536):
                if self.cut_at and self.cut_at in data:
                    break
                if self.stall_at and self.stall_at in data:
                    time.sleep(1)
                    break
                server.sendall(data)
            # Whoever reads from it in another thread would keep it open.
            server.shutdown(socket.SHUT_RDWR)
        client.close()

    def _back(self, server: socket.socket, client: Any) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
