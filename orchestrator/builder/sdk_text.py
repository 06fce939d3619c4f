"""The whole SDK as one text, for whoever writes an integration: made from what the code says of itself."""

from __future__ import annotations

import importlib.resources
import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from integrations import sdk
from integrations.sdk import testing
from integrations.sdk.client import RequestOptions, Response, StepHttp
from integrations.sdk.declaration import About
from orchestrator.builder.examples import fields, orders, weather
from orchestrator.builder.reference import auth_rows, error_rows

_INTRODUCTION: Final = """\
# Writing an integration for Orchestrator

An integration is a Provider and one decorated async function for each action. A step's form, its checks, its retries,
its logs and its place in the menu are made from the declaration; there is no front-end code.

1. python manage.py integration new weather --one-file    writes a module and a test that passes; for the library,
   without --one-file, a folder; for a package of its own, with --package DIR
2. python manage.py integration lint weather    says what is missing, and which claim of quality.toml is not true
3. python manage.py integration try weather.forecast --input city=Rotterdam --credential weather --tenant TENANT
   with --record tests/contract/exchanges/weather.forecast.json it writes the exchange, without secrets; a trigger that
   is asked takes --cursor JSON, one that is called --body FILE --header 'Name: value' --secret-file FILE --at TIME
4. python manage.py integration list    with --provider KEY, --kind action or trigger, --quality, --json

Files: __init__.py holds the Provider, client.py how the service is spoken to, actions.py the models and actions,
icon.svg a drawing of 16 x 16, quality.toml the level that it claims; triggers.py the functions decorated with polling
or webhook, each of which starts workflows with what is new at the other side: one run for each item. Another package
registers through the entry-point group orchestrator.integrations.

Rules: URLs stand in client.py only. Raise the class of error that says what to do next. Never put a secret into a
message. Declare idempotent=True only where sending the same key again does no harm. Use ctx.http, never a client of
your own: it keeps to public addresses, puts the credential on, and ends at the step's deadline.
"""


@lru_cache(maxsize=1)
def sdk_text() -> str:
    """Return the text. Made once: sources do not change while the process lives."""
    parts = [
        _INTRODUCTION,
        "# A whole integration\n\n" + inspect.getsource(weather).strip(),
        "# Its test\n\n" + _resource("test_weather.txt").strip(),
        "# Triggers of both kinds\n\n" + inspect.getsource(orders).strip(),
        "# Fields of every kind\n\n" + inspect.getsource(fields).strip(),
        "# Errors: class, kind, whether it is tried again, when\n\n" + "\n".join(_error_lines()),
        "# Kinds of credential: class, what a person enters\n\n" + "\n".join(_auth_lines()),
        "# What action, polling and webhook take besides (about)\n\n" + "\n".join(_about_lines()),
        "# integrations.sdk\n\n" + "\n\n".join(_entry(name, getattr(sdk, name)) for name in sdk.__all__),
        "# ctx.http and its answers\n\n" + "\n\n".join(_entry(each.__name__, each) for each in (StepHttp, Response)),
        "# Options of a request\n\n" + "\n".join(f"{name}: {kind}" for name, kind in _options()),
        "# integrations.sdk.testing\n\n" + "\n\n".join(_entry(name, value) for name, value in helper_names()),
    ]
    return "\n\n\n".join(parts) + "\n"


def helper_names() -> list[tuple[str, Any]]:
    """Return what tests of integrations use: what the module itself defines and shows."""
    own = (
        (name, value) for name, value in vars(testing).items() if getattr(value, "__module__", "") == testing.__name__
    )
    return [(name, value) for name, value in own if not name.startswith("_")]


def signature(name: str, value: Any) -> str:
    """Return how something is called, as it is declared; a name alone for what is not called."""
    if not callable(value) or not hasattr(value, "__module__"):
        return f"{name} = {value}"
    try:
        kind = "class " if isinstance(value, type) else "async def " if inspect.iscoroutinefunction(value) else "def "
        return f"{kind}{name}{str(inspect.signature(value)).replace(chr(39), '')}"
    except (ValueError, TypeError):
        return f"class {name}"


def _entry(name: str, value: Any) -> str:
    is_class = isinstance(value, type)
    head = signature(name, value)
    if not is_class and not inspect.isfunction(value):
        return head
    said = _indented(inspect.getdoc(value) or "", 1)
    return "\n".join(part for part in (head, said, *(_members(value) if is_class else ())) if part)


def _members(cls: type) -> Iterator[str]:
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        called = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if isinstance(called, property):
            yield _indented(f"{name}: {_first_line(called)}", 1)
        elif inspect.isfunction(called):
            yield _indented(signature(name, called), 1)
            if _first_line(called):
                yield _indented(_first_line(called), 2)


def _error_lines() -> Iterator[str]:
    for row in error_rows():
        yield f"{row.name} ({row.kind}, {'tried again' if row.retried else 'not tried again'}): {row.words}"


def _auth_lines() -> Iterator[str]:
    for row in auth_rows():
        yield f"{row.name} ({', '.join(row.secret) or 'nothing'}): {row.words}"


def _about_lines() -> Iterator[str]:
    yield _indented(inspect.getdoc(About) or "", 0)
    for name, kind in About.__annotations__.items():
        yield f"{name}: {getattr(kind, '__forward_arg__', kind)}"


def _options() -> list[tuple[str, str]]:
    return [
        (name, str(getattr(kind, "__forward_arg__", kind))) for name, kind in RequestOptions.__annotations__.items()
    ]


def _resource(name: str) -> str:
    return (importlib.resources.files("orchestrator.builder.examples") / name).read_text(encoding="utf-8")


def _first_line(value: object) -> str:
    return (inspect.getdoc(value) or "").split("\n", 1)[0]


def _indented(text: str, levels: int) -> str:
    return "\n".join(f"{'    ' * levels}{line}".rstrip() for line in text.splitlines())
