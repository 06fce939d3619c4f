"""Triggers that poll, in a running product: each item of a feed is one run, also when the workers are killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.product import Product, product, step, wait_for, workflow

pytestmark = pytest.mark.crash


class Feed:
    """A feed that grows by one item with each request for it."""

    def __init__(self) -> None:
        self.items = 1
        self.address = ""
        self.grows = True

    def answer(self) -> bytes:
        items = "".join(f"<item><guid>{number}</guid></item>" for number in range(self.items, 0, -1))
        self.items += self.grows
        return f"<rss><channel><title>News</title>{items}</channel></rss>".encode()


@contextmanager
def feeding() -> Iterator[Feed]:
    feed = Feed()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = feed.answer()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    feed.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield feed
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bodies(installation: Product, number: str) -> list[int]:
    """Return the item of each run, in order."""
    found: list[dict[str, Any]] = []
    address = f"runs/?workflow={number}"
    while address:
        page = installation.api("GET", address)
        found += page["results"]
        address = page["next"].partition("/api/v1/")[2] if page["next"] else ""
    runs = [installation.api("GET", f"runs/{run['id']}/") for run in found]
    return sorted(int(run["payload"]["id"]) for run in runs)


def kill_workers(installation: Product) -> None:
    for process in installation.processes():
        if "-m runs.cluster" in process.arguments:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def test_each_item_is_one_run_through_kills() -> None:
    with feeding() as feed, product(EGRESS_ALLOW=feed.address) as installation:
        installation.up()
        inputs = {"url": f"http://{feed.address}/feed.xml"}
        config = {"trigger": "rss.newItem", "inputs": inputs, "interval": 10}
        trigger = {"key": "news", "type": "polling", "config": config}
        document = workflow("News", [step("keep", "data.set", {"values": {"a": 1}})], triggers=[trigger])
        number = installation.publish(document)
        wait_for(lambda: len(bodies(installation, number)) >= 1, seconds=60, what="a run of a new item")
        seen = feed.items
        kill_workers(installation)
        # A poll that was under way is made again when its lease is over.
        wait_for(lambda: feed.items > seen, seconds=120, what="a poll after a kill")
        feed.grows = False
        wait_for(
            lambda: bodies(installation, number) == list(range(2, feed.items + 1)),
            seconds=120,
            what=lambda: f"a run of each of {feed.items} items: {bodies(installation, number)}",
            every=1,
        )
