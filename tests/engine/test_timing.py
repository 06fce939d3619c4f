"""A coroutine within a time: what it waits for, how it is stopped, and what it raises."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runs.engine.timing import Late, within


def nothing() -> None:
    """Take no notice that a coroutine waits."""


def run(coroutine: Coroutine[Any, Any, Any], seconds: float = 5.0, *, waits: Callable[[], None] | None = None) -> Any:
    async def main() -> Any:
        return await within(seconds, coroutine, waits=waits or nothing)

    return asyncio.run(main())


async def at_once() -> str:
    return "done"


async def after_waiting() -> list[Any]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(0.001, future.set_result, "told")
    found = [await future]
    await asyncio.sleep(0)
    found.append(await asyncio.to_thread(lambda: "thread"))
    async with asyncio.timeout(5):
        found += await asyncio.gather(at_once(), at_once())
    return found


def test_what_a_coroutine_returns_is_returned_however_often_it_waits() -> None:
    waits: list[bool] = []
    assert run(at_once(), waits=lambda: waits.append(True)) == "done"
    assert waits == []
    assert run(after_waiting(), waits=lambda: waits.append(True)) == ["told", "thread", "done", "done"]
    assert waits == [True], "told once, however often it waits"


def test_a_coroutine_that_never_waits_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "timeout", lambda seconds: pytest.fail("a timer was made"))
    assert run(at_once()) == "done"


def test_one_that_waits_too_long_is_stopped_where_it_waits() -> None:
    seen: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("stopped")
            await asyncio.sleep(0)
            seen.append("tidied up")
            raise

    with pytest.raises(Late):
        run(slow(), 0.01)
    assert seen == ["stopped", "tidied up"]


async def own_timeout() -> None:
    async with asyncio.timeout(0.001):
        await asyncio.sleep(60)


async def failing_at_once() -> None:
    raise ValueError("at once")


async def failing_later() -> None:
    await asyncio.sleep(0)
    raise ValueError("later")


@pytest.mark.parametrize(
    ("coroutine", "kind", "message"),
    [(own_timeout, TimeoutError, "^$"), (failing_at_once, ValueError, "at once"), (failing_later, ValueError, "later")],
)
def test_what_it_raises_itself_is_raised(coroutine: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        run(coroutine())


@pytest.mark.parametrize("swallows", [False, True])
def test_a_cancelled_task_stops_it(swallows: bool) -> None:
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not swallows:
                raise
        return "went on"

    async def main() -> Any:
        task = asyncio.ensure_future(within(5, slow(), waits=nothing))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    if swallows:
        assert asyncio.run(main()) == "went on"
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())


def test_one_that_is_dropped_is_closed() -> None:
    closed: list[bool] = []

    async def slow() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(True)

    async def main() -> None:
        waiting = within(5, slow(), waits=nothing)
        waiting.send(None)
        waiting.close()

    asyncio.run(main())
    gc.collect()
    assert closed == [True]
