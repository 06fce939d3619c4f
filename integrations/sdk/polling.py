"""Triggers that ask now and then what is new: one decorated function each.

    @polling(provider=acme, key="acme.newOrder", name="New order", auth_type="api_key", input_schema=NewOrderInputs)
    async def new_order(ctx: RunContext[NewOrderInputs], cursor: JSONValue) -> Polled:
        since = cursor if isinstance(cursor, str) else ""
        rows = (await ctx.http.get("orders", params={"since": since})).raise_for_status().json()
        return Polled(items=[Item(row["id"], row) for row in rows], cursor=rows[-1]["created"] if rows else since)

What is new becomes runs in the transaction that keeps the cursor: one run for each item, whose ``body`` is the item.
An item that is given again makes no second run, by its id. So a function may always give too much, never too little.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar, Unpack

from pydantic import BaseModel

from integrations.sdk.context import RunContext
from integrations.sdk.declaration import About, Declaration, argument_problem, declare, parts_of, secret_problem
from integrations.sdk.provider import Provider
from integrations.sdk.types import AuthType, JSONValue

# Runs that one poll starts; what is beyond follows at the next, soon after.
MAX_ITEMS: Final = 100
MAX_ID: Final = 10_000

FirstRun: TypeAlias = Literal["skip", "emit"]
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Item:
    """Something new: ``id`` is the same whenever the same thing is given again, ``data`` is what a run gets, JSON."""

    id: str
    data: Any


@dataclass(frozen=True, kw_only=True)
class Polled:
    """What a poll found, the oldest first. ``cursor`` is given to the next one, JSON that holds no secret.

    ``more`` asks to be polled again at once: there is more than one poll wants to bring.
    """

    items: Sequence[Item] = field(default=())
    cursor: JSONValue = None
    more: bool = False


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PollingTrigger(Declaration):
    """A declared trigger. ``await trigger.poll(ctx, cursor)`` asks once; a plain function runs in a thread.

    The first ``cursor`` is None. ``first_run`` says what becomes of what is there already then: ``skip`` remembers it
    and starts no run, ``emit`` starts one for each item.
    """

    first_run: FirstRun

    async def poll(self, ctx: RunContext[Any], cursor: JSONValue) -> Polled:
        """Return what is new, its data as JSON. Raises what the function raises, TypeError for another result."""
        if inspect.iscoroutinefunction(self.function):
            found = await self.function(ctx, cursor)
        else:
            found = await asyncio.to_thread(self.function, ctx, cursor)
        if not isinstance(found, Polled) or not all(isinstance(item, Item) for item in found.items):
            raise TypeError(f"{self.key} gave something else than Polled with Items")
        return Polled(items=[_plain(item) for item in found.items], cursor=found.cursor, more=found.more)


def _plain(item: Item) -> Item:
    if not isinstance(item.id, str) or not 0 < len(item.id) <= MAX_ID:
        raise TypeError(f"an item's id is a text of 1 to {MAX_ID:,} characters")
    return Item(item.id, item.data.model_dump(mode="json", by_alias=True)) if isinstance(item.data, BaseModel) else item


def polling(
    *,
    provider: Provider,
    key: str,
    name: str,
    auth_type: AuthType,
    input_schema: type[ModelT],
    first_run: FirstRun = "skip",
    **about: Unpack[About],
) -> Callable[[Callable[[RunContext[ModelT], JSONValue], Any]], PollingTrigger]:
    """Declare the decorated function a trigger; its docstring's first paragraph becomes the description.

    ``output_schema`` and ``sample`` are of one item. Raises DeclarationError, naming the place, when the declaration
    cannot be right.
    """

    def decorate(function: Callable[[RunContext[ModelT], JSONValue], Any]) -> PollingTrigger:
        parts = parts_of(
            "trigger",
            function,
            about,
            provider=provider,
            key=key,
            name=name,
            auth_type=auth_type,
            input_schema=input_schema,
            problems=lambda: _problems(key, first_run, input_schema, function),
        )
        declared = PollingTrigger(**parts, first_run=first_run)
        declare(function, declared)
        return declared

    return decorate


def _problems(key: str, first_run: str, input_schema: Any, function: Callable[..., Any]) -> Iterator[str]:
    if first_run not in ("skip", "emit"):
        yield f"first_run of {key!r} must be skip or emit"
    yield from secret_problem(key, input_schema)
    yield from argument_problem(f"the function of {key!r}", function, ("ctx", "cursor"))
