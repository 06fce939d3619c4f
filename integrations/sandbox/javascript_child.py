"""The process that runs JavaScript. It is started by its path, in isolated mode, with an empty environment.

1. It gives away what it does not need: the network, other users' rights, large memory, core dumps.
2. It compiles the engine once, says so with an empty answer, and then reads questions from its standard input.
3. Each question gets a fresh instance with limits on memory and time. The end of the input ends the process.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import struct
import sys
from typing import Any

LENGTH = struct.Struct(">I")
MEMORY = 64 * 1024 * 1024
# The instance's linear memory: the heap, the stack and the engine's own tables.
LINEAR_MEMORY = 96 * 1024 * 1024
DATA = 768 * 1024 * 1024
MAX_LOG = 64 * 1024
MAX_OUTPUT = 4 * 1024 * 1024
MAX_QUESTION = 8 * 1024 * 1024
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

PRELUDE = """
globalThis.module = { exports: {} };
globalThis.exports = module.exports;
globalThis.__log = [];
globalThis.__size = 0;
{
  const text = (value) => {
    if (typeof value === "string") return value;
    try { return JSON.stringify(value) ?? String(value); } catch { return String(value); }
  };
  const log = (...values) => {
    const line = values.map(text).join(" ");
    __size += line.length + 1;
    if (__size <= MAX_LOG) __log.push(line);
  };
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };
}
undefined;
"""
TAIL = """
;await (async () => {
  const own = typeof main === "function" ? main : undefined;
  const given = module.exports;
  const found = own ? undefined : [given, given && given.default, ...Object.values(given ?? {})]
    .find((value) => value && typeof value.run === "function");
  const call = own ? () => own(input)
    : found ? () => found.run({ inputs: input })
    : typeof given === "function" ? () => given(input)
    : typeof given.main === "function" ? () => given.main(input)
    : () => { throw new Error("The code defines no main(input)"); };
  const value = await call();
  return JSON.stringify(value === undefined ? null : value) ?? "null";
})()
"""


def main() -> None:
    """Answer questions until the input ends."""
    answers = give_away()
    import quickjs_rs

    compile_engine(quickjs_rs)
    write(answers, b"")
    while True:
        question = read()
        if question is None:
            return
        answer = asyncio.run(run(quickjs_rs, json.loads(question)))
        write(answers, json.dumps(answer).encode())


def give_away() -> int:
    """Give away what is not needed; return the descriptor for answers, which nothing else can write to."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Where the system forbids it, the engine still has no way to a socket.
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, DATA), (resource.RLIMIT_FSIZE, MEMORY)):
        resource.setrlimit(what, (most, most))
    answers = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    return answers


def compile_engine(quickjs_rs: Any) -> None:
    """Compile the engine, which every later instance shares."""
    with quickjs_rs.Runtime(memory_limit=MEMORY) as runtime:
        runtime.new_context(timeout=5.0).eval("1")


async def run(quickjs_rs: Any, question: dict[str, Any]) -> dict[str, Any]:
    """Run one question in a fresh instance."""
    runtime = quickjs_rs.Runtime(memory_limit=MEMORY)
    context = runtime.new_context(timeout=float(question["seconds"]))
    limit(runtime)
    context.eval(PRELUDE.replace("MAX_LOG", str(MAX_LOG)))
    context.eval(f"globalThis.input = JSON.parse({json.dumps(question['input'])}); undefined;")
    try:
        text = await context.eval_async(question["code"] + TAIL)
        answer = value_of(text)
    except quickjs_rs.MemoryLimitError:
        answer = {"kind": "memory"}
    except quickjs_rs.TimeoutError:
        answer = {"kind": "time"}
    except quickjs_rs.DeadlockError:
        answer = {"kind": "error", "message": "The code waits for a promise that nothing will settle."}
    except quickjs_rs.JSError as error:
        answer = failure(error)
    except Exception as error:
        # The engine's own trap, like a stack that ran out: the instance is thrown away anyhow.
        stack = "stack" in str(error).lower() or type(error).__name__ == "Trap"
        message = "The code called itself too deeply. Use a loop." if stack else "The code stopped the engine."
        answer = {"kind": "error", "message": message}
    with contextlib.suppress(Exception):
        answer["log"] = json.loads(context.eval("JSON.stringify(__log)"))
    return answer


def limit(runtime: Any) -> None:
    """Bound the instance's linear memory: the engine's own limit counts only a part of it."""
    instances = list(runtime._engine_rt._instances)
    if not instances:
        raise SystemExit("The engine has no instance to limit")
    for instance in instances:
        instance.store.set_limits(memory_size=LINEAR_MEMORY)


def value_of(text: Any) -> dict[str, Any]:
    """Return the answer with the value that the code's JSON says."""
    if not isinstance(text, str) or len(text) > MAX_OUTPUT:
        return {"kind": "output"}
    return {"kind": "value", "value": json.loads(text)}


def failure(error: Any) -> dict[str, Any]:
    """Return what a JavaScript error says, and the innermost line of the code that it names."""
    name, message = str(getattr(error, "name", "") or "Error"), str(getattr(error, "message", "") or error)
    if message in ("null", "") and name == "Error":
        return {"kind": "memory"}
    if "stack overflow" in message.lower():
        message = "the code called itself too deeply. Use a loop."
    found = re.search(r"\(?eval_script:(\d+)", str(getattr(error, "stack", "") or ""))
    text = message if message.startswith(name) else f"{name}: {message}"
    return {"kind": "error", "message": text, "line": int(found.group(1)) if found else None}


def read() -> bytes | None:
    """Return the next question, None at the end of the input."""
    head = sys.stdin.buffer.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    if length > MAX_QUESTION:
        return None
    return sys.stdin.buffer.read(length)


def write(descriptor: int, data: bytes) -> None:
    """Write one answer."""
    left = LENGTH.pack(len(data)) + data
    while left:
        left = left[os.write(descriptor, left) :]


if __name__ == "__main__":
    main()
