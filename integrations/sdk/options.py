"""Choices of a field that the other side knows: listed for a person who builds a workflow, page by page.

    async def channels(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
        answer = await ctx.http.get("channels", params={"q": query, "cursor": cursor or ""})
        ...
        return Options(items=[Option("C1", "#general")], next_cursor="…")

    @action(..., options={"channel": channels})

The builder runs it with the step's credential, for a few seconds at most, and keeps its answer for a short while. The
field stays a text field: what is chosen is only put into it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from integrations.sdk.auth import AuthView

if TYPE_CHECKING:
    from integrations.sdk.client import StepHttp

# Arguments of an options function, in their order.
ARGUMENTS: Final = 3


@dataclass(frozen=True)
class Option:
    """One choice: ``value`` goes into the field, ``label`` is what a person reads, ``hint`` tells equal ones apart."""

    value: str
    label: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Options:
    """One page of choices; ``next_cursor`` is what the function gets to give the next one, None after the last."""

    items: Sequence[Option] = ()
    next_cursor: str | None = None


@dataclass(frozen=True, kw_only=True)
class OptionsContext:
    """What an options function gets: nothing runs, so there is no run, no log and no idempotency key.

    ``auth`` is the credential, read-only; ``http`` the guarded client with the credential and the provider's root;
    ``inputs`` what is filled in so far, as written: it may be incomplete, and expressions are not evaluated.
    """

    auth: AuthView
    http: StepHttp
    inputs: Mapping[str, Any] = field(default_factory=dict)


OptionsFunction: TypeAlias = Callable[[OptionsContext, str, str | None], Awaitable[Options]]


def problems_of(key: str, options: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    """Yield what is wrong with the options of the action ``key``, whose inputs are ``known``."""
    for name, function in options.items():
        if name not in known:
            yield f"options of {key!r} names {name!r}, which is no input"
        if not inspect.iscoroutinefunction(function):
            yield f"the options of {name!r} of {key!r} must be an async function of ctx, query and cursor"
        elif not _takes(function):
            yield f"the options of {name!r} of {key!r} must take ctx, query and cursor, in this order"


def _takes(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(*range(ARGUMENTS))
    except TypeError:
        return False
    return True
