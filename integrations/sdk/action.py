"""Actions: one decorated function each."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, TypeVar, Unpack

from pydantic import BaseModel

from integrations.sdk.chat import Tokens
from integrations.sdk.context import RunContext
from integrations.sdk.declaration import DECLARED, About, Declaration, declare, parts_of
from integrations.sdk.errors import DeclarationError
from integrations.sdk.fields import secret_problems
from integrations.sdk.options import OptionsFunction, problems_of
from integrations.sdk.provider import Provider
from integrations.sdk.sensitive import PATH
from integrations.sdk.types import READS, AuthType, Effect

__all__ = ["DECLARED", "Action", "action"]

ModelT = TypeVar("ModelT", bound=BaseModel)
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
_HEADER: Final = re.compile(r"[A-Za-z0-9-]*")
Summary: TypeAlias = Callable[[Any], str]
TokensOf: TypeAlias = Callable[[Any], Tokens]


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often an action is tried where a step does not say, and the seconds between: as a step's own ``retry``."""

    max_attempts: int = 3
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    delay: float = 1.0
    max_delay: float = 60.0

    def __post_init__(self) -> None:
        if not 1 <= self.max_attempts <= 20 or self.delay < 0 or self.max_delay < 0:
            raise DeclarationError("retry is of 1 to 20 attempts, with no less than no seconds between")


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Action(Declaration):
    """A declared action. ``await action.run(ctx)`` runs it; a plain function runs in a thread.

    ``pure`` means no effect outside the run, so nothing must be durable before it; ``idempotent`` means that sending it
    again with the same key does no harm;
    ``idempotent_when`` asks that of the inputs, and ``reads_when`` whether a call only reads, where ``effect`` says
    that others do more; ``http`` says whether it speaks HTTP, which the contract suite then checks; ``any_provider``
    takes other providers' credentials too; ``per_item`` names inputs that are expressions over the items of a list:
    they arrive as written, and ``ctx.evaluate`` gives their value for one item;
    ``verbatim`` names inputs in which there are no expressions, such as a command that data must not become a part of;
    ``passes_on`` names inputs that it does not look into, so that values of many megabytes stay packed in them;
    ``opens`` is how many bytes of JSON one value of the others may have; ``options`` are functions that list the
    choices of a text input, by its name (``integrations.sdk.options``);
    ``retry`` is how often it is tried where a step does not say;
    ``sensitive`` are paths in its output, like ``keys[].secret``, of which nothing is kept and nothing shown;
    ``idempotency_header`` is where the key goes with a request that changes something, empty for nowhere;
    ``tokens`` reads from an output what a language model took for it.
    """

    idempotent: bool
    idempotent_when: Callable[[Any], bool] | None
    reads_when: Callable[[Any], bool] | None
    pure: bool
    effect: Effect
    summary: Summary | None
    tokens: TokensOf | None
    lanes: tuple[str, ...] | None
    per_item: tuple[str, ...]
    verbatim: tuple[str, ...]
    passes_on: tuple[str, ...]
    opens: int | None
    options: Mapping[str, OptionsFunction]
    retry: Retry | None
    sensitive: tuple[str, ...]
    idempotency_header: str

    @cached_property
    def as_written(self) -> tuple[str, ...]:
        """The names of the inputs that are no expressions to evaluate before a call."""
        return (*self.per_item, *self.verbatim, *self.secret_inputs)

    def repeatable(self, inputs: BaseModel) -> bool:
        """Whether this very call may be sent again with the same key."""
        if self.idempotent_when is not None:
            return bool(self.idempotent_when(inputs))
        return self.pure or self.idempotent

    def reads(self, inputs: BaseModel) -> bool:
        """Whether this very call only reads."""
        return self.effect in READS if self.reads_when is None else bool(self.reads_when(inputs))

    @cached_property
    def is_async(self) -> bool:
        """Whether it is a coroutine function: only such a one can ask by ``ctx.http``."""
        return inspect.iscoroutinefunction(self.function)

    async def run(self, ctx: RunContext[Any]) -> Any:
        """Run the action and return its output as JSON data. Raises what the function raises."""
        if self.is_async:
            result = await self.function(ctx)
        else:
            result = await asyncio.to_thread(self.function, ctx)
            if inspect.isawaitable(result):
                result = await result
        return result.model_dump(mode="json", by_alias=True) if isinstance(result, BaseModel) else result

    async def __call__(self, ctx: RunContext[Any]) -> Any:
        """Run the action, as the decorated function would be called."""
        return await self.run(ctx)


def action(
    *,
    provider: Provider,
    key: str,
    name: str,
    auth_type: AuthType,
    input_schema: type[ModelT],
    idempotent: bool | Callable[[ModelT], bool] = False,
    pure: bool = False,
    effect: Effect = "none",
    reads_when: Callable[[ModelT], bool] | None = None,
    summary: Summary | None = None,
    tokens: TokensOf | None = None,
    lanes: Sequence[str] | None = None,
    per_item: Sequence[str] = (),
    verbatim: Sequence[str] = (),
    passes_on: Sequence[str] = (),
    opens: int | None = None,
    options: Mapping[str, OptionsFunction] | None = None,
    retry: Retry | None = None,
    sensitive: Sequence[str] = (),
    idempotency_header: str = IDEMPOTENCY_HEADER,
    **about: Unpack[About],
) -> Callable[[Callable[[RunContext[ModelT]], Any]], Action]:
    """Declare the decorated function an action; its docstring's first paragraph becomes the description.

    Raises DeclarationError, naming the place, when the declaration cannot be right.
    """

    def decorate(function: Callable[[RunContext[ModelT]], Any]) -> Action:
        named = {"per_item": per_item, "verbatim": verbatim, "passes_on": passes_on}
        chosen = dict(options or {})
        parts = parts_of(
            "action",
            function,
            about,
            provider=provider,
            key=key,
            name=name,
            auth_type=auth_type,
            input_schema=input_schema,
            problems=lambda: (
                *_problems(key, input_schema, named, chosen),
                *_wrong_words(key, sensitive, idempotency_header),
            ),
        )
        declared = Action(
            **parts,
            idempotent=idempotent is True,
            idempotent_when=idempotent if callable(idempotent) else None,
            reads_when=reads_when,
            pure=pure,
            effect=effect,
            summary=summary,
            tokens=tokens,
            lanes=None if lanes is None else tuple(lanes),
            per_item=tuple(per_item),
            verbatim=tuple(verbatim),
            passes_on=tuple(passes_on),
            opens=opens,
            options=MappingProxyType(chosen),
            retry=retry,
            sensitive=tuple(sensitive),
            idempotency_header=idempotency_header,
        )
        declare(function, declared)
        return declared

    return decorate


def _problems(
    key: str, input_schema: type[BaseModel], named: Mapping[str, Sequence[str]], options: Mapping[str, Any]
) -> Iterator[str]:
    known = {field.alias or name for name, field in input_schema.model_fields.items()}
    for option, names in named.items():
        for each in names:
            if each not in known:
                yield f"{option} of {key!r} names {each!r}, which is no input"
    yield from problems_of(key, options, known)
    for problem in secret_problems(input_schema):
        yield f"{problem} (of {key!r})"


def _wrong_words(key: str, sensitive: Sequence[str], header: str) -> Iterator[str]:
    for path in sensitive:
        if not PATH.fullmatch(path):
            yield f"sensitive of {key!r} has {path!r}, which is no path like 'keys[].secret'"
    if not _HEADER.fullmatch(header):
        yield f"idempotency_header of {key!r} is no header's name: {header!r}"
