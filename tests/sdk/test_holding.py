"""A wire that sends nothing: the first request is kept as it is without its credential, and the call ends there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integrations.sdk import ApiKey, Basic, BearerToken
from integrations.sdk.auth import AuthKind
from integrations.sdk.client import StepHttp
from integrations.sdk.holding import Held, HeldRequest, HoldingWire


def held(kind: AuthKind | None, auth: dict[str, Any], hosts: tuple[str, ...] | None = None) -> HeldRequest:
    wire = HoldingWire()
    sign = None if kind is None else lambda request: kind.apply(request, auth, {})
    client = StepHttp(
        wire=wire, base_url="https://a.test/bot:token", authorize=wire.keeping(sign), auth_hosts=hosts,
        deadline=datetime.now(UTC) + timedelta(seconds=5),
    )  # fmt: skip

    async def call() -> None:
        # Neither of what an action does when a request failed.
        try:
            await client.post("first", json={"a": 1}, params={"q": "x"}, headers={"Authorization": "own"})
        except Exception:
            await client.post("second")

    with pytest.raises(Held):
        asyncio.run(call())
    assert wire.held is not None
    assert "secret" not in repr(wire) + repr(wire.held)
    return wire.held


@pytest.mark.parametrize(
    ("kind", "auth", "added"),
    [
        (BearerToken(), {"token": "secret"}, (("authorization",), (), False)),
        (Basic(), {"username": "ada", "password": "secret"}, (("authorization",), (), False)),
        (ApiKey(header="X-Key"), {"api_key": "secret"}, (("x-key",), (), False)),
        (ApiKey(query="key"), {"api_key": "secret"}, ((), ("key",), False)),
        (ApiKey(path=":token"), {"api_key": "secret"}, ((), (), True)),
        (None, {}, ((), (), False)),
    ],
)
def test_what_the_credential_would_add_is_named_and_not_kept(kind: AuthKind | None, auth: Any, added: Any) -> None:
    found = held(kind, auth)
    assert (found.added_headers, found.added_query, found.in_path) == added
    assert found.is_signed == (kind is not None)
    assert str(found.url) == "https://a.test/bot:token/first?q=x"
    assert ("Authorization", "own") in found.headers
    assert found.body == b'{"a":1}'
    assert "secret" not in str((found.url, found.headers, found.body))


def test_what_goes_to_a_host_that_is_not_its_own_has_no_credential() -> None:
    assert not held(BearerToken(), {"token": "secret"}, ("b.test",)).is_signed


def test_of_several_requests_at_once_the_first_is_kept() -> None:
    wire = HoldingWire()
    client = StepHttp(wire=wire, base_url="https://a.test", deadline=datetime.now(UTC) + timedelta(seconds=5))

    async def call() -> None:
        found = await asyncio.gather(*(client.get(f"{number}") for number in range(3)), return_exceptions=True)
        assert all(isinstance(each, Held) for each in found)

    asyncio.run(call())
    assert wire.held is not None
    assert wire.held.url == httpx.URL("https://a.test/0")
