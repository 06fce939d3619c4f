"""A coroutine within a time, without a timer for one that never waits. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

_T = TypeVar("_T")


class Late(Exception):
    """The time was over first."""


async def within(seconds: float, coroutine: Coroutine[Any, Any, _T], *, waits: Callable[[], None]) -> _T:
    """Return what the coroutine returns. Raises what it raises, and Late when it is stopped after ``seconds``.

    It runs up to where it first waits before there is a timer, which costs more than most steps that only compute;
    ``waits`` is called then.
    """
    try:
        first = coroutine.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    waits()
    try:
        async with asyncio.timeout(seconds) as limit:
            return await _Rest(coroutine, first)  # type: ignore[no-any-return]
    except TimeoutError as error:
        if limit.expired():
            raise Late from error
        raise


class _Rest:
    """What is left of a coroutine that has begun and waits for ``first``."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], first: Any) -> None:
        self._coroutine, self._first = coroutine, first

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._first
        while True:
            thrown: BaseException | None = None
            sent = None
            try:
                sent = yield waits_for
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:
                thrown = error
            try:
                waits_for = self._coroutine.send(sent) if thrown is None else self._coroutine.throw(thrown)
            except StopIteration as end:
                return end.value
