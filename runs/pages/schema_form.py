"""A form that is made from a JSON schema of an object, for people who never heard of one; and what they filled in.

What cannot be read as what a field is for is kept as the text that it is: the schema's own check then says at the
field what is needed instead.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from integrations.sdk.fields import choices_of
from orchestrator import jsongate
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.types import JSONValue

LONG_TEXT: Final = 200
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,300}")
_TEXT_KINDS: Final[Mapping[str, str]] = {"textarea": "area", "date": "date", "email": "email", "uri": "url"}
_KINDS: Final[Mapping[str, str]] = {"boolean": "switch", "integer": "integer", "number": "number"}


@dataclass(frozen=True, kw_only=True)
class FormField:
    """One field as it is drawn.

    ``kind`` is text, area, date, email, url, integer, number, switch, choice, lines or json; ``value`` is its text,
    of a choice the number of the one that is chosen, of a switch ``on`` or nothing.
    """

    id: str
    name: str
    post_name: str
    label: str
    help: str
    kind: str
    required: bool
    value: str
    choices: tuple[tuple[str, str], ...]
    error: str

    @property
    def is_area(self) -> bool:
        return self.kind in ("area", "lines", "json")

    @property
    def input_type(self) -> str:
        return self.kind if self.kind in ("date", "email", "url") else "text"

    @property
    def has_notes(self) -> bool:
        """Whether anything is written under the field."""
        return bool(self.error or self.help) or self.kind in ("lines", "json")


def form_fields(
    schema: Any,
    *,
    id_prefix: str,
    posted: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> tuple[FormField, ...]:
    """Return the fields of a schema's object: with what was ``posted``, else with the schema's defaults.

    ``errors`` are messages by the fields' names.
    """
    return tuple(
        FormField(
            id=f"{id_prefix}-{index}",
            name=name,
            post_name=f"f{index}",
            label=str(field.get("title") or name),
            help=str(field.get("description") or ""),
            kind=_kind(field),
            required=name in _list(schema.get("required")) and _kind(field) != "switch",
            value=_initial(field) if posted is None else str(posted.get(f"f{index}", "")),
            choices=tuple((str(number), words) for number, (_, words) in enumerate(choices_of(field))),
            error=(errors or {}).get(name, ""),
        )
        for index, name, field in _properties(schema)
    )


def form_value(schema: Any, posted: Mapping[str, str]) -> dict[str, JSONValue]:
    """Return what was filled in as an object; what was left empty is left out, and all of it where no form is shown."""
    value: dict[str, JSONValue] = {}
    if schema_problems(schema):
        # An approval's form may come from data: what cannot be used may be of any size.
        return value
    for index, name, field in _properties(schema):
        text = str(posted.get(f"f{index}", "")).replace("\r\n", "\n")
        if _kind(field) == "switch":
            value[name] = bool(text)
        elif text.strip():
            value[name] = _read(field, text)
    return value


def by_field(schema: Any, problems: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Sort messages by path into those of fields, by name, and the rest."""
    names = [name for _, name, _ in _properties(schema)]
    errors: dict[str, str] = {}
    rest: list[str] = []
    for path, message in problems.items():
        own = [name for name in names if path == name or path.startswith((f"{name}.", f"{name}["))]
        if own:
            errors.setdefault(max(own, key=len), message)
        else:
            rest.append(message)
    return errors, rest


def _properties(schema: Any) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield number, name and schema of each property, with a reference looked up."""
    found = schema.get("properties") if isinstance(schema, Mapping) else None
    for index, (name, field) in enumerate(found.items() if isinstance(found, Mapping) else ()):
        yield index, name, _looked_up(schema, field)


def _looked_up(schema: Mapping[str, Any], field: Any) -> Mapping[str, Any]:
    if not isinstance(field, Mapping):
        return {}
    reference = field.get("$ref")
    if not isinstance(reference, str):
        return field
    _, _, place = reference.partition("#/")
    holder, _, name = place.partition("/")
    target = _mapping(_mapping(schema.get(holder)).get(name))
    return {**target, **field}


def _kind(field: Mapping[str, Any]) -> str:
    if choices_of(field):
        return "choice"
    declared = _type(field)
    if declared == "string":
        long = field.get("maxLength")
        is_long = isinstance(long, int) and long > LONG_TEXT
        return _TEXT_KINDS.get(str(field.get("format")), "area" if is_long else "text")
    if declared == "array" and _type(_mapping(field.get("items"))) == "string":
        return "lines"
    return _KINDS.get(declared, "json")


def _type(field: Mapping[str, Any]) -> str:
    declared = field.get("type")
    names = [name for name in _list(declared) if name != "null"] if isinstance(declared, list) else [declared]
    return str(names[0]) if len(names) == 1 else ""


def _read(field: Mapping[str, Any], text: str) -> JSONValue:
    match _kind(field):
        case "choice":
            values = [value for value, _ in choices_of(field)]
            return values[int(text)] if _INTEGER.fullmatch(text) and 0 <= int(text) < len(values) else text
        case "integer" | "number":
            return _number(text.strip())
        case "lines":
            return [line.strip() for line in text.split("\n") if line.strip()]
        case "json":
            try:
                return jsongate.loads(text)
            except jsongate.BadJSON:
                return text
        case "text" | "area":
            return text
        case _:
            return text.strip()


def _number(text: str) -> JSONValue:
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else text


def _initial(field: Mapping[str, Any]) -> str:
    """Return a field's default as its text."""
    if "default" not in field:
        return ""
    default = field["default"]
    match _kind(field):
        case "choice":
            values = [value for value, _ in choices_of(field)]
            return str(values.index(default)) if default in values else ""
        case "switch":
            return "on" if default is True else ""
        case "lines":
            return "\n".join(map(str, _list(default)))
        case "json":
            return json.dumps(default, indent=2)
        case _:
            return _words(default)


def _words(value: JSONValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
