"""What the registry and the SDK say of themselves, in words: actions with their fields, credentials, errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations import sdk
from integrations.sdk import Action, AuthKind, IntegrationError, Provider
from integrations.sdk.auth import ALSO_TAKES, DEFAULT_KINDS, SECRET_NAMES
from integrations.sdk.fields import SECRET, WORDS, choices_of, value_text
from integrations.words import declared
from orchestrator.builder.spoken import input_schema_of, output_schema_of, words_of
from orchestrator.flow.tools import AGENT
from orchestrator.tenants.models import Tenant
from orchestrator.types import JSONValue
from orchestrator.words import kept_by_language

AUTH_KINDS: Final = ("OAuth2", "ApiKey", "BearerToken", "Basic", "NoAuth")
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
    provider_name: str
    auth_type: str
    auth: tuple[str, ...]
    idempotent: bool
    sample: JSONValue
    origin: str
    inputs: tuple[FieldRow, ...]
    output: tuple[FieldRow, ...]


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


def action_url(tenant: Tenant, action: Action) -> str:
    """Return the address of an action's page."""
    return reverse("integration-action", args=[tenant.slug, action.provider.key, action.key.partition(".")[2]])


def repeat_words(action: Action) -> str:
    """Return whether doing it twice does harm, in words."""
    if action.key == AGENT:
        return _("Yes, an answer or a use of a tool that is on record is not asked for again")
    if action.pure:
        return _("Yes, nothing leaves the run")
    if action.idempotent:
        return _("Yes, doing it twice does no harm")
    if action.idempotent_when is not None:
        return _("Depends on what you fill in")
    return _("No, so an attempt whose answer was lost is not sent again by itself")


@kept_by_language(maxsize=4_000)
def action_row(action: Action) -> ActionRow:
    """Return an action of the reference, its schemas in words."""
    words = words_of(action)
    return ActionRow(
        key=action.key,
        name=words.name,
        description=words.description,
        provider=action.provider,
        provider_name=words.provider,
        auth_type=action.auth_type,
        auth=tuple(sorted(action.accepted_auth)),
        idempotent=action.idempotent is True,
        sample=action.sample,
        origin=action.origin,
        inputs=field_rows(input_schema_of(action)),
        output=field_rows(output_schema_of(action)),
    )


def field_rows(schema: Mapping[str, Any]) -> tuple[FieldRow, ...]:
    """Return the fields of a JSON schema, in words."""
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
        type=_("secret, from the vault") if spec.get(SECRET) else _type_words(spec, definitions),
        required=required,
        help=str(spec.get("description", "")),
        example=str(examples[0]),
        default="" if spec.get("default") in (None, "", [], {}) else value_text(spec["default"]),
    )


def _type_words(spec: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Return a schema's type in words: ``text``, ``list of objects``, ``one of get, tls (TLS)``, ``1 to 7``."""
    # Of a field that may be null, or of a named type, they stand beside what the choice is.
    said = {WORDS: spec[WORDS]} if WORDS in spec else {}
    if "$ref" in spec:
        return _type_words({**definitions.get(spec["$ref"].rsplit("/", 1)[-1], {}), **said}, definitions)
    choices = [_choice_words(value, called) for value, called in choices_of(spec)]
    if choices:
        return choices[0] if "const" in spec else _("one of %s") % ", ".join(choices)
    others = spec.get("anyOf") or spec.get("oneOf")
    if others:
        words = [_type_words({**each, **said}, definitions) for each in others if each.get("type") != "null"]
        return _(" or ").join(dict.fromkeys(words))
    if spec.get("type") == "array" and "type" in spec.get("items", {}):
        return _("list of %s") % _type_words(spec["items"], definitions)
    word = _(_TYPE_WORDS.get(str(spec.get("type", "")), noop("any")))
    low, high = spec.get("minimum"), spec.get("maximum")
    return f"{word}, {low} to {high}" if low is not None and high is not None else word


def _choice_words(value: JSONValue, called: str) -> str:
    """Return a value as a document has it, and behind it what pages call it, where that is anything else."""
    text = value_text(value)
    return text if called == text else f"{text} ({called})"


def auth_rows() -> list[AuthRow]:
    """Return the kinds of credential."""
    return [_auth_row(name) for name in AUTH_KINDS]


def _auth_row(name: str) -> AuthRow:
    kind: AuthKind = getattr(sdk, name)()
    fields = [field.name for field in kind.fields]
    return AuthRow(
        name=name,
        words=in_words(declared(first_line(type(kind)))),
        secret=tuple(fields),
        auth=tuple(field for field in fields if field in SECRET_NAMES or field == "username"),
        also=tuple(sorted(ALSO_TAKES[DEFAULT_KINDS[kind.type].type] - {kind.type})),
    )


def error_classes() -> list[type[IntegrationError]]:
    """Return what an action may raise, from the SDK's own names."""
    return [
        value
        for value in vars(sdk).values()
        if isinstance(value, type) and issubclass(value, IntegrationError) and value is not IntegrationError
    ]


def error_rows() -> list[ErrorRow]:
    """Return the errors that an action raises, from the SDK's own classes."""
    return [
        ErrorRow(name=cls.__name__, kind=cls.kind, retried=cls.retryable, words=in_words(declared(first_line(cls))))
        for cls in error_classes()
    ]


def in_words(text: str) -> str:
    """Return a docstring's text without the marks around its names."""
    return text.replace("``", "")


def first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0]
