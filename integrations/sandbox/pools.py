"""The pools of each event loop: made at the first use, ended by ``aclose``."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakKeyDictionary

from integrations.sandbox.javascript import JavaScriptPool
from integrations.sandbox.outcome import MAX_SECONDS, Outcome
from integrations.sandbox.python import PythonPool

_LEAST_SECONDS: Final = 0.1


class _Pools:
    def __init__(self) -> None:
        self.python = PythonPool()
        self.javascript = JavaScriptPool()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pools] = WeakKeyDictionary()


async def run_python(code: str, value: Any, *, seconds: float = MAX_SECONDS) -> Outcome:
    """Run Python code on JSON data, for ``seconds`` at most. Raises CodeFailed, or OverLimit."""
    return await _pools().python.run(code, value, seconds=_bounded(seconds))


async def run_javascript(code: str, value: Any, *, seconds: float = MAX_SECONDS) -> Outcome:
    """Run JavaScript code on JSON data, for ``seconds`` at most. Raises CodeFailed, or OverLimit."""
    return await _pools().javascript.run(code, value, seconds=_bounded(seconds))


async def aclose() -> None:
    """End every process that this loop started; the next run starts new ones."""
    pools = _of_loop.pop(asyncio.get_running_loop(), None)
    if pools is not None:
        await pools.python.aclose()
        await pools.javascript.aclose()


def _pools() -> _Pools:
    loop = asyncio.get_running_loop()
    if loop not in _of_loop:
        _of_loop[loop] = _Pools()
    return _of_loop[loop]


def _bounded(seconds: float) -> float:
    return min(MAX_SECONDS, max(_LEAST_SECONDS, seconds))
