"""Hints for the form that is made from an input schema; they travel as extra keys of the JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SECRET: Final = "x-secret"
WORDS: Final = "x-words"


def ui(
    *,
    format: str = "",  # noqa: A002
    advanced: bool = False,
    secret: bool = False,
    show_if: str = "",
    language: str = "",
    group: str = "",
    visible_if: Mapping[str, Sequence[str]] | None = None,
    words: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return ``json_schema_extra`` of a field.

    ``format`` is ``textarea``, ``code``, ``html``, ``date-time``, ``uri`` or ``email``, or ``json`` for an object that
    is more than names and values; ``advanced`` folds the field away with the optional ones, ``group`` under a title of
    its own; ``secret`` is a text that lies in the vault alone: a step holds the name of a credential in its place,
    ``run`` reads the text itself, and what calls an action without a step (``integration try``, a test) passes the
    text; ``show_if`` names a field that must be filled in; ``visible_if`` names a choice and those of its values with
    which this field means something; ``language`` is what a field of ``code`` is written in, ``python``,
    ``javascript`` or ``sql``; ``words`` say what the values of a choice are called on pages, while what is on record
    is the value.
    """
    extra: dict[str, Any] = {}
    if format:
        extra["format"] = format
    if advanced:
        extra["x-advanced"] = True
    if secret:
        extra[SECRET] = True
    if show_if:
        extra["x-show-if"] = show_if
    if language:
        extra["x-language"] = language
    if group:
        extra["x-group"] = group
    if visible_if:
        extra["x-visible-if"] = {name: list(values) for name, values in visible_if.items()}
    if words:
        extra[WORDS] = dict(words)
    return extra


def choices_of(part: Mapping[str, Any]) -> list[tuple[Any, str]]:
    """Return the values that a property takes, each as it is called; empty where it takes others too.

    ``part`` may be anybody's. The values are an ``enum`` or a ``const``, or a ``const`` in each of ``oneOf`` or
    ``anyOf``, which is called by its ``title`` as JSON schema has it. ``x-words`` come before both.
    """
    words = part.get(WORDS)
    called = words if isinstance(words, Mapping) else {}
    return [(value, str(called.get(value_text(value)) or title or value_text(value))) for value, title in _values(part)]


def _values(part: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each value of a choice with its title, if any."""
    if isinstance(part.get("enum"), list):
        yield from ((value, "") for value in part["enum"])
    elif "const" in part:
        yield part["const"], ""
    else:
        for word in ("oneOf", "anyOf"):
            branches = part.get(word)
            if isinstance(branches, list) and all(isinstance(each, Mapping) and "const" in each for each in branches):
                yield from ((each["const"], each.get("title")) for each in branches)
                return


def value_text(value: Any) -> str:
    """Return a value of a choice as a form sends it, and as the keys of ``x-words`` name it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def words_problems(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the words of choices in an object's JSON schema, its definitions included."""
    definitions = schema.get("$defs", {})
    for each in (schema, *definitions.values()):
        for name, part in each.get("properties", {}).items():
            if WORDS in part:
                yield from _wrong_words(name, part[WORDS], _taken(part, definitions))


def _wrong_words(name: str, words: Mapping[str, str], taken: Sequence[str]) -> Iterator[str]:
    if not taken:
        yield f"the field {name!r} has words for its values and is no choice"
        return
    for key, called in words.items():
        if key not in taken:
            yield f"the words of {name!r} name {key!r}, which is none of its values: {', '.join(taken)}"
        if not called.strip():
            yield f"the words of {name!r} say nothing for {key!r}"
    shown = [words.get(value, value) for value in taken]
    for twice in dict.fromkeys(each for each in shown if shown.count(each) > 1):
        yield f"the words of {name!r} call two values {twice!r}"


def _taken(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    """Return the values of a choice as texts, references followed and "or null" left out."""
    if "$ref" in part:
        return _taken(definitions.get(str(part["$ref"]).rpartition("/")[2], {}), definitions)
    own = [value_text(value) for value, _called in choices_of(part) if value is not None]
    others = [each for each in part.get("anyOf", ()) if each.get("type") != "null"]
    return _taken(others[0], definitions) if not own and len(others) == 1 else own


def secret_inputs(model: type[BaseModel], schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the inputs that are secrets; ``schema`` is the model's own."""
    if not any(map(is_secret, model.model_fields.values())):
        return ()
    return tuple(name for name, part in schema.get("properties", {}).items() if part.get(SECRET))


def is_secret(field: FieldInfo) -> bool:
    """Whether an input is marked as a secret."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(SECRET))


def secret_problems(model: type[BaseModel]) -> Iterator[str]:
    """Yield what is marked as a secret and cannot be one: what is no text, and what lies inside another input."""
    for name, field in model.model_fields.items():
        if is_secret(field) and not all(map(_is_text, _kinds(field.annotation))):
            yield f"the input {field.alias or name!r} is marked as a secret, and only a text can be one"
        for inner in _models(field.annotation, {model}):
            yield from (
                f"{inner.__name__}.{each} is marked as a secret inside the input {field.alias or name!r}: make it an "
                "input of its own"
                for each, part in inner.model_fields.items()
                if is_secret(part)
            )


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield what a field can be, apart from None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _kinds(each)
    elif annotation is not NoneType:
        yield annotation


def _is_text(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, str) and not issubclass(kind, Enum)


def _models(annotation: Any, seen: set[Any]) -> Iterator[type[BaseModel]]:
    """Yield the models inside a field's type, each once."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from _models(field.annotation, seen)
    for each in get_args(annotation):
        yield from _models(each, seen)
