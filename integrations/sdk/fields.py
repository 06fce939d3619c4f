"""Hints for the form that is made from an input schema; they travel as extra keys of the JSON schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SECRET: Final = "x-secret"


def ui(
    *,
    format: str = "",  # noqa: A002
    advanced: bool = False,
    secret: bool = False,
    show_if: str = "",
    language: str = "",
    group: str = "",
    visible_if: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return ``json_schema_extra`` of a field.

    ``format`` is ``textarea``, ``code``, ``html``, ``date-time``, ``uri`` or ``email``, or ``json`` for an object that
    is more than names and values; ``advanced`` folds the field away with the optional ones, ``group`` under a title of
    its own; ``secret`` is a text that lies in the vault alone: a step holds the name of a credential in its place,
    ``run`` reads the text itself, and what calls an action without a step (``integration try``, a test) passes the
    text; ``show_if`` names a field that must be filled in; ``visible_if`` names a choice and those of its values with
    which this field means something; ``language`` is what a field of ``code`` is written in, ``python``,
    ``javascript`` or ``sql``.
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
    return extra


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
