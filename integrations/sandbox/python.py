"""Python in an interpreter of its own (Monty), in worker processes with an empty environment.

Each run has a session of its own: the input is bound, the code runs, and ``main(input)`` is called if there is one.
The interpreter keeps to its limits by itself; where it does not, the pool kills its process.
"""

from __future__ import annotations

import asyncio
import os
import re
from typing import Any, Final

from pydantic_monty import (
    AsyncMonty,
    AsyncMontySession,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    ResourceLimits,
)

from integrations.sandbox.outcome import (
    MAX_LOG_BYTES,
    MAX_MEMORY,
    MAX_RECURSION,
    MAX_SECONDS,
    CodeFailed,
    NoNetwork,
    Outcome,
    OverLimit,
    input_text,
    log_lines,
    plain,
)
from integrations.words import gettext as _

# Tracebacks name a feed by its number, and the author's code is the second.
_CODE: Final = "<python-input-1>"
_BIND: Final = "import json\ninput = json.loads(__input)"
_CALL: Final = """\
try:
    __main = main
    __found = True
except NameError:
    __found = False
[__found, ({call}) if __found else None]
"""
_ASYNC_MAIN: Final = re.compile(r"^async\s+def\s+main\b", re.M)
# The interpreter gives a function as its own text.
_FUNCTION: Final = re.compile(r"<(function|coroutine object) .{1,200}>", re.S)
_ENVIRONMENT: Final = "not supported in this environment"
_SUSPENSIONS: Final = 1000
_RUNS_A_PROCESS: Final = 500
_GRACE_SECONDS: Final = 0.5


class PythonPool:
    """The interpreter's processes for one event loop, started at the first use."""

    def __init__(self) -> None:
        self._most = max(2, 2 * (os.cpu_count() or 1))
        self._places = asyncio.Semaphore(self._most)
        self._starting = asyncio.Lock()
        self._monty: AsyncMonty | None = None

    async def run(self, code: str, value: Any, *, seconds: float) -> Outcome:
        """Run ``code`` on ``value``. Raises CodeFailed, or OverLimit."""
        text = input_text(code, value)
        printed = _Printed()
        async with self._places:
            monty = await self._started()
            try:
                # Leaving early kills the session's process.
                async with asyncio.timeout(seconds + _GRACE_SECONDS):
                    returned = await _fed(monty, code, text, seconds, printed)
            except TimeoutError:
                raise _too_long(seconds, printed.lines()) from None
            except MontyError as error:
                raise _explained(error, seconds, printed.lines()) from None
        try:
            return Outcome(value=await _kept(returned), log=printed.lines())
        except CodeFailed as error:
            error.log = printed.lines()
            raise

    async def aclose(self) -> None:
        """End the processes."""
        async with self._starting:
            monty, self._monty = self._monty, None
            if monty is not None:
                await monty.__aexit__(None, None, None)

    async def _started(self) -> AsyncMonty:
        async with self._starting:
            if self._monty is None:
                monty = AsyncMonty(
                    min_processes=1,
                    max_processes=self._most,
                    request_timeout=MAX_SECONDS + 2 * _GRACE_SECONDS,
                    feed_duration_limit_grace=_GRACE_SECONDS,
                    max_checkouts_per_worker=_RUNS_A_PROCESS,
                )
                self._monty = await monty.__aenter__()
            return self._monty


class _Printed:
    """What the code prints; beyond the limit nothing is kept."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._left = MAX_LOG_BYTES

    def write(self, _stream: str, text: str) -> None:
        if self._left > 0:
            self._pieces.append(text[: self._left])
            self._left -= len(text)

    def lines(self) -> tuple[str, ...]:
        return log_lines("".join(self._pieces))


async def _fed(monty: AsyncMonty, code: str, text: str, seconds: float, printed: _Printed) -> Any:
    """Return what ``main(input)`` gives, or the last expression where there is no ``main``."""
    bounds: ResourceLimits = {
        "max_feed_duration_secs": seconds,
        "max_memory": MAX_MEMORY,
        "max_recursion_depth": MAX_RECURSION,
        "max_suspensions": _SUSPENSIONS,
        "max_total_sleep_secs": 0,
    }

    async def feed(session: AsyncMontySession, source: str, inputs: dict[str, Any] | None = None) -> Any:
        return await session.feed_run(source, inputs=inputs, print_callback=printed.write)

    async with monty.checkout(limits=bounds) as session:
        await feed(session, _BIND, {"__input": text})
        last = await feed(session, code)
        call = "await main(input)" if _ASYNC_MAIN.search(code) else "main(input)"
        found, returned = await feed(session, _CALL.format(call=call))
    return returned if found else last


async def _kept(value: Any) -> Any:
    """Return the value as JSON data; what may be large is walked in a thread, since other runs share the loop."""
    if isinstance(value, dict | list | tuple):
        return await asyncio.to_thread(plain, value)
    return plain(_data(value))


def _data(value: Any) -> Any:
    if isinstance(value, str) and _FUNCTION.fullmatch(value):
        raise CodeFailed(_("The code returned a function, which is no JSON. Call it, and return what it gives."))
    return value


def _explained(error: MontyError, seconds: float, log: tuple[str, ...]) -> CodeFailed:
    """Return what a failure of the interpreter means to the author of the code."""
    if isinstance(error, MontyCrashedError):
        if error.timed_out:
            return _too_long(seconds, log)
        return OverLimit(_("The code's process ended before it had a result. Do less at a time."), log=log)
    if not isinstance(error, MontyRuntimeError | MontySyntaxError):
        return CodeFailed(str(error), log=log)
    inner, line, text = error.exception(), _line(error), error.display("type-msg")
    # What the interpreter itself stops has no frame; what the code raises by the same name has one.
    if isinstance(inner, TimeoutError) and "time limit exceeded" in text and line is None:
        return _too_long(seconds, log)
    if isinstance(inner, MemoryError) and "memory limit" in text:
        words = _("The code used more than %(most)d MB and was stopped. Hold less at a time.")
        return OverLimit(words % {"most": MAX_MEMORY // 1024 // 1024}, line=line, log=log)
    if isinstance(inner, RecursionError):
        words = _("The code called itself deeper than %(most)d times. Use a loop.")
        return OverLimit(words % {"most": MAX_RECURSION}, line=line, log=log)
    if isinstance(inner, TimeoutError) and "sleep limit" in text:
        return CodeFailed(_("Code steps do not sleep: use a wait step."), line=line, log=log)
    if isinstance(inner, ImportError | PermissionError) or _ENVIRONMENT in text:
        return NoNetwork(line=line, log=log)
    return CodeFailed(text[:2_000].replace("The monty syntax parser", _("This Python")), line=line, log=log)


def _line(error: MontyRuntimeError | MontySyntaxError) -> int | None:
    """Return the innermost line of the author's code that the traceback names."""
    lines = [frame.line for frame in error.traceback() if frame.filename == _CODE]
    return int(lines[-1]) if lines else None


def _too_long(seconds: float, log: tuple[str, ...]) -> OverLimit:
    return OverLimit(
        _("The code ran longer than %(seconds)g s and was stopped. Do less at a time.") % {"seconds": seconds}, log=log
    )
