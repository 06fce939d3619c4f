"""A small SMTP server for tests: one account, and of RFC 5321 what a sender of messages asks for.

with SmtpServer() as server:
    …
    (mail,) = server.mails
"""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

USER, PASSWORD = "ada@example.com", "a good password ä"


@dataclass(frozen=True, kw_only=True)
class Mail:
    sender: str
    recipients: tuple[str, ...]
    data: bytes


class SmtpServer:
    """``commands`` are what was asked, without passwords; ``lies`` answer a command, or ``DONE``, the end of DATA, in
    place of the server, an empty one by hanging up. With ``tls`` it speaks TLS from the start, or where ``security`` is
    ``starttls`` once it is asked to.
    """

    def __init__(
        self,
        *,
        offers: tuple[str, ...] = ("AUTH PLAIN LOGIN",),
        greeting: bytes = b"220 mail ready\r\n",
        tls: ssl.SSLContext | None = None,
        security: str = "none",
        password: str = PASSWORD,
    ) -> None:
        self.offers, self.greeting, self.tls, self.security = offers, greeting, tls, security
        self.password = password
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.lies: dict[str, bytes] = {}
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    _Session(owner, self.request).serve()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    @property
    def settings(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.port, "security": self.security}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Session:
    def __init__(self, server: SmtpServer, connected: socket.socket) -> None:
        self._server = server
        self._use(connected)
        self._is_in = False
        self._sender, self._recipients = "", list[str]()

    def _use(self, connected: socket.socket) -> None:
        self._connected: socket.socket = connected
        self._reads, self._writes = connected.makefile("rb"), connected.makefile("wb")

    def _secure(self) -> None:
        assert self._server.tls is not None
        self._use(self._server.tls.wrap_socket(self._connected, server_side=True))

    def serve(self) -> None:
        try:
            if self._server.tls is not None and self._server.security == "tls":
                self._secure()
            self._say(self._server.greeting)
            while line := self._reads.readline():
                if not self._answer(line.decode().strip()):
                    return
        finally:
            for each in (self._reads, self._writes, self._connected):
                with suppress(OSError):
                    each.close()

    def _answer(self, line: str) -> bool:
        name, _, rest = line.partition(" ")
        name = name.upper()
        self._server.commands.append(name if name == "AUTH" else line)
        key = next((key for key in (line.upper(), name) if key in self._server.lies), None)
        if key is not None:
            self._say(self._server.lies[key])
            return bool(self._server.lies[key])
        answer = getattr(self, f"_{name.lower()}", None)
        if answer is None:
            self._say(b"502 not known\r\n")
            return True
        return bool(answer(rest))

    def _say(self, data: bytes) -> bool:
        self._writes.write(data)
        self._writes.flush()
        return True

    def _ehlo(self, _rest: str) -> bool:
        secured = self._server.security != "starttls" or isinstance(self._connected, ssl.SSLSocket)
        offered = ("mail", *(self._server.offers if secured else ("STARTTLS",)))
        lines = [f"250{' ' if at == len(offered) - 1 else '-'}{each}\r\n" for at, each in enumerate(offered)]
        return self._say("".join(lines).encode())

    def _starttls(self, _rest: str) -> bool:
        self._say(b"220 go on\r\n")
        self._secure()
        return True

    def _auth(self, rest: str) -> bool:
        kind, _, given = rest.partition(" ")
        if kind == "PLAIN":
            _nobody, user, password = base64.b64decode(given).decode().split("\0")
        else:
            user = base64.b64decode(given or self._asked(b"VXNlcm5hbWU6")).decode()
            password = base64.b64decode(self._asked(b"UGFzc3dvcmQ6")).decode()
        self._is_in = (user, password) == (USER, self._server.password)
        return self._say(b"235 ok\r\n" if self._is_in else b"535 5.7.8 wrong: " + password.encode() + b"\r\n")

    def _asked(self, question: bytes) -> bytes:
        self._say(b"334 " + question + b"\r\n")
        return bytes(self._reads.readline())

    def _mail(self, rest: str) -> bool:
        self._sender, self._recipients = rest.partition("<")[2].partition(">")[0], []
        is_open = not any(offer.startswith("AUTH") for offer in self._server.offers)
        return self._say(b"250 ok\r\n" if self._is_in or is_open else b"530 sign in first\r\n")

    def _rcpt(self, rest: str) -> bool:
        self._recipients.append(rest.partition("<")[2].partition(">")[0])
        return self._say(b"250 ok\r\n")

    def _data(self, _rest: str) -> bool:
        self._say(b"354 go on\r\n")
        lines = []
        while (line := self._reads.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        if "DONE" in self._server.lies:
            self._say(self._server.lies["DONE"])
            return bool(self._server.lies["DONE"])
        self._server.mails.append(Mail(sender=self._sender, recipients=tuple(self._recipients), data=b"".join(lines)))
        return self._say(b"250 2.0.0 Ok: queued as 1\r\n")

    def _quit(self, _rest: str) -> bool:
        self._say(b"221 bye\r\n")
        return False
