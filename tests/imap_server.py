"""A small IMAP server for tests: one account, a few mailboxes, and of RFC 3501 what a reader of messages asks for.

with ImapServer() as server:
    server.deliver(b"Subject: hi\\r\\n\\r\\nHello")
"""

from __future__ import annotations

import base64
import re
import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

USER, PASSWORD = "ada", "a good password ä"
_LINE = re.compile(rb"(\S+) (UID )?(\S+) ?(.*)", re.DOTALL)


@dataclass
class Box:
    validity: int = 7
    next: int = 1
    messages: dict[int, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)


class ImapServer:
    """``plain`` offers AUTHENTICATE PLAIN; ``commands`` are what was asked, without passwords.

    With ``tls`` it speaks TLS from the start, or where ``security`` is ``starttls`` once it is asked to.
    """

    def __init__(
        self,
        *,
        plain: bool = True,
        greeting: bytes = b"* OK ready\r\n",
        tls: ssl.SSLContext | None = None,
        security: str = "none",
    ) -> None:
        self.plain, self.greeting, self.tls, self.security = plain, greeting, tls, security
        self.boxes: dict[str, Box] = {"INBOX": Box()}
        self.commands: list[str] = []
        self.lies: dict[str, bytes] = {}
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # Whoever refuses the certificate hangs up in the middle.
                session = _Session(owner, self.request)
                with suppress(OSError):
                    session.serve()
                session.close()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])

    @property
    def settings(self) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self.port, "security": self.security}

    def deliver(self, message: bytes, box: str = "INBOX") -> int:
        found = self.boxes.setdefault(box, Box())
        number, found.next = found.next, found.next + 1
        found.messages[number] = message
        return number

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Session:
    def __init__(self, server: ImapServer, connected: socket.socket) -> None:
        self._server = server
        self._use(connected)
        self._box: Box | None = None
        self._is_in = self._may_write = False

    def _use(self, connected: socket.socket) -> None:
        self._connected: socket.socket = connected
        self._reads, self._writes = connected.makefile("rb"), connected.makefile("wb")

    def _secure(self) -> None:
        assert self._server.tls is not None
        self._use(self._server.tls.wrap_socket(self._connected, server_side=True))

    def close(self) -> None:
        for each in (self._reads, self._writes, self._connected):
            with suppress(OSError):
                each.close()

    def serve(self) -> None:
        try:
            if self._server.tls is not None and self._server.security == "tls":
                self._secure()
            self._say(self._server.greeting)
            while line := self._reads.readline():
                match = _LINE.fullmatch(line.rstrip(b"\r\n"))
                if match is None:
                    return
                tag, by_uid, name, rest = match.groups()
                if not self._answer(tag, name.upper().decode(), rest, by_uid=bool(by_uid)):
                    return
        except (ConnectionError, ValueError):
            return

    def _answer(self, tag: bytes, name: str, rest: bytes, *, by_uid: bool) -> bool:
        shown = "" if name in ("LOGIN", "AUTHENTICATE") else rest.decode()
        self._server.commands.append(f"{'UID ' if by_uid else ''}{name} {shown}".strip())
        if name in self._server.lies:
            self._say(self._server.lies[name].replace(b"{tag}", tag))
            return True
        answer = getattr(self, f"_{name.lower()}", None)
        if answer is None or (by_uid and not (self._is_in and self._box)):
            self._say(tag + b" BAD not known here\r\n")
            return True
        self._say(tag + b" " + answer(rest) + b" done\r\n")
        if name == "STARTTLS":
            self._secure()
        return name != "LOGOUT"

    def _say(self, data: bytes) -> None:
        self._writes.write(data)
        self._writes.flush()

    def _capability(self, _rest: bytes) -> bytes:
        offered = b" AUTH=PLAIN" if self._server.plain else b""
        if self._offers_tls:
            offered = b" STARTTLS LOGINDISABLED"
        self._say(b"* CAPABILITY IMAP4rev1" + offered + b"\r\n")
        return b"OK"

    @property
    def _offers_tls(self) -> bool:
        return self._server.security == "starttls" and not isinstance(self._connected, ssl.SSLSocket)

    def _starttls(self, _rest: bytes) -> bytes:
        return b"OK begin, it is" if self._offers_tls else b"BAD no"

    def _signed_in(self, user: str, password: str) -> bytes:
        self._is_in = (user, password) == (USER, PASSWORD)
        return b"OK" if self._is_in else b"NO [AUTHENTICATIONFAILED] wrong: " + password.encode()

    def _authenticate(self, _rest: bytes) -> bytes:
        self._say(b"+ \r\n")
        _, user, password = base64.b64decode(self._reads.readline()).decode().split("\0")
        return self._signed_in(user, password)

    def _login(self, rest: bytes) -> bytes:
        user, _, password = rest.decode().partition(" ")
        return self._signed_in(user.strip('"'), password.strip('"'))

    def _select(self, rest: bytes) -> bytes:
        self._box, self._may_write = self._server.boxes.get(rest.decode().strip('"')), True
        if self._box is None or not self._is_in:
            return b"NO no such mailbox"
        self._say(f"* {len(self._box.messages)} EXISTS\r\n".encode())
        self._say(f"* OK [UIDVALIDITY {self._box.validity}]\r\n* OK [UIDNEXT {self._box.next}]\r\n".encode())
        return b"OK [READ-WRITE]"

    def _examine(self, rest: bytes) -> bytes:
        said = self._select(rest)
        self._may_write = False
        return said.replace(b"READ-WRITE", b"READ-ONLY")

    def _search(self, rest: bytes) -> bytes:
        assert self._box is not None
        first = int(rest.decode().removeprefix("UID ").partition(":")[0])
        numbers = sorted(self._box.messages)
        # "*" is the last one, so that it is always among them.
        found = [number for number in numbers if number >= min(first, numbers[-1])]
        self._say(b"* SEARCH " + " ".join(map(str, found)).encode() + b"\r\n")
        return b"OK"

    def _fetch(self, rest: bytes) -> bytes:
        assert self._box is not None
        wanted, _, what = rest.decode().partition(" ")
        part = re.search(r"BODY\.PEEK\[\]<0\.(\d+)>", what)
        for place, number in enumerate(sorted(self._box.messages), 1):
            if str(number) not in wanted.split(","):
                continue
            raw = self._box.messages[number]
            if part is None:
                self._say(f"* {place} FETCH (UID {number} RFC822.SIZE {len(raw)})\r\n".encode())
                continue
            cut = raw[: int(part[1])]
            self._say(f"* {place} FETCH (UID {number} BODY[]<0> {{{len(cut)}}}\r\n".encode() + cut + b")\r\n")
        return b"OK"

    def _store(self, rest: bytes) -> bytes:
        assert self._box is not None
        if not self._may_write:
            return b"NO read-only"
        self._box.seen |= {int(number) for number in rest.decode().partition(" ")[0].split(",")}
        return b"OK"

    def _logout(self, _rest: bytes) -> bytes:
        self._say(b"* BYE\r\n")
        return b"OK"
