"""The guard at the socket, attacked over real connections."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from integrations.sdk import InputError, Permanent
from integrations.sdk.decoding import BodyTooLarge
from integrations.sdk.http import AddressRefused
from tests.sdk.server import Names, Seen, Server, answer, client, pool, routes, serving, soon

OK = answer(body=b"reached")


async def refused(url: str, *allow: str, **options: Any) -> AddressRefused:
    async with client(*allow, **options) as http:
        with pytest.raises(AddressRefused) as caught:
            await http.get(url)
    return caught.value


def against(test: Callable[[Server], Awaitable[None]], *, host: str = "127.0.0.1") -> list[Seen]:
    """Run a test against a server that answers everything, and return what arrived there."""

    async def run() -> list[Seen]:
        async with serving(OK, host=host) as server:
            await test(server)
            return server.requests

    return asyncio.run(run())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",  # noqa: S104
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "127%2e0%2e0%2e1",
    ],
)
def test_no_spelling_of_our_own_machine_is_reached(host: str) -> None:
    async def test(server: Server) -> None:
        async with client() as http:
            with pytest.raises((AddressRefused, InputError)):
                await http.get(f"http://{host}:{server.port}/")

    assert against(test) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@127.0.0.1/",
        "http://good.example@127.0.0.1/",
        "http://127.0.0.1\\@good.example/",
        "http://good.example#@127.0.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "unix:///var/run/docker.sock",
        "http://",
        "http:///x",
        "//127.0.0.1/",
        "127.0.0.1/x",
        "http://[::1/",
        "http://a b/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://exa\nmple.com/",
        "http://\x00.example/",
        "",
    ],
)
def test_an_address_that_is_no_plain_http_url_reaches_nothing(url: str) -> None:
    async def run() -> None:
        async with client(seconds=2, resolver=Names(good_example=[["127.0.0.1"]])) as http:
            with pytest.raises((InputError, AddressRefused)):
                await http.get(url)

    asyncio.run(run())


def test_a_name_that_leads_inside_is_refused_without_telling_where_it_leads() -> None:
    names = Names(internal_example=[["10.1.2.3"]])
    error = asyncio.run(refused("http://internal.example/", resolver=names))
    assert "internal.example" in error.message
    assert "10.1.2.3" not in error.message + error.hint + error.detail


def test_a_name_that_changes_its_answer_is_resolved_once_and_the_answer_checked_is_the_one_connected_to() -> None:
    async def test(server: Server) -> None:
        names = Names(rebind_example=[["127.0.0.1"], ["93.184.216.34"]])
        error = await refused(f"http://rebind.example:{server.port}/", resolver=names)
        assert "loopback" in error.message
        assert names.asked == ["rebind.example"]
        # The other way round: first a public answer that does not connect, then ours. It is never asked for again.
        names = Names(rebind_example=[["203.0.113.1"], ["127.0.0.1"]])
        await refused(f"http://rebind.example:{server.port}/", resolver=names)
        assert names.asked == ["rebind.example"]

    assert against(test) == []


def test_of_several_answers_those_that_lead_inside_are_left_out() -> None:
    async def test(server: Server) -> None:
        names = Names(mixed_example=[["10.255.255.1", "127.0.0.1"]])
        async with client("127.0.0.1", resolver=names) as http:
            assert (await http.get(f"http://mixed.example:{server.port}/")).text == "reached"

    assert len(against(test)) == 1


def test_an_ipv6_address_of_our_own_machine_is_refused_and_may_be_allowed() -> None:
    async def test(server: Server) -> None:
        await refused(f"http://[::1]:{server.port}/")
        async with client(f"[::1]:{server.port}") as http:
            assert (await http.get(f"http://[::1]:{server.port}/")).text == "reached"

    assert len(against(test, host="::1")) == 1


def test_what_the_operator_allows_is_reached() -> None:
    async def test(server: Server) -> None:
        for allow in ("127.0.0.0/8", "127.0.0.1", f"127.0.0.1:{server.port}"):
            async with client(allow) as http:
                assert (await http.get(server.url)).text == "reached"
        async with client(origins=(f"{server.url}/slack/api",)) as http:
            assert (await http.get(f"{server.url}/x")).text == "reached"
        async with client("inner.example", resolver=Names(inner_example=[["127.0.0.1"]])) as http:
            assert (await http.get(f"http://inner.example:{server.port}/")).text == "reached"
        await refused(server.url, "10.0.0.0/8", f"127.0.0.1:{server.port + 1}")

    assert len(against(test)) == 5


def test_a_connection_opened_for_the_health_page_serves_nothing_else() -> None:
    async def test(server: Server) -> None:
        health = f"{server.url}/healthz"
        async with client(health_url=health) as http:
            assert (await http.get(health)).text == "reached"
            for method, url in (("POST", health), ("GET", f"{server.url}/api"), ("GET", f"{health}?x")):
                with pytest.raises(AddressRefused):
                    await http.request(method, url)

    assert [seen.path for seen in against(test)] == ["/healthz"]


def test_a_redirect_is_checked_as_the_first_address_was() -> None:
    async def run() -> None:
        async with serving(OK, host="127.0.0.2") as inner:
            leads = answer("302 Found", Location=f"http://127.0.0.2:{inner.port}/secrets")
            async with serving(leads) as outer:
                error = await refused(outer.url, f"127.0.0.1:{outer.port}")
                assert "127.0.0.2" in error.message
            assert inner.requests == []

    asyncio.run(run())


def test_a_workspaces_own_list_narrows_every_hop_and_allows_nothing_private() -> None:
    async def run() -> None:

        async with (
            serving(OK, host="127.0.0.2") as inner,
            serving(answer("302 Found", Location=f"http://127.0.0.2:{inner.port}")) as outer,
        ):
            allow = "127.0.0.0/8"
            error = await refused(f"http://127.0.0.2:{inner.port}", allow, egress_allow=["127.0.0.1"])
            assert "workspace" in error.message
            await refused(outer.url, allow, egress_allow=["127.0.0.1"])
            await refused(f"http://127.0.0.2:{inner.port}", egress_allow=["127.0.0.2"])
            assert inner.requests == []
            async with client(allow, egress_allow=["127.0.0.1", "127.0.0.2"]) as http:
                assert (await http.get(outer.url)).status_code == 200

    asyncio.run(run())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(server: Server) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, server.url)
        await refused("http://127.0.0.3/")

    assert against(test) == []


BOMB = gzip.compress(bytes(50 * 1024 * 1024), compresslevel=9)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", BOMB),
        ("gzip, gzip", gzip.compress(BOMB)),
        ("deflate", zlib.compress(bytes(50 * 1024 * 1024))),
        ("gzip", gzip.compress(bytes(600_000)) * 40),
        ("identity", bytes(2_000_000)),
    ],
)
def test_a_body_is_measured_as_it_is_unpacked(encoding: str, body: bytes) -> None:
    async def run() -> None:
        async with (
            serving(answer(body=body, Content_Encoding=encoding)) as server,
            client("127.0.0.1", max_bytes=1_000_000) as http,
        ):
            with pytest.raises(BodyTooLarge, match="1,000,000"):
                await http.get(server.url)

    asyncio.run(run())


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip, gzip", "made-up"])
def test_an_encoding_that_was_not_asked_for_is_an_error(encoding: str) -> None:
    async def run() -> None:
        async with serving(answer(body=b"x", Content_Encoding=encoding)) as server, client("127.0.0.1") as http:
            with pytest.raises(Permanent, match="nobody asked for"):
                await http.get(server.url)
            assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"

    asyncio.run(run())


def test_packed_answers_within_the_limit_are_read() -> None:
    text = "täxt " * 1000
    packed = {
        "gzip": gzip.compress(text.encode()),
        "deflate": zlib.compress(text.encode()),
        "x-gzip": gzip.compress(b"") + gzip.compress(text.encode()),
        "gzip, deflate": zlib.compress(gzip.compress(text.encode())),
    }
    packed_raw = zlib.compressobj(wbits=-15)
    bare = packed_raw.compress(text.encode()) + packed_raw.flush()

    async def run() -> None:
        for encoding, body in [*packed.items(), ("deflate", bare)]:
            async with serving(answer(body=body, Content_Encoding=encoding)) as server, client("127.0.0.1") as http:
                assert (await http.get(server.url)).text == text

    asyncio.run(run())


def test_a_broken_packed_body_is_an_error() -> None:
    async def run() -> None:
        async with serving(answer(body=b"not gzip", Content_Encoding="gzip")) as server, client("127.0.0.1") as http:
            with pytest.raises(Permanent, match="broken"):
                await http.get(server.url)

    asyncio.run(run())


def test_a_server_keeps_no_cookie_with_us() -> None:
    async def run() -> None:
        async with serving(answer(Set_Cookie="session=tenant-one")) as server, pool("127.0.0.1") as shared:
            for _ in range(2):
                await shared.client(deadline=soon()).get(server.url)
            assert server.connections == 1
            assert all("cookie" not in seen.headers for seen in server.requests)

    asyncio.run(run())


def test_redirects_end_after_ten() -> None:
    async def run() -> None:
        async with serving(routes(root=answer("302 Found", Location="/"))) as server, client("127.0.0.1") as http:
            with pytest.raises(Permanent, match="more than 10 times"):
                await http.get(server.url)
            assert len(server.requests) == 11

    asyncio.run(run())


def test_a_redirect_to_another_scheme_or_to_nowhere_is_not_followed() -> None:
    async def run() -> None:
        for location in ("file:///etc/passwd", "http://u:p@127.0.0.1/", "http://[::1/", "http://x\\@y:99999/"):
            async with serving(answer("302 Found", Location=location)) as server, client("127.0.0.1") as http:
                with pytest.raises(Permanent, match="cannot be followed"):
                    await http.get(server.url)

    asyncio.run(run())
