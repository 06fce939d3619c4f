"""JavaScript in QuickJS, compiled to WebAssembly, in children of our own that are killed at their limit."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any, Final

from integrations.sandbox.outcome import (
    MAX_MEMORY,
    MAX_OUTPUT_BYTES,
    CodeFailed,
    NoNetwork,
    Outcome,
    OverLimit,
    input_text,
    log_lines,
    plain,
)
from integrations.words import gettext as _

_CHILD: Final = str(Path(__file__).with_name("javascript_child.py"))
_LENGTH: Final = struct.Struct(">I")
# What an answer may have: a value, its escapes, and the log.
_FRAME_BYTES: Final = 2 * MAX_OUTPUT_BYTES
_GRACE_SECONDS: Final = 1.0
_START_SECONDS: Final = 20.0
_RUNS_A_CHILD: Final = 500
# A static import is a syntax error that says little; `require` and the like are told when they are met.
_IMPORT: Final = re.compile(r"^[^\S\n]*import\s*[\w*{'\"]|^[^/'\"`\n]*\bimport\s*\(", re.M)
_EXPORTS: Final = (
    (re.compile(r"^([ \t]*)export\s+default\s+", re.M), r"\1module.exports = "),
    (re.compile(r"^([ \t]*)export\s+(?:const|let|var)\s+([A-Za-z_$][\w$]*)\s*=", re.M), r"\1var \2 = exports.\2 ="),
    (
        re.compile(r"^([ \t]*)export\s+(async\s+function|function)\s+([A-Za-z_$][\w$]*)", re.M),
        r"\1exports.\3 = \3; \2 \3",
    ),
)
_ABSENT: Final = re.compile(r"^'?(\w+)'? is not defined")
_OUTSIDE: Final = frozenset({"fetch", "Buffer", "require", "process", "XMLHttpRequest", "WebSocket"})
_LACKING: Final = frozenset(
    {"URL", "URLSearchParams", "TextEncoder", "TextDecoder", "setTimeout", "setInterval", "Intl"}
)


class JavaScriptPool:
    """Children for one event loop, as many at once as there are processors."""

    def __init__(self) -> None:
        self._free: list[_Child] = []
        self._places = asyncio.Semaphore(max(2, os.cpu_count() or 1))
        self._ending: list[_Child] = []
        self._closed = False

    async def run(self, code: str, value: Any, *, seconds: float) -> Outcome:
        """Run ``code`` on ``value``. Raises CodeFailed, or OverLimit."""
        raw = input_text(code, value)
        if _IMPORT.search(code):
            raise NoNetwork(line=_line_of(code))
        async with self._places:
            child = self._free.pop() if self._free else await _Child.start()
            try:
                answer = await child.ask({"code": _program(code), "input": raw, "seconds": seconds}, seconds)
            except _Ended:
                raise OverLimit(
                    _("The code ran longer than %(seconds)g s, or used too much, and was stopped.")
                    % {"seconds": seconds}
                ) from None
            except BaseException:
                self._end(child)
                raise
            self._give(child)
        return _outcome(answer, seconds)

    def _give(self, child: _Child) -> None:
        if self._closed or child.runs >= _RUNS_A_CHILD:
            self._end(child)
        else:
            self._free.append(child)

    def _end(self, child: _Child) -> None:
        """Kill a child now; it is waited for when the pool closes."""
        child.kill()
        self._ending.append(child)

    async def aclose(self) -> None:
        """End the children."""
        self._closed = True
        while self._free:
            self._end(self._free.pop())
        while self._ending:
            await self._ending.pop().ended()


class _Ended(Exception):
    """The child ended before it answered, by itself or by us."""


class _Child:
    """One process; one run at a time, each in a fresh instance."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.runs = 0

    @classmethod
    async def start(cls) -> _Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            _CHILD,
            env={},
            cwd="/",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        child = cls(process)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await child._read()
        except BaseException:
            child.kill()
            await child.ended()
            raise
        return child

    async def ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the child's answer. Raises _Ended once it is killed for taking too long, or has ended by itself."""
        self.runs += 1
        data = json.dumps(question).encode()
        assert self._process.stdin is not None
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS):
                self._process.stdin.write(_LENGTH.pack(len(data)) + data)
                await self._process.stdin.drain()
                answer: dict[str, Any] = json.loads(await self._read())
                return answer
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError, ValueError, RecursionError) as error:
            self.kill()
            await self.ended()
            raise _Ended from error

    async def _read(self) -> bytes:
        assert self._process.stdout is not None
        (length,) = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
        if length > _FRAME_BYTES:
            raise ValueError("the answer is too long")
        return await self._process.stdout.readexactly(length)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Wait until the process is gone, and let its pipes go."""
        await self._process.wait()
        # The public face has no way to close the pipes, and a loop that ends before they are would warn.
        self._process._transport.close()  # type: ignore[attr-defined]


def _program(code: str) -> str:
    """Return the code with its exports turned into assignments, on the same lines."""
    for pattern, replacement in _EXPORTS:
        code = pattern.sub(replacement, code)
    return code


def _outcome(answer: dict[str, Any], seconds: float) -> Outcome:
    log = log_lines("\n".join(str(line) for line in answer.get("log") or ()))
    match answer.get("kind"):
        case "value":
            return Outcome(value=plain(answer.get("value")), log=log)
        case "time":
            raise OverLimit(
                _("The code ran longer than %(seconds)g s and was stopped. Do less at a time.") % {"seconds": seconds},
                log=log,
            )
        case "memory":
            words = _("The code used more than %(most)d MB and was stopped. Hold less at a time.")
            raise OverLimit(words % {"most": MAX_MEMORY // 1024 // 1024}, log=log)
        case "output":
            raise OverLimit(
                _("The code returned more than %(most)s bytes. Return less of it.") % {"most": f"{MAX_OUTPUT_BYTES:,}"},
                log=log,
            )
    message = str(answer.get("message", ""))[:2_000]
    line = answer.get("line") if isinstance(answer.get("line"), int) else None
    absent = _ABSENT.match(message.partition(": ")[2])
    if absent and absent.group(1) in _OUTSIDE:
        raise NoNetwork(line=line, log=log)
    if absent and absent.group(1) in _LACKING:
        lacking = _("There is no %(name)s in code steps: they have the language itself and console.")
        message = lacking % {"name": absent.group(1)}
    raise CodeFailed(message, line=line, log=log)


def _line_of(code: str) -> int:
    found = _IMPORT.search(code)
    return code.count("\n", 0, found.end()) + 1 if found else 1
