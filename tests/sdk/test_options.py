"""Choices of a field: what may be declared, what lint says of it, and how a test runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from typing import Any, Literal

import httpx
import pytest
from pydantic import BaseModel, Field

from integrations.sdk import (
    Account,
    Action,
    ApiKey,
    AuthContext,
    AuthError,
    DeclarationError,
    Option,
    Options,
    OptionsContext,
    Provider,
    RunContext,
    action,
    ui,
)
from integrations.sdk.lint import lint
from integrations.sdk.testing import run_options


async def whose(ctx: AuthContext) -> Account:
    return Account(label="me")


shop = Provider(key="shop", name="Shop", base_url="https://api.shop.test/v1", auth=[ApiKey(test=whose)])


class Inputs(BaseModel):
    store: str = Field(alias="storeId")
    amount: int | None = None
    note: str = Field(default="", json_schema_extra=ui(format="textarea"))
    tags: list[str] = []
    size: Literal["s", "m"] = "s"


async def stores(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List stores."""
    answer = await ctx.http.get("stores", params={"q": query, "after": cursor or "", "in": ctx.inputs.get("city", "")})
    rows = answer.raise_for_status().json()
    return Options(items=[Option(row["id"], row["name"]) for row in rows], next_cursor="c2")


def declare(options: Mapping[str, Any]) -> Action:
    async def buy(ctx: RunContext[Inputs]) -> None:
        """Buy something."""

    return action(provider=shop, key="shop.buy", name="Buy", auth_type="api_key", input_schema=Inputs, options=options)(
        buy
    )


def test_choices_and_their_pages_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Option("a", "A").value = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Options().next_cursor = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        declare({"storeId": stores}).options["note"] = stores  # type: ignore[index]


def test_an_action_without_options_has_none() -> None:
    assert dict(declare({}).options) == {}


async def too_few(ctx: OptionsContext) -> Options:
    """List nothing."""
    return Options()


def not_async(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List nothing."""
    return Options()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nobody": stores}, "options of 'shop.buy' names 'nobody', which is no input"),
        # The name that people and workflows know it by is its alias.
        ({"store": stores}, "names 'store', which is no input"),
        ({"storeId": not_async}, "must be an async function"),
        ({"storeId": "stores"}, "must be an async function"),
        ({"storeId": too_few}, "must take ctx, query and cursor"),
    ],
)
def test_what_cannot_be_right_is_refused_where_it_is_declared(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words) as caught:
        declare(options)
    assert "test_options" in str(caught.value)


def test_lint_names_options_that_nobody_would_see() -> None:
    async def undocumented(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
        return Options()

    assert [finding.message for finding in lint([declare({"storeId": stores, "amount": stores})])] == []
    for name in ("note", "tags", "size"):
        (finding,) = lint([declare({name: stores})])
        assert f"the input {name!r} has options and is no field of one line" in finding.message
    (finding,) = lint([declare({"storeId": undocumented})])
    assert "the options of 'storeId' have no docstring" in finding.message


def test_a_test_lists_choices_as_the_builder_does() -> None:
    answer = httpx.Response(200, json=[{"id": "s1", "name": "Oslo"}])
    found, requests = run_options(
        declare({"storeId": stores}),
        "storeId",
        query="os",
        cursor="c1",
        inputs={"city": "O"},
        auth={"api_key": "k-1"},
        http=[answer],
    )
    assert found == Options(items=[Option("s1", "Oslo")], next_cursor="c2")
    (request,) = requests
    assert str(request.url) == "https://api.shop.test/v1/stores?q=os&after=c1&in=O"
    assert "k-1" in str(request.headers.raw)


def test_a_test_without_the_credential_that_the_action_needs_says_so() -> None:
    with pytest.raises(AuthError, match="Shop requires an API key"):
        run_options(declare({"storeId": stores}), "storeId")
