"""A mail server of the suite: it takes what is sent, or refuses it as it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Sink:
    """``mails`` are (recipients, bytes); ``refused`` maps an address to the code that answers it."""

    port: int = 0
    mails: list[tuple[list[str], bytes]] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    data_code: int = 250


@contextmanager
def smtp_sink() -> Iterator[Sink]:
    """Serve on a free port of this machine until the end of the block."""
    sink = Sink()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    servers: list[asyncio.Server] = []

    def main() -> None:
        async def begin() -> None:
            server = await asyncio.start_server(lambda r, w: _talk(sink, r, w), "127.0.0.1", 0)
            servers.append(server)
            sink.port = server.sockets[0].getsockname()[1]
            ready.set()

        loop.run_until_complete(begin())
        loop.run_forever()

    thread = threading.Thread(target=main)
    thread.start()
    ready.wait(5)
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(servers[0].close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def _talk(sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    async def say(line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    to: list[str] = []
    await say("220 sink")
    while line := (await reader.readline()).decode().strip():
        word = line.split(" ")[0].upper()
        if word == "RCPT":
            address = line.partition("<")[2].partition(">")[0]
            code = sink.refused.get(address, 250)
            if code == 250:
                to.append(address)
            await say(f"{code} that is how it is")
        elif word == "DATA":
            await say("354 go on")
            body = b""
            while not body.endswith(b"\r\n.\r\n"):
                body += await reader.readline()
            if sink.data_code == 250:
                sink.mails.append((to, body[:-5]))
            to = []
            await say(f"{sink.data_code} so it is")
        elif word == "QUIT":
            await say("221 bye")
            break
        else:
            await say("250 all right")
    writer.close()
