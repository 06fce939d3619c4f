"""Servers that only say that they are PostgreSQL: whatever they send is bounded, and none of it is a defect of ours."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest

from integrations.providers.postgres.session import MAX_RECEIVED
from integrations.sdk import InputError, IntegrationError, OutcomeUnknown, Transient
from tests.providers.pg_ground import failed, ran

URL: Final = "postgresql://x/any"
_MOST: Final = 4 * MAX_RECEIVED


def told(kind: bytes, body: bytes = b"") -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


def row(text: bytes) -> bytes:
    return told(b"D", (1).to_bytes(2) + len(text).to_bytes(4) + text)


def column(oid: int, name: bytes = b"a") -> bytes:
    return told(
        b"T", (1).to_bytes(2) + name + b"\0" + bytes(6) + oid.to_bytes(4) + b"\xff\xff" + b"\xff" * 4 + bytes(2)
    )


READY: Final = told(b"Z", b"T")
COMPLETE: Final = told(b"C", b"SELECT 1\0")
FLOOD: Final = column(25) + row(b"x" * 1_000_000) * 40
NOTICES: Final = told(b"N", b"SNOTICE\0MLook\0V" + b"x" * 20_000 + b"\0\0") * 50
# By what the client sends, what an honest server says to it.
USUAL: Final = {
    b"BEGIN": told(b"C", b"BEGIN\0") + READY,
    b"set_config": told(b"1") + told(b"2") + told(b"n") + COMPLETE + READY,
    b"P": told(b"1") + READY,
    b"D": told(b"t", bytes(2)) + column(25) + READY,
    b"B": told(b"2") + column(25) + row(b"x") + COMPLETE + READY,
    b"COMMIT": told(b"C", b"COMMIT\0") + told(b"Z", b"I"),
}


class Stranger:
    """Says ``said`` to what the client sends at ``at``, again and again where it is ``endless``."""

    def __init__(self, at: bytes, said: bytes, *, endless: bool = False) -> None:
        self.at, self.said, self.endless, self.sent = at, said, endless, 0

    def serve(self, client: socket.socket) -> None:
        client.recv(8_192)
        client.sendall(told(b"R", bytes(4)) + told(b"Z", b"I"))
        while asked := client.recv(65_536):
            known = next((word for word in USUAL if len(word) > 1 and word in asked), asked[:1])
            if known == b"X":
                return
            if known != self.at:
                client.sendall(USUAL[known])
                continue
            client.sendall(self.said)
            while self.endless and self.sent < _MOST:
                client.sendall(self.said)
                self.sent += len(self.said)
            client.sendall(READY)


@contextmanager
def listening(stranger: Stranger) -> Iterator[dict[str, Any]]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                stranger.serve(self.request)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield {"settings": {"port": server.server_address[1]}}
        server.shutdown()


def refusal(stranger: Stranger, **more: Any) -> IntegrationError:
    with listening(stranger) as there:
        return failed(URL, "SELECT 1", **there, **more)


@pytest.mark.parametrize("at", [b"BEGIN", b"set_config", b"P", b"D", b"B"])
@pytest.mark.parametrize("said", [FLOOD, NOTICES], ids=["rows", "notices"])
def test_no_answer_is_read_without_an_end(at: bytes, said: bytes) -> None:
    stranger = Stranger(at, said, endless=True)
    # Further rows than are wanted of a statement that changes something are read to their end.
    error = refusal(stranger, write=at == b"B")
    assert type(error) is InputError
    assert "sends more than 32 MB; nothing was changed" in error.message
    assert stranger.sent < _MOST


def test_of_a_commit_nobody_knows_whether_it_happened_that_is_answered_without_an_end() -> None:
    assert type(refusal(Stranger(b"COMMIT", FLOOD, endless=True), write=True)) is OutcomeUnknown


@pytest.mark.parametrize("at", [b"BEGIN", b"set_config", b"P", b"D", b"B"])
def test_no_answer_at_all_is_one_that_may_come_another_time(at: bytes) -> None:
    assert type(refusal(Stranger(at, b""))) is Transient


@pytest.mark.parametrize(
    ("oid", "sent", "value"),
    [
        (23, b"seven", "seven"),
        (17, b"\\000abc", "\\000abc"),
        (701, b"much", "much"),
        (1007, b"}{1,2}}", "}{1,2}}"),
        (1007, b"{x}", "{x}"),
        (25, b"caf\xe9", "caf\ufffd"),
        (3802, b"{'a'", "{'a'"),
    ],
)
def test_a_value_that_is_not_written_like_its_type_stays_a_text(oid: int, sent: bytes, value: str) -> None:
    said = told(b"2") + column(oid, b"n\xe4me") + row(sent) + COMPLETE
    with listening(Stranger(b"B", said)) as there:
        assert ran(URL, "SELECT 1", **there)["rows"] == [{"n\ufffdme": value}]
