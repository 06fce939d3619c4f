"""The developers' page and the reference of integrations: what can be generated is, so that it never drifts."""

from __future__ import annotations

import importlib
import importlib.resources
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_safe

from integrations import sdk
from integrations.registry import registry
from integrations.sdk import Action, AuthKind, IntegrationError, Provider
from integrations.sdk.auth import ALSO_TAKES, DEFAULT_KINDS, SECRET_NAMES
from orchestrator.builder import highlight
from orchestrator.builder.examples import weather
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.shell import page
from orchestrator.types import JSONValue

# The three examples of the library: every file of each, as it stands in the source.
EXAMPLES: Final = (
    ("slack", noop("A provider whose failures look like successes: HTTP 200 with an error code inside")),
    ("gmail", noop("A body that must be built with care: RFC 2822, no header injection, base64url")),
    ("openai", noop("Two ways to say the same: a prompt, or a list of messages")),
)
_FILES: Final = ("", ".actions", ".client", ".message")
_TYPE_WORDS: Final[Mapping[str, str]] = {
    "string": noop("text"),
    "integer": noop("whole number"),
    "number": noop("number"),
    "boolean": noop("yes or no"),
    "array": noop("list"),
    "object": noop("object"),
    "null": noop("nothing"),
}


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
    words: str
    files: tuple[Code, ...]


@dataclass(frozen=True, kw_only=True)
class FieldRow:
    """One field of an action's input or output, in words."""

    name: str
    title: str
    type: str
    required: bool
    help: str
    example: str
    default: str


@dataclass(frozen=True, kw_only=True)
class ActionRow:
    """One action of the reference. Not the Action itself: a template would call it."""

    key: str
    name: str
    description: str
    provider: Provider
    auth_type: str
    auth: tuple[str, ...]
    idempotent: bool
    sample: JSONValue
    origin: str
    inputs: tuple[FieldRow, ...]
    output: tuple[FieldRow, ...]


@dataclass(frozen=True, kw_only=True)
class ProviderRows:
    provider: Provider
    actions: tuple[ActionRow, ...]


@dataclass(frozen=True, kw_only=True)
class AuthRow:
    """A kind of credential: its class, what a person enters, what ``ctx.auth`` holds, what else is taken."""

    name: str
    words: str
    secret: tuple[str, ...]
    auth: tuple[str, ...]
    also: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    name: str
    kind: str
    retried: bool
    words: str


@require_safe
@tenant_page()
def developers(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how an integration is written, with real files and what the registry makes of them."""
    return page(request, actor, "developers/developers.html", {**_guide()}, nav="developers")


@require_safe
@tenant_page()
def integrations(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show every registered action with its inputs and output."""
    query = request.GET.get("q", "").strip()[:100]
    groups = reference(query)
    context = {
        "groups": groups,
        "query": query,
        "actions": sum(len(group.actions) for group in groups),
        "providers": len(groups),
    }
    return page(request, actor, "developers/integrations.html", context, nav="integrations")


@lru_cache(maxsize=1)
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
        "preview_fields": action_row(weather.forecast).inputs,
        "examples": [_example(key, words) for key, words in EXAMPLES],
        "auth_kinds": [_auth_row(name) for name in ("OAuth2", "ApiKey", "BearerToken", "Basic", "NoAuth")],
        "errors": error_rows(),
        "counts": {"providers": len(registry.providers()), "actions": len(registry.actions())},
    }


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
    return Example(provider=provider, words=_(words), files=tuple(files))


def _module_file(module: Any, *, open_: bool) -> Code:
    path = module.__name__.replace(".", "/") + ("/__init__.py" if hasattr(module, "__path__") else ".py")
    return Code(name=path, open=open_, **_python(inspect.getsource(module)))


def reference(query: str = "") -> list[ProviderRows]:
    """Return the registered actions by provider; ``query`` looks in keys, names, descriptions and synonyms."""
    groups: dict[str, list[Action]] = {}
    for action in registry.actions():
        if _matches(action, query.lower()):
            groups.setdefault(action.provider.key, []).append(action)
    ordered = sorted(groups.values(), key=lambda actions: actions[0].provider.name.lower())
    return [
        ProviderRows(provider=actions[0].provider, actions=tuple(action_row(action) for action in actions))
        for actions in ordered
    ]


def _matches(action: Action, query: str) -> bool:
    texts = (action.key, action.name, action.description, action.provider.name, *action.synonyms)
    return not query or any(query in text.lower() for text in texts)


@lru_cache(maxsize=4_000)
def action_row(action: Action) -> ActionRow:
    """Return an action of the reference, its schemas in words."""
    output = action.output_json_schema()
    return ActionRow(
        key=action.key,
        name=action.name,
        description=action.description,
        provider=action.provider,
        auth_type=action.auth_type,
        auth=tuple(sorted(action.accepted_auth)),
        idempotent=action.idempotent is True,
        sample=action.sample,
        origin=action.origin,
        inputs=_fields(action.input_json_schema()),
        output=_fields(output) if output else (),
    )


def _fields(schema: Mapping[str, Any]) -> tuple[FieldRow, ...]:
    required = schema.get("required", ())
    definitions = schema.get("$defs", {})
    return tuple(
        _field(name, spec, name in required, definitions) for name, spec in schema.get("properties", {}).items()
    )


def _field(name: str, spec: Mapping[str, Any], required: bool, definitions: Mapping[str, Any]) -> FieldRow:
    examples = spec.get("examples") or [""]
    return FieldRow(
        name=name,
        title=str(spec.get("title", name)),
        type=_type_words(spec, definitions),
        required=required,
        help=str(spec.get("description", "")),
        example=str(examples[0]),
        default="" if spec.get("default") in (None, "", [], {}) else str(spec["default"]),
    )


def _type_words(spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a schema's type in words: ``text``, ``list of objects``, ``one of a, b``, ``1 to 7``."""
    if "$ref" in spec:
        return _type_words(definitions.get(spec["$ref"].rsplit("/", 1)[-1], {}), definitions)
    choices = spec.get("anyOf") or spec.get("oneOf")
    if choices:
        words = [_type_words(choice, definitions) for choice in choices if choice.get("type") != "null"]
        return _(" or ").join(dict.fromkeys(words))
    if "enum" in spec:
        return _("one of %s") % ", ".join(str(value) for value in spec["enum"])
    if "const" in spec:
        return str(spec["const"])
    if spec.get("type") == "array" and "type" in spec.get("items", {}):
        return _("list of %s") % _type_words(spec["items"], definitions)
    word = _(_TYPE_WORDS.get(str(spec.get("type", "")), noop("any")))
    low, high = spec.get("minimum"), spec.get("maximum")
    return f"{word}, {low} to {high}" if low is not None and high is not None else word


def _auth_row(name: str) -> AuthRow:
    kind: AuthKind = getattr(sdk, name)()
    fields = [field.name for field in kind.fields]
    return AuthRow(
        name=name,
        words=_first_line(type(kind)),
        secret=tuple(fields),
        auth=tuple(field for field in fields if field in SECRET_NAMES or field == "username"),
        also=tuple(sorted(ALSO_TAKES[DEFAULT_KINDS[kind.type].type] - {kind.type})),
    )


def error_rows() -> list[ErrorRow]:
    """Return the errors that an action raises, from the SDK's own classes."""
    classes: Sequence[type[IntegrationError]] = [
        value
        for value in vars(sdk).values()
        if isinstance(value, type) and issubclass(value, IntegrationError) and value is not IntegrationError
    ]
    return [
        ErrorRow(name=cls.__name__, kind=cls.kind, retried=cls.retryable, words=_first_line(cls)) for cls in classes
    ]


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0]
