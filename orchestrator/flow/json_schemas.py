"""A tenant's own JSON schema, as of an approval's form or a workflow's input: checked, and held against values. Pure.

The dialect is 2020-12 without what could hang the loop or reach out: no regular expressions, no reference but to
``#/$defs`` of the same schema, none that leads back to itself, and a bounded size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit
from uuid import UUID

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.schemas import json_type, words_for
from orchestrator.flow.values import weight

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MAX_SCHEMA: Final = 64_000  # characters as JSON
MAX_NODES: Final = 500  # schemas in a schema, each reference counted as what it leads to
CHOICES_A_NODE: Final = 100  # of an enum, which a page shows and a value is held against one by one
MAX_DEPTH: Final = 16
MAX_PROBLEMS: Final = 20
MAX_VALUE: Final = 1_000_000  # characters and items
MAX_NAMED: Final = 12

TYPES: Final = ("string", "number", "integer", "boolean", "array", "object", "null")
_IN_MAPS: Final = ("properties", "$defs", "definitions", "dependentSchemas")
_IN_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_NO_PATTERN: Final = gettext_noop(
    "A regular expression is not possible here: one that is written badly could hold up every run for minutes. "
    "Use enum, format, minLength and maxLength, or check the text in a later step."
)
_NO_POINTER: Final = gettext_noop(
    "This is not possible here: name the schema in $defs, and refer to it with #/$defs/name."
)
_NO_UNEVALUATED: Final = gettext_noop("This is not possible here: use additionalProperties or items.")
_REFUSED: Final[Mapping[str, str]] = {
    "pattern": _NO_PATTERN,
    "patternProperties": _NO_PATTERN,
    **dict.fromkeys(("$id", "$anchor", "$dynamicAnchor", "$dynamicRef"), _NO_POINTER),
    **dict.fromkeys(("$recursiveAnchor", "$recursiveRef"), _NO_POINTER),
    **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems"), _NO_UNEVALUATED),
}
_LOCAL: Final = re.compile(r"#/(\$defs|definitions)/([^/~%]+)")

Found: TypeAlias = tuple[str, str]
Path: TypeAlias = tuple[str | int, ...]


def schema_problems(schema: Any, *, of_object: bool = False) -> list[Found]:
    """Return what is wrong with a schema, as path and message; nothing when it can be used.

    Paths are like ``properties.amount.type``, empty for the whole. ``of_object`` asks for one that describes an object.
    """
    if not isinstance(schema, Mapping):
        return [("", _('A JSON schema is an object, like {"type": "object"}.'))]
    text = _as_text(schema)
    if text is None:
        return [("", _("The schema is not plain JSON."))]
    if len(text) > MAX_SCHEMA:
        return [
            (
                "",
                _("The schema has %(count)s characters; at most %(most)s are taken.")
                % {"count": f"{len(text):,}", "most": f"{MAX_SCHEMA:,}"},
            )
        ]
    told = _judged(text)
    if not told and of_object and schema.get("type") != "object":
        told = [("type", _('The schema describes an object here: {"type": "object", "properties": {…}}.'))]
    return told


def value_problems(value: Any, schema: Any) -> list[Found]:
    """Return where a value does not fit a schema, as path and message, at most ``MAX_PROBLEMS``.

    A schema that cannot be used gives one problem that says so. A large value takes time: call it off the loop.
    """
    text = _as_text(schema)
    checker = _checker(text) if text is not None and len(text) <= MAX_SCHEMA else None
    if checker is None:
        return [("", _("The schema itself is wrong, so nothing can be checked by it. Correct the schema."))]
    if weight(value, MAX_VALUE) > MAX_VALUE:
        return [("", _("The value is too large to be checked by a schema."))]
    try:
        return _unlike(_told(checker.iter_errors(value)))
    except (RecursionError, ArithmeticError, ValueError):
        # A number beyond what arithmetic can compare, or data nested beyond what can be walked.
        return [("", _("The value cannot be checked by the schema: a number is too large, or it is nested too deep."))]


def _as_text(schema: Any) -> str | None:
    try:
        return json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None


def _judged(text: str) -> list[Found]:
    """Return what is wrong with a schema in JSON."""
    return [] if _is_sound(text) else _faults(text)


@lru_cache(maxsize=500)
def _is_sound(text: str) -> bool:
    # Whether alone is kept: what is wrong is told in the language of whoever asks.
    return not _faults(text)


def _faults(text: str) -> list[Found]:
    schema = json.loads(text)
    return _unlike(_Walk(schema).problems()) or _unlike(_told(_meta_checker().iter_errors(schema)))


def _unlike(found: Iterable[tuple[Path, str]]) -> list[Found]:
    """Return the first problems, each once."""
    return list(dict.fromkeys((_written(path), message) for path, message in islice(found, MAX_PROBLEMS)))


class _Walk:
    """Goes through a schema's own schemas, within bounds, before the library sees it."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.costs: dict[str, int] = {}

    def problems(self) -> Iterator[tuple[Path, str]]:
        yield from self._of(self.schema, (), 0)
        try:
            if self._cost(self.schema, ()) > MAX_NODES:
                yield (
                    (),
                    _(
                        "The schema has more than %(most)s parts, counting each reference as what it leads to, and "
                        "every %(choices)s values of an enum as one part."
                    )
                    % {"most": MAX_NODES, "choices": CHOICES_A_NODE},
                )
        except _Circle as circle:
            yield circle.path, _("This leads back to itself, so a value could be followed without end.")

    def _of(self, schema: Any, path: Path, depth: int) -> Iterator[tuple[Path, str]]:
        if not isinstance(schema, Mapping):
            return
        if depth > MAX_DEPTH:
            yield path, _("The schema is nested deeper than %(most)s levels.") % {"most": MAX_DEPTH}
            return
        for word, reason in _REFUSED.items():
            if word in schema:
                yield (*path, word), _(reason)
        yield from self._type(schema, path)
        reference = schema.get("$ref")
        if reference is not None and self._target(reference) is None:
            yield (*path, "$ref"), _("A reference leads to #/$defs/name of this schema, and to nothing outside it.")
        for inner_path, inner in _inner(schema):
            yield from self._of(inner, (*path, *inner_path), depth + 1)

    @staticmethod
    def _type(schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
        declared = schema.get("type")
        for name in declared if isinstance(declared, list) else [declared]:
            if name is not None and name not in TYPES:
                near = get_close_matches(str(name)[:40], TYPES, n=1)
                hint = (
                    _("Did you mean %(near)s?") % {"near": near[0]}
                    if near
                    else _("There are %(types)s.") % {"types": ", ".join(TYPES)}
                )
                yield (*path, "type"), _("%(name)r is no type. %(hint)s") % {"name": str(name)[:40], "hint": hint}

    def _target(self, reference: Any) -> Any:
        match = _LOCAL.fullmatch(reference) if isinstance(reference, str) else None
        holder = self.schema.get(match[1]) if match else None
        return holder.get(match[2]) if match and isinstance(holder, Mapping) else None

    def _cost(self, schema: Any, path: Path, around: tuple[str, ...] = ()) -> int:
        """Return how many schemas a value may be held against. Raises _Circle."""
        if not isinstance(schema, Mapping) or len(path) > 4 * MAX_DEPTH:
            return 1
        choices = schema.get("enum")
        total = 1 + (len(choices) // CHOICES_A_NODE if isinstance(choices, list) else 0)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in around:
                raise _Circle((*path, "$ref"))
            if reference not in self.costs:
                place = tuple(reference.removeprefix("#/").split("/"))
                self.costs[reference] = self._cost(self._target(reference), place, (*around, reference))
            total += self.costs[reference]
        for inner_path, inner in _inner(schema):
            total += self._cost(inner, (*path, *inner_path), around)
        return total


class _Circle(Exception):
    def __init__(self, path: Path) -> None:
        super().__init__(_written(path))
        self.path = path


def _inner(schema: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the schemas right inside one, each with its path."""
    for word in _IN_MAPS:
        if isinstance(schema.get(word), Mapping):
            yield from (((word, str(name)), inner) for name, inner in schema[word].items())
    for word in _IN_LISTS:
        if isinstance(schema.get(word), list):
            yield from (((word, index), inner) for index, inner in enumerate(schema[word]))
    yield from (((word,), schema[word]) for word in _SINGLE if word in schema)


@lru_cache(maxsize=1)
def _meta_checker() -> Validator:
    # Imported where it is needed: it takes as long as much of the rest of a start.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(Draft202012Validator.META_SCHEMA)


@lru_cache(maxsize=500)
def _checker(text: str) -> Validator | None:
    """Return what checks values by a schema in JSON, or None for a schema that cannot be used."""
    if not _is_sound(text):
        return None
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import extend
    from referencing import Registry

    formats = FormatChecker(formats=())
    for name, read in _FORMATS.items():
        formats.checks(name, raises=(ValueError, OverflowError))(_unless_no_text(read))
    checking = extend(Draft202012Validator, validators={"uniqueItems": _unique})  # type: ignore[no-untyped-call]
    made: Validator = checking(json.loads(text), registry=Registry(), format_checker=formats)
    return made


def _unless_no_text(read: Callable[[str], Any]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if isinstance(value, str):
            read(value)
        return True

    return check


def _email(text: str) -> None:
    name, at, host = text.rpartition("@")
    if not (at and name and "." in host.strip(".")) or any(letter.isspace() for letter in text):
        raise ValueError


def _address(text: str) -> None:
    if not urlsplit(text).scheme or any(letter.isspace() for letter in text):
        raise ValueError


_FORMATS: Final[Mapping[str, Callable[[str], Any]]] = {
    "date": date.fromisoformat,
    "date-time": datetime.fromisoformat,
    "email": _email,
    "uri": _address,
    "uuid": UUID,
}


def _unique(validator: Validator, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Find equal items in one pass: the library compares each with each."""
    from jsonschema.exceptions import ValidationError

    if wanted is True and isinstance(value, list) and len({_canonical(item) for item in value}) < len(value):
        yield ValidationError("")


def _canonical(value: Any) -> str:
    """Return a text that equal values share: to JSON, 1 and 1.0 are one number."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{json.dumps(key)}:{_canonical(value[key])}' for key in sorted(value))}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_canonical, value))}]"
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def _told(errors: Iterable[ValidationError]) -> Iterator[tuple[Path, str]]:
    """Yield place and message of the errors, in our words and without the values that are wrong."""
    for error in errors:
        path = tuple(error.absolute_path)
        word = str(error.validator)
        if word == "required":
            yield from _missing(error, path)
        elif word in ("additionalProperties", "dependentRequired"):
            yield from _named(error, path)
        else:
            yield path, _TOLD.get(word, _other)(error)


def _missing(error: ValidationError, path: Path) -> Iterator[tuple[Path, str]]:
    """The library tells each missing name by itself, and only in its message."""
    name = next((str(each) for each in _wanted(error) if error.message.startswith(repr(each))), "")
    yield (*path, name) if name else path, _("Fill this in.")


def _named(error: ValidationError, path: Path) -> Iterator[tuple[Path, str]]:
    schema, instance = error.schema, error.instance
    known = list((schema.get("properties") or {}) if isinstance(schema, Mapping) else ())
    extra = [str(name) for name in instance if name not in known] if isinstance(instance, Mapping) else []
    if error.validator != "additionalProperties" or not extra:
        yield path, _("Something that is needed beside these is missing.")
        return
    for name in extra[:MAX_NAMED]:
        near = get_close_matches(name[:100], known, n=1)
        hint = _(" Did you mean %(near)s?") % {"near": near[0]} if near else ""
        yield (*path, name), _("There is no such field.%(hint)s") % {"hint": hint}


def _wanted(error: ValidationError) -> Any:
    return error.validator_value


def _type(error: ValidationError) -> str:
    given = words_for({"type": json_type(error.instance)})
    return _("This is %(given)s, but %(wanted)s is needed.") % {
        "given": given,
        "wanted": words_for({"type": _wanted(error)}),
    }


def _choice(error: ValidationError) -> str:
    choices = [json.dumps(each, ensure_ascii=False)[:60] for each in _wanted(error)[:MAX_NAMED]]
    more = ", …" if len(_wanted(error)) > MAX_NAMED else ""
    return _("Only these are possible: %(choices)s%(more)s.") % {"choices": ", ".join(choices), "more": more}


def _bound(text: str) -> Callable[[ValidationError], str]:
    return lambda error: _(text).format(json.dumps(_wanted(error), ensure_ascii=False)[:60])


def _other(error: ValidationError) -> str:
    return _("This does not fit the schema (%(validator)s).") % {"validator": str(error.validator)[:40]}


_TOLD: Final[Mapping[str, Callable[[ValidationError], str]]] = {
    "type": _type,
    "enum": _choice,
    "const": _bound(gettext_noop("Only {} is possible.")),
    "minimum": _bound(gettext_noop("At least {} is needed.")),
    "maximum": _bound(gettext_noop("At most {} is possible.")),
    "exclusiveMinimum": _bound(gettext_noop("More than {} is needed.")),
    "exclusiveMaximum": _bound(gettext_noop("Less than {} is needed.")),
    "multipleOf": _bound(gettext_noop("Only multiples of {} are possible.")),
    "minLength": _bound(gettext_noop("At least {} characters are needed.")),
    "maxLength": _bound(gettext_noop("At most {} characters are possible.")),
    "minItems": _bound(gettext_noop("At least {} items are needed.")),
    "maxItems": _bound(gettext_noop("At most {} items are possible.")),
    "minProperties": _bound(gettext_noop("At least {} fields are needed.")),
    "maxProperties": _bound(gettext_noop("At most {} fields are possible.")),
    "uniqueItems": _bound(gettext_noop("No item may be there twice.")),
    "format": _bound(gettext_noop("This has not the form of {}.")),
    "anyOf": _bound(gettext_noop("This fits none of what is possible here.")),
    "oneOf": _bound(gettext_noop("This must fit exactly one of what is possible here.")),
    "not": _bound(gettext_noop("This is what is excluded here.")),
    "pattern": _bound(gettext_noop("This is not written as it has to be.")),
    "contains": _bound(gettext_noop("None of the items, or too few, are as is needed.")),
}


def _written(path: Sequence[str | int]) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text[:500]
