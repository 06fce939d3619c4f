"""Triggers that poll: what can be declared, what a poll gives, and what a connection without HTTP may reach."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, Field

from integrations.registry import DuplicateKey, all_declared_in, declared_in, registry
from integrations.sdk import (
    Account,
    ApiKey,
    AuthContext,
    AuthError,
    DeclarationError,
    InputError,
    Item,
    JSONValue,
    Polled,
    PollingTrigger,
    Provider,
    RunContext,
    Transient,
    action,
    polling,
    ui,
)
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import AddressRefused, EgressPolicy
from integrations.sdk.lint import lint
from integrations.sdk.testing import run_poll


async def whose(ctx: AuthContext) -> Account:
    return Account(label="me")


ACME = Provider(key="acme", name="Acme", base_url="https://api.acme.example", auth=[ApiKey(test=whose)])


class Inputs(BaseModel):
    shop: str = Field(min_length=1, examples=["north"])


class Order(BaseModel):
    number: int


def declared(**changes: Any) -> PollingTrigger:
    options: dict[str, Any] = {
        "provider": ACME,
        "key": "acme.newOrder",
        "name": "New order",
        "auth_type": "api_key",
        "input_schema": Inputs,
        "output_schema": Order,
        "sample": {"number": 1},
        **changes,
    }
    return polling(**options)(orders)


async def orders(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
    """Starts when an order comes."""
    answer = await ctx.http.get("orders", params={"shop": ctx.inputs.shop, "since": cursor or 0})
    numbers = answer.raise_for_status().json()
    ctx.log(f"{len(numbers)} orders")
    items = [Item(str(number), Order(number=number)) for number in numbers]
    return Polled(items=items, cursor=max(numbers, default=cursor))


def test_a_poll_gives_items_as_data_and_the_cursor_for_the_next() -> None:
    found = run_poll(declared(), {"shop": "north"}, auth={"api_key": "k-123"}, http=[httpx.Response(200, json=[7, 8])])
    assert [(item.id, item.data) for item in found.items] == [("7", {"number": 7}), ("8", {"number": 8})]
    assert (found.cursor, found.more) == (8, False)
    assert [line.text for line in found.logs] == ["2 orders"]
    (request,) = found.requests
    assert (request.headers["X-API-Key"], request.url.params["since"]) == ("k-123", "0")
    after = run_poll(
        declared(), {"shop": "north"}, cursor=found.cursor, auth={"api_key": "k"}, http=[httpx.Response(200, json=[])]
    )
    assert (list(after.items), after.cursor) == ([], 8)
    assert after.requests[0].url.params["since"] == "8"


def test_inputs_and_credential_are_checked_as_those_of_an_action() -> None:
    with pytest.raises(InputError, match="shop"):
        run_poll(declared(), {"shop": ""}, auth={"api_key": "k"})
    with pytest.raises(AuthError, match="Acme requires an API key"):
        run_poll(declared(), {"shop": "north"})
    with pytest.raises(AuthError):
        run_poll(declared(), {"shop": "north"}, auth={"api_key": "k"}, http=[httpx.Response(401)])


def test_a_plain_function_polls_in_a_thread() -> None:
    def plain(ctx: RunContext[Inputs], cursor: JSONValue) -> Polled:
        """Starts."""
        return Polled(items=[Item("1", ctx.inputs.shop)], cursor={"at": 1})

    made = polling(provider=ACME, key="acme.plain", name="Plain", auth_type="none", input_schema=Inputs)(plain)
    found = run_poll(made, {"shop": "north"})
    assert (found.items[0].data, found.cursor) == ("north", {"at": 1})


@pytest.mark.parametrize("given", [None, {"items": []}, Polled(items=[Item("", 1)]), Polled(items=[{"id": 1}])])  # type: ignore[list-item]
def test_what_is_no_result_is_a_defect_of_the_trigger(given: Any) -> None:
    async def wrong(ctx: RunContext[Inputs], cursor: JSONValue) -> Any:
        """Starts."""
        return given

    made = polling(provider=ACME, key="acme.wrong", name="Wrong", auth_type="none", input_schema=Inputs)(wrong)
    with pytest.raises(TypeError):
        run_poll(made, {"shop": "north"})


class WithSecret(BaseModel):
    password: str = Field(json_schema_extra=ui(secret=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "other.newOrder"}, "must be 'acme', a dot and a camelCase name"),
        ({"name": " "}, "has no name"),
        ({"auth_type": "basic"}, "does not list under auth"),
        ({"output_schema": dict}, "must be a pydantic model"),
        ({"first_run": "some"}, "must be skip or emit"),
        ({"input_schema": WithSecret}, "has a secret input"),
        ({"provider": "acme"}, "must be a Provider"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said) as told:
        declared(**changes)
    assert str(told.value).startswith(f"{__name__}:")


def test_a_function_takes_a_context_and_a_cursor() -> None:
    async def short(ctx: RunContext[Inputs]) -> Polled:
        return Polled()

    with pytest.raises(DeclarationError, match="must take ctx and cursor"):
        polling(provider=ACME, key="acme.short", name="Short", auth_type="none", input_schema=Inputs)(short)  # type: ignore[arg-type]


def test_lint_holds_triggers_to_what_it_asks_of_actions() -> None:
    assert lint([declared()]) == []
    assert [found.message for found in lint([declared(sample={"number": "none"})])] == [
        "the sample does not fit the output schema: number"
    ]
    (untested,) = lint([declared(provider=Provider(key="acme", name="Acme", auth=[ApiKey()]))])
    assert "has no test" in untested.message


def test_the_registry_keeps_triggers_apart_from_actions_and_their_keys_together() -> None:
    made = declared()
    with registry.temporarily(made):
        assert registry.trigger("acme.newOrder") is made
        assert made in registry.triggers()
        assert registry.get("acme.newOrder") is None
        assert all(each.key != made.key for each in registry.actions())
        twice = action(provider=ACME, key="acme.newOrder", name="Order", auth_type="none", input_schema=Inputs)(
            lambda ctx: None
        )
        with pytest.raises(DuplicateKey, match="declared twice"), registry.temporarily(twice):
            pass
    assert registry.trigger("acme.newOrder") is None


def test_a_module_tells_its_triggers_beside_its_actions() -> None:
    import integrations.sdk.polling as module

    made = declared()
    module.made_here = made  # type: ignore[attr-defined]
    try:
        assert made in all_declared_in(module)
        assert declared_in(module) == []
    finally:
        del module.made_here  # type: ignore[attr-defined]


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def dial(host: str, port: int, *, allow: tuple[str, ...] = (), egress_allow: tuple[str, ...] = ()) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    dialler(EgressPolicy(allow=allow), egress_allow=egress_allow, deadline=deadline)(host, port).close()


def test_a_connection_reaches_what_the_operator_allows_and_nothing_else_inside(port: int) -> None:
    dial("127.0.0.1", port, allow=("127.0.0.1",))
    dial("localhost", port, allow=(f"localhost:{port}",))
    for allow in ((), (f"127.0.0.1:{port + 1}",), ("10.0.0.0/8",)):
        with pytest.raises(AddressRefused, match="loopback"):
            dial("127.0.0.1", port, allow=allow)
    with pytest.raises(AddressRefused, match="loopback"):
        dial("localhost", port)


def test_a_library_of_its_own_is_told_the_addresses_that_were_checked(port: int) -> None:
    def addresses(host: str, *allow: str, egress_allow: tuple[str, ...] = ()) -> list[str]:
        deadline = datetime.now(UTC) + timedelta(seconds=5)
        found = dialler(EgressPolicy(allow=allow), egress_allow=egress_allow, deadline=deadline)
        return list(found.addresses(host, port))

    assert addresses("127.0.0.1", "127.0.0.1") == ["127.0.0.1"]
    assert "127.0.0.1" in addresses("localhost", "localhost")
    assert addresses("localhost", "127.0.0.0/8") == ["127.0.0.1"]
    with pytest.raises(AddressRefused, match="loopback"):
        addresses("localhost")
    with pytest.raises(AddressRefused, match="not among the hosts"):
        addresses("127.0.0.1", "127.0.0.1", egress_allow=("db.example.com",))
    with pytest.raises(Transient, match="not known"):
        addresses("nothing.invalid", "127.0.0.1")


def test_a_workspace_may_narrow_what_a_connection_reaches(port: int) -> None:
    dial("127.0.0.1", port, allow=("127.0.0.1",), egress_allow=(f"127.0.0.1:{port}",))
    with pytest.raises(AddressRefused, match="not among the hosts"):
        dial("127.0.0.1", port, allow=("127.0.0.1",), egress_allow=("mail.example.com",))


@pytest.mark.parametrize(("host", "port"), [("", 993), ("a b", 993), ("mail.example.com/x", 993), ("127.0.0.1", 0)])
def test_what_is_no_server_is_an_input_error(host: str, port: int) -> None:
    with pytest.raises(InputError):
        dial(host, port)


def test_a_closed_port_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with pytest.raises(Transient, match="nothing listens there"):
        dial("127.0.0.1", closed, allow=("127.0.0.1",))
