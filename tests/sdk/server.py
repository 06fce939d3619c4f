"""A server on 127.0.0.1 that speaks exactly the bytes a test wants, well-formed or not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from integrations.sdk.http import EgressPolicy, HttpPool, StepHttp


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    port: int
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> Reply:
    """Return a reply of one well-formed answer; underscores in header names become dashes."""
    head = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())

    async def reply(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)

    return reply


def routes(**by_name: Reply) -> Reply:
    """Return a reply that picks by the first part of the path; ``root`` answers ``/``."""

    async def reply(seen: Seen, writer: asyncio.StreamWriter) -> None:
        name = seen.path.strip("/").partition("/")[0].partition("?")[0] or "root"
        await by_name[name](seen, writer)

    return reply


@asynccontextmanager
async def serving(reply: Reply, *, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """Serve ``reply`` on a free port."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while seen := await _read(reader):
                server.requests.append(seen)
                await reply(seen, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = await asyncio.start_server(converse, host, 0, family=family)
    server = Server(port=listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, body)


class Names(AbstractResolver):
    """Answers names from a table, one list of addresses after the other: a second look-up may get another answer."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(lists) for name, lists in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        lists = self.answers[host]
        addresses = lists.pop(0) if len(lists) > 1 else lists[0]
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        pass


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


def soon(seconds: float = 5) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@asynccontextmanager
async def pool(*allow: str, **options: Any) -> AsyncIterator[HttpPool]:
    """A pool that may reach what ``allow`` says, and by default public addresses only."""
    names = options.pop("resolver", None)
    made = HttpPool(EgressPolicy(allow=allow, **options), resolver=names)
    try:
        yield made
    finally:
        await made.aclose()


@asynccontextmanager
async def client(*allow: str, seconds: float = 5, **options: Any) -> AsyncIterator[StepHttp]:
    """A client of one attempt over a pool of its own."""
    pool_options = {name: options.pop(name) for name in ("origins", "health_url", "resolver") if name in options}
    async with pool(*allow, **pool_options) as made:
        yield made.client(deadline=soon(seconds), **options)
