"""The developers' pages: what can be generated is, so that it never drifts."""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_safe

from integrations.registry import registry
from integrations.sdk import Action, Provider
from integrations.sdk.lint import lint
from integrations.words import declared
from orchestrator.builder import highlight, step_form
from orchestrator.builder.examples import weather
from orchestrator.builder.reference import action_row, auth_rows, error_rows
from orchestrator.builder.spoken import input_schema_of, words_of
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.shell import page
from orchestrator.words import kept_by_language

# The three examples of the library: the files of each, as they stand in the source. Triggers, choices and what reads
# mail are left out: the page is to stay under its 25 KB.
EXAMPLES: Final = (
    ("slack", noop("A provider whose failures look like successes: HTTP 200 with an error code inside")),
    ("gmail", noop("A body that must be built with care: RFC 2822, no header injection, base64url")),
    ("openai", noop("Two ways to say the same: a prompt, or a list of messages")),
)
CHECKED_SHOWN: Final = 8
_FILES: Final = ("", ".actions", ".client", ".message")


@dataclass(frozen=True, kw_only=True)
class Code:
    """A file to read: its name, its coloured source and the source to copy."""

    name: str
    html: SafeString
    source: str
    open: bool = False


@dataclass(frozen=True, kw_only=True)
class Example:
    provider: Provider
    name: str
    words: str
    files: tuple[Code, ...]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """An integration and how many things the linter would have corrected."""

    provider: Provider
    name: str
    findings: int
    actions: int


@require_safe
@tenant_page()
def developers(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how an integration is written, with real files and what the registry makes of them."""
    mcp_url = settings.BASE_URL.rstrip("/") + "/mcp" if settings.BASE_URL else request.build_absolute_uri("/mcp")
    return page(request, actor, "developers/developers.html", {**_guide(), "mcp_url": mcp_url}, nav="developers")


@kept_by_language(maxsize=8)
def _guide() -> Mapping[str, Any]:
    """Return what the developers' page shows, made once: source files do not change while the process lives."""
    return {
        "quick": Code(name="integrations/providers/weather.py", **_python(inspect.getsource(weather))),
        "quick_test": Code(name="tests/providers/test_weather.py", **_python(_resource("test_weather.txt"))),
        "javascript": Code(
            name="code.javascript",
            html=highlight.javascript(_resource("greet.js")),
            source=_resource("greet.js"),
        ),
        "preview": action_row(weather.forecast),
        "preview_fields": step_form.fields(input_schema_of(weather.forecast), {}),
        "examples": [_example(key, words) for key, words in EXAMPLES],
        "auth_kinds": auth_rows(),
        "errors": error_rows(),
        "checked": _checked(),
        "counts": {
            "providers": len({each.provider.key for each in registry.actions()}),
            "actions": len(registry.actions()),
        },
    }


def _checked() -> list[Checked]:
    """Return the first integrations by name, those with something to correct before the others."""
    by_provider: dict[str, list[Action]] = {}
    for action in registry.actions():
        by_provider.setdefault(action.provider.key, []).append(action)
    rows = [
        Checked(
            provider=actions[0].provider,
            name=words_of(actions[0]).provider,
            findings=len(lint(actions)),
            actions=len(actions),
        )
        for actions in by_provider.values()
    ]
    return sorted(rows, key=lambda row: (not row.findings, row.name.lower()))[:CHECKED_SHOWN]


def _python(source: str) -> dict[str, Any]:
    return {"html": highlight.python(source), "source": source}


def _resource(name: str) -> str:
    folder = importlib.resources.files("orchestrator.builder.examples")
    return (folder / name).read_text(encoding="utf-8")


def _example(key: str, words: str) -> Example:
    provider = registry.provider(key)
    assert provider is not None
    root = f"integrations.providers.{key}"
    found = [name for name in _FILES if importlib.util.find_spec(root + name)]
    files = [_module_file(importlib.import_module(root + name), open_=name == ".actions") for name in found]
    return Example(provider=provider, name=declared(provider.name), words=_(words), files=tuple(files))


def _module_file(module: Any, *, open_: bool) -> Code:
    path = module.__name__.replace(".", "/") + ("/__init__.py" if hasattr(module, "__path__") else ".py")
    return Code(name=path, open=open_, **_python(inspect.getsource(module)))
