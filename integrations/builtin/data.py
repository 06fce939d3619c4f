"""Steps that shape data; nothing leaves the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, RootModel, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from integrations.builtin.aggregate import Op, group, reduce
from integrations.builtin.lists import Items, Rank, is_null, rank, words_for
from integrations.sdk import InputError, JSONValue, Provider, RunContext, Timeout, action
from integrations.words import gettext as _

data = Provider(
    key="data",
    name="Data",
    description="Shape and name values for later steps.",
    icon="db",
    category="Data",
    tile="db",
    quality="silver",
)

# So many items are worked on at once; for more a thread is taken, so that other runs do not wait.
_FEW: Final = 20
_TIME_EVERY: Final = 1024
_ORDERS: Final = [{"id": 1, "amount": 80, "country": "FR"}, {"id": 2, "amount": 120, "country": "DE"}]

_T = TypeVar("_T")


class SetInputs(BaseModel):
    values: dict[str, Any] = Field(
        title="Values",
        description="Names and their values; later steps read them by name.",
        examples=[{"customer": "Ada", "plan": "trial"}],
    )


@action(
    provider=data,
    key="data.set",
    name="Set values",
    auth_type="none",
    input_schema=SetInputs,
    sample={"customer": "Ada", "plan": "trial"},
    idempotent=True,
    pure=True,
    http=False,
    passes_on=("values",),
    synonyms=("variable", "assign", "map", "rename", "edit fields", "json"),
)
async def set_values(ctx: RunContext[SetInputs]) -> dict[str, Any]:
    """Name values, so that later steps read them easily."""
    return dict(ctx.inputs.values)


class _ListInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: Items = Field(title="Items", description="The list.", examples=[_ORDERS])


class ListOutput(RootModel[list[JSONValue]]):
    """The items that are left, in order."""


class FilterInputs(_ListInputs):
    where: str = Field(
        min_length=1,
        title="Keep where",
        description="Asked for each {{ item }}, with its place in the list, from 0, as {{ index }}: "
        "an item stays where this is true.",
        examples=["{{ item.amount >= 100 }}"],
        json_schema_extra={"x-item-type": "boolean"},
    )


@action(
    provider=data,
    key="data.filter",
    name="Filter a list",
    auth_type="none",
    input_schema=FilterInputs,
    output_schema=ListOutput,
    sample=[{"id": 2, "amount": 120, "country": "DE"}],
    idempotent=True,
    pure=True,
    http=False,
    per_item=("where",),
    synonyms=("where", "select", "keep", "remove", "condition", "search"),
    summary=lambda output: f"{len(output)} items",
)
async def filter_items(ctx: RunContext[FilterInputs]) -> list[Any]:
    """Keep the items of a list that a condition is true for."""
    return await _worked(ctx, _filtered)


def _filtered(ctx: RunContext[FilterInputs]) -> list[Any]:
    kept = []
    for index, (item, holds) in enumerate(_evaluated(ctx, "where")):
        if not isinstance(holds, bool):
            raise InputError(
                _("where gives true or false, and for the item with index %(index)s it gave %(what)s.")
                % {"index": index, "what": words_for(holds)},
                field="where",
                hint=_("Compare something: {{ item.amount > 0 }}."),
            )
        if holds:
            kept.append(item)
    return kept


class SortInputs(_ListInputs):
    by: str | None = Field(
        None,
        min_length=1,
        title="Sort by",
        description="Evaluated for each {{ item }}; several values as {{ [item.country, item.amount] }}. "
        "Empty: by the items themselves. Numbers come before texts, and null last.",
        examples=["{{ item.amount }}"],
    )
    descending: bool = Field(
        False, title="Descending", description="The greatest first; null stays last.", examples=[True]
    )


@action(
    provider=data,
    key="data.sort",
    name="Sort a list",
    auth_type="none",
    input_schema=SortInputs,
    output_schema=ListOutput,
    sample=_ORDERS,  # type: ignore[arg-type]
    idempotent=True,
    pure=True,
    http=False,
    per_item=("by",),
    synonyms=("order", "order by", "rank", "ascending", "descending", "top"),
    summary=lambda output: f"{len(output)} items",
)
async def sort_items(ctx: RunContext[SortInputs]) -> list[Any]:
    """Put a list in order; equal items stay as they were."""
    return await _worked(ctx, _sorted)


def _sorted(ctx: RunContext[SortInputs]) -> list[Any]:
    ranked = list(_ranked(ctx))
    solid = [pair for pair in ranked if not is_null(pair[0])]
    solid.sort(key=lambda pair: pair[0], reverse=ctx.inputs.descending)
    return [item for _, item in (*solid, *(pair for pair in ranked if is_null(pair[0])))]


class DedupeInputs(_ListInputs):
    by: str | None = Field(
        None,
        min_length=1,
        title="Same by",
        description="Evaluated for each {{ item }}: of those with an equal value the first stays. "
        "Empty: by the whole item.",
        examples=["{{ lower(item.email) }}"],
    )


@action(
    provider=data,
    key="data.dedupe",
    name="Remove duplicates",
    auth_type="none",
    input_schema=DedupeInputs,
    output_schema=ListOutput,
    sample=_ORDERS,  # type: ignore[arg-type]
    idempotent=True,
    pure=True,
    http=False,
    per_item=("by",),
    synonyms=("unique", "distinct", "duplicates", "deduplicate"),
    summary=lambda output: f"{len(output)} items",
)
async def dedupe_items(ctx: RunContext[DedupeInputs]) -> list[Any]:
    """Keep the first of items that are the same."""
    return await _worked(ctx, _deduped)


def _deduped(ctx: RunContext[DedupeInputs]) -> list[Any]:
    first: dict[Rank, Any] = {}
    for ranked, item in _ranked(ctx):
        first.setdefault(ranked, item)
    return list(first.values())


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Path = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Paths = Annotated[list[Path], BeforeValidator(_one_or_more, json_schema_input_type=Path | list[Path])]


class Operation(BaseModel):
    """One value of each group."""

    model_config = ConfigDict(extra="forbid")

    op: Op = Field(title="Operation")
    field: Paths = Field(
        [], title="Field", description="A name or path in each item, like amount or lines[0].price; none: the item."
    )
    as_: str | None = Field(None, alias="as", min_length=1, max_length=200, title="Name of the result")

    @property
    def name(self) -> str:
        return self.as_ or "_".join((self.op, *self.field))


class AggregateInputs(_ListInputs):
    group_by: Paths = Field(
        [],
        title="Group by",
        description="Names or paths in each item, like country or customer.country; no expressions. "
        "Empty: one group of everything.",
        examples=["country", ["country", "customer.plan"]],
    )
    operations: list[Operation] = Field(
        min_length=1,
        max_length=100,
        title="Operations",
        description="op is count, sum, min, max, avg or list; field a name or path in each item; as names the result. "
        "Items without the field, or with null in it, are left out.",
        examples=[[{"op": "sum", "field": "amount", "as": "total"}, {"op": "count", "as": "orders"}]],
    )

    @model_validator(mode="after")
    def _names_once(self) -> AggregateInputs:
        seen = set(self.group_by)
        for operation in self.operations:
            if operation.name in seen:
                raise PydanticCustomError(
                    "name_twice",
                    _('Two results are named {name}: give one another name with "as"'),
                    {"name": operation.name},
                )
            seen.add(operation.name)
        return self


class AggregateOutput(RootModel[list[dict[str, JSONValue]]]):
    """One object a group: its keys, and each operation's result."""


@action(
    provider=data,
    key="data.aggregate",
    name="Aggregate a list",
    auth_type="none",
    input_schema=AggregateInputs,
    output_schema=AggregateOutput,
    sample=[{"country": "FR", "total": 80, "orders": 1}, {"country": "DE", "total": 120, "orders": 1}],
    idempotent=True,
    pure=True,
    http=False,
    synonyms=("group by", "sum", "count", "average", "total", "summarize", "statistics", "pivot"),
    summary=lambda output: f"{len(output)} groups",
)
async def aggregate(ctx: RunContext[AggregateInputs]) -> list[dict[str, Any]]:
    """Group a list and count, add up or collect what is in each group."""
    return await _worked(ctx, _aggregated)


def _aggregated(ctx: RunContext[AggregateInputs]) -> list[dict[str, Any]]:
    inputs = ctx.inputs
    made = []
    for keys, members in group(inputs.items, inputs.group_by):
        results = {each.name: reduce(each.op, inputs.items, members, each.field) for each in inputs.operations}
        made.append({**keys, **results})
    return made


async def _worked(ctx: RunContext[Any], work: Callable[[RunContext[Any]], _T]) -> _T:
    """Do the work on a list: a short one here, a longer one in a thread."""
    return work(ctx) if len(ctx.inputs.items) <= _FEW else await asyncio.to_thread(work, ctx)


def _evaluated(ctx: RunContext[Any], name: str) -> Iterator[tuple[Any, Any]]:
    """Yield each item with the value of a per-item input. Raises Timeout: a thread is not stopped from outside."""
    for index, item in enumerate(ctx.inputs.items):
        if index % _TIME_EVERY == 0 and index and not ctx.remaining():
            raise Timeout(
                _("There was no time for more than %(index)s of %(count)s items.")
                % {"index": index, "count": len(ctx.inputs.items)}
            )
        yield item, ctx.evaluate(name, item, index)


def _ranked(ctx: RunContext[SortInputs] | RunContext[DedupeInputs]) -> Iterator[tuple[Rank, Any]]:
    """Yield each item after what orders it: the value of ``by``, or else itself."""
    if ctx.inputs.by is None:
        return ((rank(item), item) for item in ctx.inputs.items)
    return ((rank(value), item) for item, value in _evaluated(ctx, "by"))
