"""The protocol's own client, from its package, calls a tenant's workflows over HTTP."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Scope, Tenant
from orchestrator.tenants.services import token_create
from orchestrator.workflows.services import publish, workflow_create
from runs.models import Run
from tests.runs.ground import driving

pytestmark = [
    pytest.mark.skipif(find_spec("mcp") is None, reason="mcp is not installed: it is in the extra test"),
    pytest.mark.django_db(transaction=True),
]
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
GREET = {"key": "greet", "action": "hello.world", "config": {"inputs": {"name": "{{ trigger.body.name }}"}}}
OUTPUT = "{{ steps.greet.output }}"
BOOM = {"key": "boom", "action": "flow.stop", "config": {"inputs": {"status": "failed", "message": "No such lead"}}}
Use = Callable[..., Any]


@pytest.fixture
def use(live_server: Any, tenant: Tenant, owner: User) -> Use:
    """Publish a workflow that greets and one that fails; return a function that lets a client of a token act."""
    actor = actor_for_user(owner, tenant.slug)
    for slug, steps, config in (("greet-someone", [GREET], {"input": SCHEMA}), ("boom", [BOOM, GREET], {})):
        trigger = {"key": "call", "type": "workflow", "config": config}
        document = {"name": slug.title(), "slug": slug, "triggers": [trigger], "steps": steps, "output": OUTPUT}
        publish(actor=actor, workflow=workflow_create(actor=actor, document=document))

    def run(scope: Scope, does: Callable[[Any], Awaitable[Any]], *, token: str = "", **sent: str) -> Any:
        text = token or token_create(actor=actor, name="assistant", scopes=[scope])[1]

        async def main() -> Any:
            async with connected(f"{live_server.url}/mcp", {"Authorization": f"Bearer {text}", **sent}) as client:
                return await does(client)

        return asyncio.run(main())

    return run


@asynccontextmanager
async def connected(url: str, headers: dict[str, str]) -> AsyncIterator[Any]:
    httpx2, mcp = importlib.import_module("httpx2"), importlib.import_module("mcp")
    transport = importlib.import_module("mcp.client.streamable_http").streamable_http_client
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        mcp.Client(transport(url, http_client=http)) as client,
    ):
        yield client


def test_a_client_finds_the_workflows_and_reads_what_a_run_of_one_gives(use: Use, tenant: Tenant) -> None:
    async def does(client: Any) -> tuple[Any, ...]:
        listed = await client.list_tools()
        greeted = await client.call_tool("greet_someone", {"name": "Ada"})
        failed = await client.call_tool("boom", {})
        refused = await client.call_tool("greet_someone", {"name": 5})
        looked = await client.call_tool("get_run", {"run_id": failed.structured_content["run_id"]})
        return client.protocol_version, client.server_info.title, listed.tools, greeted, failed, refused, looked

    with driving():
        version, title, listed, greeted, failed, refused, looked = use(Scope.RUN, does)
    assert (version, title) == ("2025-06-18", "Orchestrator: Acme")
    assert [tool.name for tool in listed] == ["get_run", "boom", "greet_someone"]
    assert (listed[2].title, listed[2].input_schema) == ("Greet-Someone", SCHEMA)
    assert (greeted.is_error, greeted.structured_content) == (False, {"message": "Hello Ada"})
    assert (failed.is_error, failed.structured_content["error"]["message"]) == (True, "No such lead")
    assert refused.is_error
    assert "name" in refused.content[0].text
    assert looked.structured_content == failed.structured_content
    runs = Run.objects.for_tenant(tenant).order_by("pk")
    assert [(run.status, run.workflow.slug) for run in runs] == [("succeeded", "greet-someone"), ("failed", "boom")]


def test_a_token_without_the_scope_lists_but_starts_nothing(use: Use, tenant: Tenant) -> None:
    async def does(client: Any) -> tuple[int, str, int]:
        return len((await client.list_tools()).tools), *(await error_of(client, "greet_someone", {"name": "Ada"}))

    count, message, code = use(Scope.READ, does)
    assert (count, code) == (3, -32003)
    assert "scope `run`" in message
    assert not Run.objects.for_tenant(tenant).exists()


def test_a_client_whose_token_is_none_is_told_so(use: Use) -> None:
    async def does(client: Any) -> None:
        raise AssertionError("it connected")

    with pytest.raises(ExceptionGroup) as raised:
        use(Scope.READ, does, token="nothing")
    group: Any = raised.value
    while isinstance(group, ExceptionGroup):
        group = group.exceptions[0]
    assert (type(group).__name__, group.code) == ("MCPError", -32001)
    assert "Authorization: Bearer" in group.message


def test_a_client_that_sends_its_key_again_gets_the_first_run(use: Use, tenant: Tenant) -> None:
    async def does(client: Any) -> tuple[Any, ...]:
        first = await client.call_tool("greet_someone", {"name": "Ada"})
        again = await client.call_tool("greet_someone", {"name": "Ada"})
        return first, again, *(await error_of(client, "greet_someone", {"name": "Bo"}))

    with driving():
        first, again, message, code = use(Scope.RUN, does, **{"Idempotency-Key": "one"})
    assert first == again
    assert (first.structured_content, code) == ({"message": "Hello Ada"}, -32009)
    assert "another body" in message
    assert Run.objects.for_tenant(tenant).count() == 1


async def error_of(client: Any, tool: str, arguments: dict[str, Any]) -> tuple[str, int]:
    with pytest.raises(importlib.import_module("mcp").MCPError) as raised:
        await client.call_tool(tool, arguments)
    error: Any = raised.value
    return error.message, error.code
