"""The Model Context Protocol: workflows as tools, called under a token's authority; nonsense is told in form."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.mcp import tools, views
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import ApiToken, AuditEvent, Scope, Tenant
from orchestrator.tenants.services import token_create
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.services import publish, workflow_create, workflow_set_enabled
from runs.models import Run
from tests.runs.ground import driving
from tests.runs.list_ground import run_at

pytestmark = pytest.mark.django_db
Send = Callable[..., HttpResponse]
Make = Callable[..., Workflow]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["name"],
}
GREET = {"key": "greet", "action": "hello.world", "config": {"inputs": {"name": "{{ trigger.body.name }}"}}}


@pytest.fixture
def make(tenant: Tenant, owner: User) -> Make:
    """Return a function that makes a published workflow which others may call."""

    def made(slug: str, config: dict[str, Any] | None = None, *, type_: str = "workflow", **more: Any) -> Workflow:
        trigger = {"key": "call", "type": type_, "config": config or {}}
        document = {"name": slug.title(), "slug": slug, "triggers": [trigger], "steps": [GREET], **more}
        actor = actor_for_user(owner, tenant.slug)
        workflow = workflow_create(actor=actor, document=document)
        publish(actor=actor, workflow=workflow)
        return workflow.refresh()

    return made


@pytest.fixture
def send_as(tenant: Tenant) -> Callable[..., Send]:
    def sender(user: User, *scopes: Scope) -> Send:
        _row, text = token_create(actor=actor_for_user(user, tenant.slug), name="t", scopes=scopes or (Scope.RUN,))

        def send(body: Any, **headers: str) -> HttpResponse:
            sent = {"Authorization": f"Bearer {text}", "Accept": "application/json, text/event-stream"}
            sent |= {name.replace("_", "-"): value for name, value in headers.items()}
            kind = sent.pop("Content-Type", "application/json")
            data = body if isinstance(body, bytes) else json.dumps(body)
            answer: Any = Client().generic("POST", "/mcp", data, content_type=kind, headers=sent)
            assert answer.status_code < 500, answer.content
            return answer  # type: ignore[no-any-return]

        return send

    return sender


@pytest.fixture
def send(send_as: Callable[..., Send], owner: User) -> Send:
    return send_as(owner)


def request(method: str, id_: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def ask(send: Send, method: str, **params: Any) -> Any:
    answer = send(request(method, **params))
    found = json.loads(answer.content)
    assert (answer.status_code, found["jsonrpc"], found["id"]) == (200, "2.0", 1)
    return found["result"]


def error_of(answer: HttpResponse) -> tuple[int, int]:
    found = json.loads(answer.content)
    assert set(found) == {"jsonrpc", "id", "error"}
    assert found["error"]["message"]
    return answer.status_code, found["error"]["code"]


def call(send: Send, tool: str, /, **arguments: Any) -> Any:
    return ask(send, "tools/call", name=tool, arguments=arguments)


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-06-18"), (5, "2025-06-18")],
)
def test_a_client_is_met_in_its_own_revision(send: Send, asked: Any, spoken: str) -> None:
    found = ask(send, "initialize", protocolVersion=asked, capabilities={}, clientInfo={"name": "x", "version": "1"})
    assert found["protocolVersion"] == spoken
    assert found["capabilities"] == {"tools": {"listChanged": False}}
    assert {"name", "version"} <= set(found["serverInfo"])
    started = send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (started.status_code, started.content) == (202, b"")
    assert ask(send, "ping") == {}


def test_tools_are_what_is_published_on_and_callable(send: Send, make: Make, owner: User, tenant: Tenant) -> None:
    actor = actor_for_user(owner, tenant.slug)
    make("typed", {"input": SCHEMA}, description="Greets.")
    make("by-hand", type_="manual")
    make("hook", type_="webhook")
    workflow_set_enabled(actor=actor, workflow=make("off"), enabled=False)
    workflow_create(actor=actor, document={"name": "Draft", "triggers": [{"key": "m", "type": "manual", "config": {}}]})
    found = {tool["name"]: tool for tool in ask(send, "tools/list")["tools"]}
    assert list(found) == ["get_run", "by_hand", "typed"]
    assert found["typed"]["inputSchema"] == SCHEMA
    assert (found["typed"]["title"], found["typed"]["description"]) == ("Typed", "Greets.")
    assert found["by_hand"]["inputSchema"] == {"type": "object"}
    assert found["by_hand"]["description"]


def test_names_are_safe_and_each_is_one_tools(send: Send, make: Make) -> None:
    for slug in ("get-run", "get-run-2", "2fast", "w-2fast"):
        make(slug)
    names = [tool["name"] for tool in ask(send, "tools/list")["tools"]]
    assert names == ["get_run", "w_2fast", "get_run_2", "get_run_2_2", "w_2fast_2"]


def test_a_call_finds_its_tool_by_the_name_that_the_list_gave(
    make: Make, tenant: Tenant, django_assert_num_queries: Callable[..., Any]
) -> None:
    slugs = (
        "get-run",
        "get-run-2",
        "get-run-2-2",
        "w-2",
        "2",
        "w",
        "2fast",
        "w-2fast",
        "w-2-3",
        "2-3",
        "a",
        "ab",
        "a-b",
    )
    for slug in slugs:
        make(slug)
    listed = tools.tools_of(tenant)
    assert len({tool.name for tool in listed}) == len(slugs)
    for tool in listed:
        with django_assert_num_queries(1):
            assert tools.tool_named(tenant, tool.name) == tool
    for name in ("", "x", "get_run", "A", "a-b", "a\n", "_", "2fast", "a" * 200, "w_9", "a)("):
        assert tools.tool_named(tenant, name) is None


def test_many_tools_come_in_pages(send: Send, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "TOOLS_A_PAGE", 2)
    for slug in ("a", "b", "c"):
        make(slug)
    first = ask(send, "tools/list")
    second = ask(send, "tools/list", cursor=first["nextCursor"])
    assert [tool["name"] for page in (first, second) for tool in page["tools"]] == ["get_run", "a", "b", "c"]
    assert "nextCursor" not in second
    for cursor in ("x", 5, "9" * 30, "-1"):
        assert error_of(send(request("tools/list", cursor=cursor))) == (200, -32602)


@pytest.mark.django_db(transaction=True)
def test_a_call_gives_the_output_of_a_run_of_the_tokens_person(
    send: Send, make: Make, tenant: Tenant, owner: User
) -> None:
    make("greet", {"input": SCHEMA}, output="{{ steps.greet.output }}")
    make("text", output="{{ steps.greet.output.message }}")
    with driving():
        found = call(send, "greet", name="Ada")
        text = call(send, "text", name="Bo")
    assert found["isError"] is False
    assert "Ada" in found["structuredContent"]["message"]
    assert json.loads(found["content"][0]["text"]) == found["structuredContent"]
    assert text["structuredContent"] == {"output": text["content"][0]["text"]}
    run = Run.objects.for_tenant(tenant).order_by("pk").first()
    assert run is not None
    assert (run.started_by, run.by_person, run.trigger["body"]) == (owner, True, {"name": "Ada"})
    assert run.token_id == ApiToken.objects.for_tenant(tenant).get().pk
    assert AuditEvent.objects.for_tenant(tenant).filter(action="run.started").count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_run_that_fails_is_an_error_with_its_message(send: Send, make: Make) -> None:
    boom = {"key": "boom", "action": "flow.stop", "config": {"inputs": {"status": "failed", "message": "No such lead"}}}
    make("boom", steps=[boom])
    with driving():
        found = call(send, "boom")
    assert found["isError"] is True
    assert "No such lead" in found["content"][0]["text"]
    assert found["structuredContent"]["status"] == "failed"


def test_a_run_that_takes_longer_gives_its_id_to_look_again(
    send: Send, make: Make, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PATIENCE_SECONDS", 0.05)
    make("slow")
    found = call(send, "slow", name="Ada")
    run = Run.objects.for_tenant(tenant).get()
    assert found["structuredContent"] == {"run_id": str(run.pk), "status": "queued"}
    assert "get_run" in found["content"][0]["text"]
    assert found["isError"] is False
    began = time.monotonic()
    again = call(send, "get_run", run_id=str(run.pk), wait=45)
    assert again["structuredContent"] == found["structuredContent"]
    assert time.monotonic() - began < 10
    ended = run_at(run.workflow.refresh(), status="succeeded", output={"done": True})
    assert call(send, "get_run", run_id=str(ended.pk))["structuredContent"] == {"done": True}


def test_arguments_that_do_not_fit_start_nothing(send: Send, make: Make, tenant: Tenant) -> None:
    make("typed", {"input": SCHEMA})
    for arguments in ({}, {"name": 5}, {"name": "Ada", "count": "x"}):
        found = call(send, "typed", **arguments)
        assert found["isError"] is True
        assert "name" in found["content"][0]["text"] or "count" in found["content"][0]["text"]
    assert not Run.objects.for_tenant(tenant).exists()


@pytest.mark.django_db(transaction=True)
def test_a_call_that_comes_again_under_its_key_starts_no_second_run(
    send_as: Callable[..., Send], make: Make, tenant: Tenant, owner: User
) -> None:
    send = send_as(owner)
    make("greet", {"input": SCHEMA}, output="{{ steps.greet.output }}")
    make("other", {"input": SCHEMA})
    body = request("tools/call", name="greet", arguments={"name": "Ada"})
    assert json.loads(send({**body, "params": {"name": "greet"}}, Idempotency_Key="k").content)["result"]["isError"]
    with driving():
        first = send(body, Idempotency_Key="k")
        again = send({**body, "id": 2}, Idempotency_Key="k")
    assert json.loads(first.content)["result"]["structuredContent"] == {"message": "Hello Ada"}
    assert json.loads(again.content) == {**json.loads(first.content), "id": 2}
    assert Run.objects.for_tenant(tenant).count() == 1
    for params in ({"name": "other", "arguments": {"name": "Ada"}}, {"name": "greet", "arguments": {"name": "Bo"}}):
        assert error_of(send(request("tools/call", **params), Idempotency_Key="k")) == (409, -32009)
    for key in ("", "x" * 256, "\u00fc"):
        assert error_of(send(body, Idempotency_Key=key)) == (400, -32602)
    batch = send([body], Idempotency_Key="k", MCP_Protocol_Version="2025-03-26")
    assert error_of(batch) == (400, -32600)
    assert Run.objects.for_tenant(tenant).count() == 1


def test_what_is_no_object_stands_in_one(
    send: Send, make: Make, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PATIENCE_SECONDS", 0.0)
    schema = {"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}}
    make("list", {"input": schema})
    tool = ask(send, "tools/list")["tools"][1]
    assert tool["inputSchema"]["type"] == "object"
    assert call(send, "list", payload=["a"])["isError"] is True
    assert call(send, "list", payload=[1, 2])["isError"] is False
    assert Run.objects.for_tenant(tenant).get().trigger["body"] == [1, 2]


def test_a_large_output_is_told_with_its_address(send: Send, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "MOST_BYTES", 100)
    monkeypatch.setattr(views, "PATIENCE_SECONDS", 0.0)
    made = make("big")
    run_id = call(send, "big", name="x" * 100_000)["structuredContent"]["run_id"]
    run = Run.unscoped.get(pk=run_id)
    # What the run got is as large as what it gives here.
    Run.unscoped.filter(pk=run_id).update(
        status="succeeded", finished_at=made.created_at, wake_at=None, output_ref=run.trigger_ref
    )
    found = call(send, "get_run", run_id=run_id)["structuredContent"]
    assert found["truncated"] is True
    assert found["url"] == f"/api/v1/runs/{run_id}/values/{run.trigger_ref}/"


def test_a_tokens_scope_and_its_persons_role_count(
    send_as: Callable[..., Send], make: Make, owner: User, viewer: User, tenant: Tenant
) -> None:
    make("greet")
    for send in (send_as(owner, Scope.READ), send_as(viewer, Scope.READ)):
        assert len(ask(send, "tools/list")["tools"]) == 2
        answer = send(request("tools/call", name="greet", arguments={}))
        assert error_of(answer) == (403, -32003)
    assert not Run.objects.for_tenant(tenant).exists()


def test_the_tenants_limit_of_runs_is_told(
    send: Send, make: Make, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "PATIENCE_SECONDS", 0.0)
    make("greet")
    Tenant.objects.update(runs_per_minute=1)
    assert call(send, "greet")["isError"] is False
    refused = call(send, "greet")
    assert refused["isError"] is True
    assert "Try again in" in refused["content"][0]["text"]


def test_another_tenants_workflows_and_runs_are_not_there(
    send: Send, make: Make, other_tenant: Tenant, stranger: User
) -> None:
    theirs = actor_for_user(stranger, other_tenant.slug)
    document = {"name": "Theirs", "triggers": [{"key": "m", "type": "manual", "config": {}}], "steps": [GREET]}
    workflow = workflow_create(actor=theirs, document=document)
    publish(actor=theirs, workflow=workflow)
    run = run_at(workflow.refresh())
    assert [tool["name"] for tool in ask(send, "tools/list")["tools"]] == ["get_run"]
    assert error_of(send(request("tools/call", name="theirs"))) == (200, -32602)
    for run_id in (str(run.pk), "1", "x", "9" * 40, "\0"):
        found = call(send, "get_run", run_id=run_id)
        assert found["isError"] is True
        assert "no" in found["content"][0]["text"].lower()
        assert "structuredContent" not in found


def test_without_a_good_token_it_is_401(send: Send, tenant: Tenant) -> None:
    for authorization in ("", "Bearer nothing", "Basic YTpi", "Bearer \u00fc"):
        answer = send(request("ping"), Authorization=authorization)
        assert error_of(answer) == (401, -32001)
        assert answer["WWW-Authenticate"].startswith("Bearer")
    ApiToken.objects.for_tenant(tenant).delete()
    assert send(request("ping")).status_code == 401


def test_a_page_of_another_origin_is_refused(send: Send) -> None:
    assert send(request("ping"), Origin="http://testserver").status_code == 200
    for origin in ("https://evil.test", "http://testserver.evil.test", "null", "http://[", "http://testserver:81"):
        assert error_of(send(request("ping"), Origin=origin)) == (403, -32003)


def test_http_is_kept_to(send: Send) -> None:
    for method in ("GET", "DELETE", "PUT"):
        answer: Any = Client().generic(method, "/mcp")
        assert answer.status_code == 405
        assert answer["Allow"] == "POST"
    assert error_of(send(request("ping"), **{"Content-Type": "text/plain"})) == (415, -32600)
    assert error_of(send(request("ping"), Accept="text/html")) == (406, -32600)
    assert error_of(send(request("ping"), MCP_Protocol_Version="1999-01-01")) == (400, -32600)
    assert send(request("ping"), MCP_Protocol_Version="2025-06-18").status_code == 200
    answer = send(request("ping"))
    assert answer["Content-Type"] == "application/json"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert not answer.cookies


def test_a_batch_is_handled_where_the_revision_has_them(send: Send) -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}
    batch = [request("ping", 1), notification, request("odd", "b"), 5, request("initialize", 4)]
    answer = send(batch, MCP_Protocol_Version="2025-03-26")
    found = json.loads(answer.content)
    assert [each["id"] for each in found] == [1, "b", None, 4]
    assert [each.get("error", {}).get("code") for each in found] == [None, -32601, -32600, -32600]
    assert send([notification, notification]).status_code == 202
    assert error_of(send([])) == (400, -32600)
    assert error_of(send([request("ping")] * 21)) == (400, -32600)
    assert error_of(send(batch, MCP_Protocol_Version="2025-06-18")) == (400, -32600)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b" ", (400, -32700)), (b"{", (400, -32700)), (b"\xff", (400, -32700)), (b'{"a": NaN}', (400, -32700)),
        (b"[" * 100_000, (400, -32700)), (b"null", (400, -32600)), (b'"x"', (400, -32600)), (b"{}", (400, -32600)),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', (400, -32600)),
        (b'{"jsonrpc": "2.0", "id": 1}', (400, -32600)), (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', (400, -32600)),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', (400, -32600)),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', (400, -32600)),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', (200, -32602)),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', (200, -32602)),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": 5}}',
         (200, -32602)),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nothing"}}', (200, -32602)),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}', (200, -32601)),
        (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "\\ud800"}', (200, -32601)),
    ],
)  # fmt: skip
def test_nonsense_is_told_in_form(send: Send, body: bytes, expected: tuple[int, int]) -> None:
    assert error_of(send(body)) == expected


def test_an_answer_to_nothing_and_an_unknown_notification_are_taken_quietly(send: Send) -> None:
    for body in ({"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "method": "odd", "params": [1]}):
        answer = send(body)
        assert (answer.status_code, answer.content) == (202, b"")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["jsonrpc", "id", "method", "params", "name", "arguments", "odd"]), _json)
def test_any_value_anywhere_is_taken_or_told(send: Send, key: str, value: Any) -> None:
    body = request("tools/call", name="get_run", arguments={"run_id": "1"})
    (body["params"] if key in ("name", "arguments") else body)[key] = value
    assert send(body).status_code in (200, 202, 400)


def test_a_body_that_is_too_large_is_refused(send: Send) -> None:
    assert error_of(send(b'"' + b"x" * 11_000_000 + b'"')) == (413, -32600)


def test_a_list_of_tools_takes_the_same_queries_for_many(
    send: Send, make: Make, django_assert_num_queries: Callable[..., Any]
) -> None:
    make("a")
    send(request("tools/list"))
    with django_assert_num_queries(3):
        send(request("tools/list"))
    for slug in ("b", "c", "d"):
        make(slug)
    with django_assert_num_queries(3):
        send(request("tools/list"))
