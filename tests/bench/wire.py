"""A server and a client that cost next to nothing, so that the product is what is measured.

Run as ``python -m tests.bench.wire PORT`` it serves: every request is answered with a small JSON body, ``/slow`` after
200 ms; ``/arrivals`` answers when requests with ``?at=`` arrived, as ``{"<at>": <monotonic seconds>}``.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

SLOW_SECONDS: Final = 0.2
_BODY: Final = b'{"ok": true, "name": "Ada"}'
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_arrivals: dict[str, float] = {}


class Answering(asyncio.Protocol):
    """One connection of the server."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            length = _length(head)
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, target: str) -> None:
        if "?at=" in target:
            _arrivals[target.partition("?at=")[2]] = time.monotonic()
        if target.startswith("/slow"):
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._write, _BODY)
        elif target.startswith("/arrivals"):
            self._write(json.dumps(_arrivals).encode())
        else:
            self._write(_BODY)

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % len(body) + body)


class Posting(asyncio.Protocol):
    """One connection of the client, which sends the next request when the last is answered."""

    def __init__(self, take: Callable[[], bytes | None], done: Callable[[], None]) -> None:
        self._take, self._done = take, done
        self._buffer = b""
        self.statuses: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = self._take()
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _length(head):
            return
        self._buffer = b""
        status = head[9:12].decode()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def request(port: int, target: str, body: bytes) -> bytes:
    """Return a POST as bytes."""
    return (
        f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def post_all(port: int, requests: Sequence[bytes], *, at_once: int) -> dict[str, int]:
    """Send every request over ``at_once`` connections; return how many answers had which status."""

    async def main() -> dict[str, int]:
        loop = asyncio.get_running_loop()
        waiting = list(reversed(requests))
        ended = [loop.create_future() for _ in range(at_once)]

        def done(future: asyncio.Future[None]) -> Callable[[], None]:
            return lambda: future.set_result(None)

        clients = []
        for future in ended:
            made = Posting(lambda: waiting.pop() if waiting else None, done(future))
            clients.append(made)
            await loop.create_connection(lambda made=made: made, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*ended)
        total: dict[str, int] = {}
        for client in clients:
            for status, count in client.statuses.items():
                total[status] = total.get(status, 0) + count
        return total

    return asyncio.run(main())


def post_timed(port: int, requests: Sequence[bytes]) -> list[float]:
    """Send one after the other over one connection; return milliseconds for each. Raises AssertionError but for 202."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            began = time.monotonic()
            connection.sendall(request)
            answer = connection.recv(65536)
            while (parts := answer.partition(b"\r\n\r\n")) and len(parts[2]) < _length(parts[0]):
                answer += connection.recv(65536)
            times.append((time.monotonic() - began) * 1000)
            assert answer[9:12] == b"202", answer
    return times


class Timing(asyncio.Protocol):
    """One connection of a client that sends at a fixed rate; it is given back once its request is answered."""

    def __init__(self, free: list[Timing], times: list[float], statuses: dict[str, int]) -> None:
        self._free, self._times, self._statuses = free, times, statuses
        self._buffer, self._due = b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _length(head):
            return
        self._buffer = b""
        self._answered(head[9:12].decode())
        self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due:
            self._answered("lost")

    def _answered(self, status: str) -> None:
        self._times.append((time.monotonic() - self._due) * 1000)
        self._statuses[status] = self._statuses.get(status, 0) + 1
        self._due = 0.0


def post_at_rate(port: int, request: bytes, *, rate: float, seconds: float) -> tuple[list[float], dict[str, int]]:
    """Send so many a second, whether or not those before are answered; return milliseconds and counts by status.

    A time counts from when a request was due, so that one that had to wait for the client counts its wait too. What is
    not answered within ten seconds after the last is counted as ``none``.
    """

    async def main() -> tuple[list[float], dict[str, int]]:
        loop = asyncio.get_running_loop()
        free: list[Timing] = []
        times: list[float] = []
        statuses: dict[str, int] = {}
        every: list[Timing] = []

        async def connected() -> Timing:
            _transport, made = await loop.create_connection(lambda: Timing(free, times, statuses), "127.0.0.1", port)
            every.append(made)
            return made

        free += [await connected() for _ in range(16)]
        count, began = round(rate * seconds), time.monotonic()
        for number in range(count):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            (free.pop() if free else await connected()).send(request, due)
        end = time.monotonic() + 10
        while len(times) < count and time.monotonic() < end:
            await asyncio.sleep(0.01)
        if len(times) < count:
            statuses["none"] = count - len(times)
        for each in every:
            each.transport.abort()
        return list(times), dict(statuses)

    return asyncio.run(main())


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
