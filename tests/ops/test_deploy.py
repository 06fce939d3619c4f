"""A new release takes over from the old one while requests come and runs go on: nothing is lost or done twice."""

from __future__ import annotations

import dataclasses
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx
import pytest

from tests.product import Product, free_port, product, step, wait_for, workflow
from tests.services import postgres_database
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.crash

SENDERS: Final = 4
PAUSE: Final = 0.05
SETTLED: Final = 2.0


@pytest.fixture
def called() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture
def installation(called: Upstream) -> Iterator[Product]:
    host = called.address.removeprefix("http://")
    with postgres_database() as database, product(keys=True, DATABASE_URL=database, EGRESS_ALLOW=host) as found:
        found.environment["WORKERS"] = "1"
        found.manage("setup", "--no-demo")
        found.token = found.make_token()
        yield found


@dataclass(kw_only=True)
class Proxy:
    """Sends requests to the servers that there are, and to another one where a connection is refused, and then alone.

    ``accepted`` are the runs by what was sent, ``broken`` what was said instead.
    """

    path: str
    servers: list[str]
    accepted: dict[int, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def send(self, first: int) -> None:
        number = first
        # A connection a request, as proxies do by default: on one that is kept, the server may close while it is used.
        with httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0)) as client:
            while not self.over.is_set():
                self._deliver(client, number)
                number += SENDERS
                time.sleep(PAUSE)

    def _deliver(self, client: httpx.Client, number: int) -> None:
        for server in list(self.servers):
            with suppress(httpx.ConnectError):
                try:
                    answer = client.post(f"{server}{self.path}", json={"n": number})
                except httpx.TransportError as error:
                    if isinstance(error, httpx.ConnectError):
                        raise
                    self.broken.append(f"{number} at {server}: {error!r}")
                    return
                if answer.status_code == 202:
                    self.accepted[number] = answer.json()["id"]
                else:
                    self.broken.append(f"{number} at {server}: {answer.status_code} {answer.text}")
                return
        self.broken.append(f"{number}: no server took it")


def stopped(top: subprocess.Popen[bytes]) -> int:
    top.terminate()
    return top.wait(timeout=40)


def statuses(found: Product, number: str) -> Counter[str]:
    count: Counter[str] = Counter()
    cursor = f"runs/?workflow={number}&limit=100"
    while cursor:
        page = found.api("GET", cursor)
        count.update(run["status"] for run in page["results"])
        cursor = (page["next"] or "").partition("/api/v1/")[2]
    return count


def test_web_and_workers_are_replaced_one_after_the_other(installation: Product, called: Upstream) -> None:
    old_web = installation.start("web", "--port", str(installation.port))
    old_worker = installation.start("worker", ready=False)
    call = {"method": "PUT", "url": f"{called.address}/{{{{ trigger.body.n }}}}?slow=0.4"}
    steps = [step("call", "http.request", call), step("keep", "data.set", {"values": {"n": "{{ trigger.body.n }}"}})]
    made = installation.publish(workflow("Deployed", steps))
    hook = next(row for row in installation.api("GET", f"triggers/?workflow={made}")["results"] if row["key"] == "hook")
    proxy = Proxy(path=str(hook["url"]), servers=[installation.address])
    senders = [threading.Thread(target=proxy.send, args=(first,)) for first in range(SENDERS)]
    for sender in senders:
        sender.start()
    try:
        wait_for(lambda: called.count()["/8"], seconds=30, what=lambda: installation.log)

        installation.manage("setup", "--no-demo")
        new_worker = installation.start("worker", ready=False)
        time.sleep(SETTLED)
        assert stopped(old_worker) == 0

        new = dataclasses.replace(installation, port=free_port())
        new_web = new.start("web", "--port", str(new.port))
        proxy.servers.append(new.address)
        time.sleep(SETTLED)
        assert stopped(old_web) == 0
        proxy.servers.remove(installation.address)
        time.sleep(SETTLED)
    finally:
        proxy.over.set()
        for sender in senders:
            sender.join()

    assert proxy.broken == []
    sent = len(proxy.accepted)
    assert sent > SENDERS * 10
    assert len(set(proxy.accepted.values())) == sent
    wait_for(lambda: statuses(new, made)["succeeded"] == sent, seconds=60, what=lambda: f"{statuses(new, made)}")
    assert statuses(new, made).total() == sent, "no run but those that were told"
    assert called.count() == {f"/{number}": 1 for number in proxy.accepted}
    assert (new_worker.poll(), new_web.poll()) == (None, None)
