"""The client of a step, over real connections on 127.0.0.1."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest

from integrations.sdk import AuthError, InputError, IntegrationError, OutcomeUnknown, Permanent, Timeout, Transient
from integrations.sdk.http import StepHttp
from tests.sdk.server import Reply, Seen, Server, answer, client, pool, routes, serving, soon

SECRET = "canary-f00dfeed-secret"
LOCAL = "127.0.0.0/8"


def bearer(request: httpx.Request) -> None:
    request.headers["Authorization"] = f"Bearer {SECRET}"


def talk(reply: Reply, test: Callable[[StepHttp, Server], Awaitable[Any]], **options: Any) -> list[Seen]:
    """Run a test with a client of a server, and return what arrived there."""

    async def run() -> list[Seen]:
        async with serving(reply) as server, client(LOCAL, **options) as http:
            await test(http, server)
            return server.requests

    return asyncio.run(run())


def failure(
    reply: Reply, method: str = "GET", *, url: str = "", seconds: float = 5, **options: Any
) -> IntegrationError:
    """Send one request that must fail and return its error."""
    errors: list[IntegrationError] = []

    async def test(http: StepHttp, server: Server) -> None:
        with pytest.raises(IntegrationError) as caught:
            await http.request(method, url or server.url, **options)
        errors.append(caught.value)

    talk(reply, test, seconds=seconds)
    return errors[0]


async def hang_up(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def say_nothing(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def drip(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def half(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")
    await writer.drain()
    writer.close()


async def gibberish(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 what is this?\r\n\r\n")
    await writer.drain()
    writer.close()


def test_a_relative_path_joins_the_providers_root_and_carries_the_credential() -> None:
    async def run() -> list[Seen]:
        async with serving(answer(body=b'{"ok": true}')) as server:
            async with client(
                LOCAL, base_url=f"{server.url}/slack/api/", authorize=bearer, auth_hosts=[server.url]
            ) as http:
                for path in ("chat.postMessage", "/chat.postMessage"):
                    response = await http.post(path, json={"text": "hé"}, params={"a": "1 &", "b": ["x", "y"]})
                    assert response.json() == {"ok": True}
                    assert "authorization" not in response.request.headers
                    assert SECRET not in repr((response, response.request, http, response.url))
            return server.requests

    first, second = asyncio.run(run())
    assert first.method == "POST"
    assert first.path == second.path == "/slack/api/chat.postMessage?a=1+%26&b=x&b=y"
    assert first.headers["authorization"] == f"Bearer {SECRET}"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["user-agent"].startswith("Orchestrator/")
    assert json.loads(first.body) == {"text": "hé"}


def test_only_the_hosts_it_belongs_to_get_the_credential() -> None:
    async def run() -> tuple[list[Seen], list[str]]:
        async with serving(answer()) as own, serving(answer()) as other:
            async with client(LOCAL, authorize=bearer, auth_hosts=[own.url]) as http:
                await http.get(own.url)
                await http.get(other.url)
                await http.get(f"http://localhost:{own.port}")
            assert "authorization" in own.requests[0].headers
            return [*own.requests[1:], *other.requests], http.withheld

    strangers, withheld = asyncio.run(run())
    assert len(strangers) == 2
    assert all("authorization" not in seen.headers for seen in strangers)
    assert withheld == ["127.0.0.1", "localhost"]


def test_bodies_go_out_as_json_form_multipart_and_raw() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        await http.post(server.url, json=[1, None])
        await http.post(server.url, data={"a": "1", "b": ["x", "y"]})
        await http.post(server.url, files={"file": ("a.txt", b"content", "text/plain")}, data={"note": "n"})
        await http.put(server.url, content=b"\x00raw", headers={"Content-Type": "application/octet-stream"})
        await http.delete(server.url)

    as_json, form, multipart, raw, empty = talk(answer(), test)
    assert as_json.body == b"[1,null]"
    assert form.body == b"a=1&b=x&b=y"
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert multipart.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="note"' in multipart.body
    assert b'filename="a.txt"' in multipart.body
    assert "transfer-encoding" not in multipart.headers
    assert raw.body == b"\x00raw"
    assert empty.body == b""
    assert "content-type" not in empty.headers


def test_every_answered_request_is_returned_and_raises_only_when_asked() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        response = await http.get(server.url)
        assert response.status_code == 404
        assert response.headers["x-detail"] == "d"
        with pytest.raises(Permanent, match=r"127\.0\.0\.1 answered 404 Not Found"):
            response.raise_for_status()

    talk(answer("404 Not Found", X_Detail="d"), test)


def test_an_answer_without_a_body_is_one() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        response = (await http.post(server.url)).raise_for_status()
        assert (response.status_code, response.content) == (204, b"")
        assert (await http.head(server.url)).status_code == 204

    talk(answer("204 No Content"), test)


def test_a_connection_is_used_again() -> None:
    async def run() -> int:
        async with serving(answer(body=b"x" * 100_000)) as server, pool(LOCAL) as shared:
            for _ in range(5):
                assert len((await shared.client(deadline=soon()).get(server.url)).content) == 100_000
            return server.connections

    assert asyncio.run(run()) == 1


def test_nothing_listening_there_is_transient_even_for_a_post() -> None:
    error = failure(answer(), "POST", url="http://127.0.0.1:9/")
    assert type(error) is Transient
    assert "nothing listens there" in error.message


def test_an_unknown_name_is_transient() -> None:
    error = failure(answer(), "POST", url="http://no-such-host.invalid/")
    assert type(error) is Transient
    assert "no-such-host.invalid" in error.message


@pytest.mark.parametrize("reply", [hang_up, half, gibberish])
@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("GET", {}, Transient),
        ("PUT", {}, Transient),
        ("DELETE", {}, Transient),
        ("POST", {}, OutcomeUnknown),
        ("PATCH", {}, OutcomeUnknown),
        ("POST", {"idempotent": True}, Transient),
        ("GET", {"idempotent": False}, OutcomeUnknown),
    ],
)
def test_a_lost_answer_is_transient_only_where_repeating_is_safe(
    reply: Reply, method: str, options: dict[str, Any], expected: type[IntegrationError]
) -> None:
    assert type(failure(reply, method, **options)) is expected


@pytest.mark.parametrize("reply", [say_nothing, drip])
@pytest.mark.parametrize(("method", "expected"), [("GET", Timeout), ("POST", OutcomeUnknown)])
def test_the_deadline_covers_everything_and_what_it_means_depends_on_the_method(
    reply: Reply, method: str, expected: type[IntegrationError]
) -> None:
    assert type(failure(reply, method, seconds=0.3)) is expected
    assert type(failure(reply, method, timeout=0.3)) is expected


def test_a_deadline_in_the_past_sends_nothing() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        with pytest.raises(Transient):
            await http.post(server.url)

    assert talk(answer(), test, seconds=-1) == []


def test_a_cancelled_request_leaves_no_connection_behind() -> None:
    async def run() -> None:
        async with serving(say_nothing) as server, pool(LOCAL) as shared:
            task = asyncio.create_task(shared.client(deadline=soon()).get(server.url))
            while not server.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "method", "after"),
    [
        ("301 Moved", "POST", "GET"),
        ("302 Found", "POST", "GET"),
        ("302 Found", "PUT", "GET"),
        ("303 See Other", "DELETE", "GET"),
        ("303 See Other", "HEAD", "HEAD"),
        ("302 Found", "HEAD", "HEAD"),
        ("307 Temporary Redirect", "POST", "POST"),
        ("308 Permanent Redirect", "PATCH", "PATCH"),
    ],
)
def test_a_redirect_within_an_origin_keeps_headers_and_credential(status: str, method: str, after: str) -> None:
    async def test(http: StepHttp, server: Server) -> None:
        content = None if method == "HEAD" else "payload"
        response = await http.request(method, f"{server.url}/old", content=content, headers={"X-Own": "kept"})
        assert response.url.path == "/new"

    reply = routes(old=answer(status, Location="/new#part"), new=answer())
    old, new = talk(reply, test, authorize=bearer)
    assert (old.method, new.method) == (method, after)
    assert new.headers["x-own"] == "kept"
    assert new.headers["authorization"] == f"Bearer {SECRET}"
    assert new.body == (b"payload" if after in {"POST", "PATCH"} else b"")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_to_another_origin_takes_no_secret_and_no_body_along(status: str) -> None:
    async def run() -> Seen:
        async with serving(answer()) as stranger:
            reply = routes(go=answer(status, Location=f"{stranger.url}/there?x=1"))
            async with serving(reply) as own, client(LOCAL, authorize=bearer, idempotency_key="key-1") as http:
                await http.post(
                    f"{own.url}/go",
                    json={"password": SECRET},
                    headers={
                        "Cookie": f"s={SECRET}",
                        "X-Api-Key": SECRET,
                        "X-Anything": SECRET,
                        "Accept": "text/plain",
                    },
                )
            (seen,) = stranger.requests
            return seen

    seen = asyncio.run(run())
    assert seen.body == b""
    assert SECRET not in repr(seen)
    assert set(seen.headers) <= {"host", "accept", "accept-encoding", "user-agent", "content-length"}
    assert seen.headers["accept"] == "text/plain"


def test_a_way_back_from_another_origin_gets_the_credential_no_more() -> None:
    async def run() -> list[Seen]:
        async def back(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await answer("302 Found", Location=f"{own.url}/end")(seen, writer)

        async with serving(back) as stranger:
            reply = routes(go=answer("302 Found", Location=stranger.url), end=answer())
            async with serving(reply) as own, client(LOCAL, authorize=bearer, auth_hosts=None) as http:
                await http.get(f"{own.url}/go", headers={"X-Own": SECRET})
                return own.requests

    first, last = asyncio.run(run())
    assert SECRET in repr(first)
    assert SECRET not in repr(last)


def test_a_post_that_was_taken_and_led_to_a_dead_end_is_an_unknown_outcome() -> None:
    taken = failure(answer("303 See Other", Location="http://127.0.0.1:9/"), "POST")
    assert type(taken) is OutcomeUnknown
    passed_on = failure(answer("307 Temporary", Location="http://127.0.0.1:9/"), "POST")
    assert type(passed_on) is Transient


def test_redirects_can_be_left_unfollowed() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        response = await http.get(server.url, follow_redirects=False)
        assert (response.status_code, response.headers["location"]) == (302, "/x")

    assert len(talk(answer("302 Found", Location="/x"), test)) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "other.example"},
        {"content-length": "5"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"Upgrade": "h2c"},
        {"TE": "trailers"},
        {"Proxy-Authorization": "x"},
        {"Expect": "100-continue"},
        {"X-A": "1\r\nHost: evil"},
        {"X-A": "1\nX-B: 2"},
        {"X-A": "nul\x00"},
        {"X-A\r\nX-B": "1"},
        {"X A": "1"},
        {"": "1"},
        {"X-A": "ü"},
        {"X:A": "1"},
    ],
)
def test_a_header_that_would_break_the_request_is_refused(headers: dict[str, str]) -> None:
    async def test(http: StepHttp, server: Server) -> None:
        with pytest.raises(InputError) as caught:
            await http.get(server.url, headers=headers)
        assert caught.value.field == "headers"

    assert talk(answer(), test) == []


def test_every_request_names_the_trace_it_is_of_unless_it_names_one_itself() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        await http.get(server.url)
        await http.post(server.url, json={})
        await http.get(server.url, headers={"Traceparent": "my own"})

    assert [seen.headers.get("traceparent") for seen in talk(answer(), test, traceparent="t1")] == [
        "t1",
        "t1",
        "my own",
    ]
    assert [seen.headers.get("traceparent") for seen in talk(answer(), test)] == [None, None, "my own"]


def test_the_idempotency_key_goes_with_post_and_patch_and_differs_for_each_request() -> None:
    async def test(http: StepHttp, server: Server) -> None:
        for method in ("GET", "POST", "PATCH", "PUT"):
            await http.request(method, server.url)
        await http.post(server.url, headers={"Idempotency-Key": "my own"})

    keys = [seen.headers.get("idempotency-key") for seen in talk(answer(), test, idempotency_key="k1")]
    assert keys == [None, "k1", "k1-2", None, "my own"]


@pytest.mark.parametrize(
    "options", [{"json": float("nan")}, {"json": {1, 2}}, {"json": "\ud800"}, {"content": 5}, {"method": "TRACE"}]
)
def test_a_body_or_method_that_cannot_be_sent_is_an_input_error(options: dict[str, Any]) -> None:
    assert type(failure(answer(), options.pop("method", "POST"), **options)) is InputError


@pytest.mark.parametrize("body", [b"<html>", b"", b"{'a': 1}", b'{"a": NaN}', b"[" * 100_000, b"\xff\xfe"])
def test_an_answer_that_is_not_json_is_a_permanent_error(body: bytes) -> None:
    async def test(http: StepHttp, server: Server) -> None:
        with pytest.raises(Permanent, match="not JSON"):
            (await http.get(server.url)).json()

    talk(answer(body=body), test)


def test_a_header_of_endless_length_is_no_answer() -> None:
    assert type(failure(answer(X_Long="x" * 100_000))) is Transient


@pytest.mark.parametrize("secret", ["sécret-canary", "secret-canary\r\nX-Evil: 1", "secret-canary\x00"])
def test_a_credential_that_no_header_can_carry_is_an_auth_error_that_does_not_show_it(secret: str) -> None:
    def put(request: httpx.Request) -> None:
        request.headers["Authorization"] = f"Bearer {secret}"

    async def test(http: StepHttp, server: Server) -> None:
        with pytest.raises(AuthError) as caught:
            await http.get(server.url)
        assert "canary" not in repr((caught.value, caught.value.hint, caught.value.__cause__))
        assert caught.value.__context__ is None or caught.value.__suppress_context__

    assert talk(answer(), test, authorize=put) == []


def test_what_a_server_echoes_of_the_credential_is_in_no_error() -> None:
    echo = json.dumps({"error": f"bad header Bearer {SECRET}"}).encode()
    errors: list[IntegrationError] = []

    async def test(http: StepHttp, server: Server) -> None:
        response = await http.get(server.url)
        errors.extend([response.error(), response.error(f"Provider: {SECRET} is wrong", hint=SECRET, detail=SECRET)])

    talk(answer("401 Unauthorized", body=echo), test, authorize=bearer)
    for error in errors:
        assert SECRET not in repr((error, error.message, error.hint, error.detail, error.args))
        assert "••••" in error.detail
