"""The command as a person types it, and a server for what it asks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

from django.core.management import call_command

from tests.sdk.server import Reply, Server, serving

TOKEN = "xoxb-canary-f00d"


def integration(*words: str) -> str:
    out = StringIO()
    call_command("integration", *words, stdout=out, stderr=out)
    return out.getvalue()


@contextmanager
def server(reply: Reply) -> Iterator[Server]:
    """Serve from a thread: the command brings its own loop."""
    ready, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    found: list[Server] = []

    async def run() -> None:
        async with serving(reply) as made:
            found.append(made)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    ready.wait(5)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()
