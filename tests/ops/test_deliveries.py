"""A storm at a signed webhook: every good delivery is one run, every bad one is told why, and nothing answers 5xx."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.product import Product, product, step, wait_for, workflow

pytestmark = pytest.mark.crash

DELIVERIES: Final = 1_000
AT_ONCE: Final = 200
SECRET: Final = "the secret of the shop"


@pytest.fixture(scope="module")
def installation() -> Iterator[Product]:
    with product() as found:
        found.up()
        yield found


def signed(body: bytes, delivery: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest(),
        "X-GitHub-Delivery": delivery,
    }


def deliveries() -> list[tuple[str, dict[str, str], bytes]]:
    """Return what is sent as kind, headers and body; of twenty one is signed wrong, one no JSON, two come again."""
    found = []
    for number in range(DELIVERIES):
        body = json.dumps({"n": number}).encode()
        kind = {3: "unsigned", 7: "malformed", 11: "again", 15: "again"}.get(number % 20, "good")
        if kind == "malformed":
            body = body[:-1]
        headers = signed(body, f"d{number - 1 if kind == 'again' else number}")
        if kind == "unsigned":
            headers["X-Hub-Signature-256"] = "sha256=" + "0" * 64
        found.append((kind, headers, body))
    return found


async def send_all(address: str) -> list[tuple[str, int, str]]:
    room = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def send(kind: str, headers: dict[str, str], body: bytes) -> tuple[str, int, str]:
            async with room:
                answer = await client.post(address, headers=headers, content=body)
            said = answer.json()
            return kind, answer.status_code, str(said.get("id") or said["error"]["code"])

        return await asyncio.gather(*(send(*each) for each in deliveries()))


def test_a_storm_of_deliveries(installation: Product) -> None:
    secret = {"name": "shop", "provider": "webhook", "auth_type": "api_key", "secret": {"api_key": SECRET}}
    installation.api("POST", "credentials/", json=secret)
    document = workflow("Storm", [step("keep", "data.set", {"values": {"n": "{{ trigger.body.n }}"}})])
    hook = {"key": "hook", "type": "webhook", "config": {"signature": {"preset": "github", "credential": "shop"}}}
    number = installation.publish({**document, "triggers": [hook]})
    address = installation.address + installation.api("GET", f"triggers/?workflow={number}")["results"][0]["url"]
    answers = asyncio.run(send_all(address))

    told = {kind: Counter((status, word) for each, status, word in answers if each == kind) for kind, _, _ in answers}
    assert told["unsigned"] == {(401, "signature_invalid"): DELIVERIES // 20}
    assert told["malformed"] == {(400, "bad_json"): DELIVERIES // 20}
    kept = [(status, word) for kind, status, word in answers if kind in ("good", "again")]
    assert {status for status, _ in kept} == {200, 202}
    # Two that are the same may arrive the other way round; together they are one run.
    runs = {word for _, word in kept}
    assert len(runs) == sum(status == 202 for status, _ in kept) == DELIVERIES - DELIVERIES // 10 - DELIVERIES // 10

    def ended() -> int:
        count, cursor = 0, f"runs/?workflow={number}&limit=100"
        while cursor:
            page = installation.api("GET", cursor)
            count += sum(run["status"] == "succeeded" for run in page["results"])
            cursor = (page["next"] or "").partition("/api/v1/")[2]
        return count

    wait_for(lambda: ended() == len(runs), seconds=120, what="every run to end", every=0.5)
