"""The form that makes forms: one line a field, or the JSON schema where that says more than lines can."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from pydantic import ValidationError

from integrations.findings import findings
from orchestrator import jsongate
from orchestrator.builder.wrong import Wrong, told
from orchestrator.flow.forms import FIRST_SCHEMA, FormConfig
from orchestrator.types import JSONValue

if TYPE_CHECKING:
    from django.http import QueryDict

KINDS: Final[Mapping[str, str]] = {
    "text": noop("Text"),
    "area": noop("Long text"),
    "email": noop("E-mail"),
    "url": noop("Web address"),
    "number": noop("Number"),
    "integer": noop("Whole number"),
    "date": noop("Date"),
    "switch": noop("Yes or no"),
    "choice": noop("One of several"),
}
# What each kind is in a JSON schema.
_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"type": "string", "maxLength": 200},
    "area": {"type": "string", "format": "textarea", "maxLength": 5000},
    "email": {"type": "string", "format": "email"},
    "url": {"type": "string", "format": "uri"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "date": {"type": "string", "format": "date"},
    "switch": {"type": "boolean"},
    "choice": {"type": "string"},
}
EMPTY_LINES: Final = 2
LONG: Final = 100  # characters of a value that a long field is for
MOST_FIELDS: Final = 60
_TEXTS: Final = ("title", "description", "thanks", "button")
_MOST: Final = 100_000  # characters of one field


@dataclass(frozen=True, kw_only=True)
class Line:
    """A field of the form that is made. ``choices`` are divided by commas."""

    number: int
    label: str = ""
    name: str = ""
    kind: str = "text"
    required: bool = False
    choices: str = ""
    help: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class FormForm:
    """``lines`` are empty where the schema says more than they can: then ``schema`` is edited as it is."""

    values: Mapping[str, str]
    errors: Mapping[str, str]
    lines: tuple[Line, ...]
    schema: str
    kinds: tuple[tuple[str, str], ...]


def new_config(sample: JSONValue = None) -> dict[str, Any]:
    """Return the config that a new form has: with a field for each plain value of a sample, else the usual three."""
    lines = [_sampled(number, str(name), value) for number, (name, value) in enumerate(_plain(sample))]
    schema = _schema_of(lines) if lines else json.loads(json.dumps(FIRST_SCHEMA))
    return {"schema": schema, "title": _("Contact")}


def _plain(sample: JSONValue) -> list[tuple[str, JSONValue]]:
    plain: list[tuple[str, JSONValue]] = []
    for name, value in sample.items() if isinstance(sample, dict) else ():
        if name and not isinstance(value, (dict, list)):
            plain.append((name, value))
    return plain[:MOST_FIELDS]


def _sampled(number: int, name: str, value: JSONValue) -> Line:
    """Return the line of a field that could have sent this value."""
    if isinstance(value, bool):
        kind = "switch"
    elif isinstance(value, (int, float)):
        kind = "integer" if isinstance(value, int) else "number"
    else:
        text = str(value or "")
        kind = "email" if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) else "area" if len(text) > LONG else "text"
    label = name.replace("_", " ").strip().capitalize()
    return Line(number=number, label=label or name, name=name, kind=kind)


def form_form(
    config: Mapping[str, Any],
    *,
    posted: QueryDict | None = None,
    errors: Mapping[str, str] = MappingProxyType({}),
) -> FormForm:
    """Return the form of a stored config, or of what was posted with what is wrong with it."""
    schema = config.get("schema", FIRST_SCHEMA)
    lines = _lines_of(schema) if posted is None else _posted_lines(posted, errors)
    text = json.dumps(schema, indent=2, ensure_ascii=False) if posted is None else posted.get("schema", "")[:_MOST]
    is_lines = lines is not None and (posted is None or "schema" not in posted)
    return FormForm(
        values=_values(config) if posted is None else {name: str(value)[:_MOST] for name, value in posted.items()},
        errors=errors,
        lines=(*lines, *_empty(len(lines), posted)) if is_lines and lines is not None else (),
        schema="" if is_lines else text,
        kinds=tuple((value, _(said)) for value, said in KINDS.items()),
    )


def _values(config: Mapping[str, Any]) -> dict[str, str]:
    values = {name: str(config.get(name) or "") for name in _TEXTS}
    limit = config.get("rate_limit", 60)
    return {**values, "rate_limit": "" if limit is None else str(limit)}


def _empty(count: int, posted: QueryDict | None) -> Iterator[Line]:
    if posted is None:
        for number in range(count, min(count + EMPTY_LINES, MOST_FIELDS)):
            yield Line(number=number)


def _lines_of(schema: Any) -> list[Line] | None:
    """Return a schema as lines, None where they would say less than it does."""
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties", {}), Mapping):
        return None
    required = schema.get("required", [])
    lines = [
        _line(number, str(name), field, isinstance(required, list) and name in required)
        for number, (name, field) in enumerate(schema.get("properties", {}).items())
    ]
    return lines if len(lines) <= MOST_FIELDS and _schema_of(lines) == dict(schema) else None


def _line(number: int, name: str, field: Any, required: bool) -> Line:
    given: Mapping[str, Any] = field if isinstance(field, Mapping) else {}
    choices = given.get("enum")
    plain = {key: value for key, value in given.items() if key not in ("title", "description", "enum")}
    kind = "choice" if choices else next((kind for kind, known in _SCHEMAS.items() if dict(known) == plain), "text")
    return Line(
        number=number,
        label=str(given.get("title") or name),
        name=name,
        kind=kind,
        required=required,
        choices=", ".join(map(str, choices)) if isinstance(choices, list) else "",
        help=str(given.get("description") or ""),
    )


def _schema_of(lines: list[Line]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for line in lines:
        field: dict[str, Any] = dict(_SCHEMAS[line.kind])
        field |= {"title": line.label} if line.label else {}
        field |= {"description": line.help} if line.help else {}
        if line.kind == "choice":
            field["enum"] = [part.strip() for part in line.choices.split(",") if part.strip()]
        properties[line.name] = field
    required = [line.name for line in lines if line.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def config_from(posted: QueryDict, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a form says. Raises Wrong."""
    errors: dict[str, str] = {}
    config: dict[str, Any] = {name: posted.get(name, "")[:_MOST].replace("\r\n", "\n").strip() for name in _TEXTS}
    config = {name: value for name, value in config.items() if value}
    config["schema"] = _schema(posted, errors)
    limit = posted.get("rate_limit", "").strip()
    if limit and not re.fullmatch(r"[1-9]\d{0,5}", limit, re.ASCII):
        errors["rate_limit"] = _("Use a whole number from 1, or nothing.")
    elif "rate_limit" in posted and limit != "60":
        config["rate_limit"] = int(limit) if limit else None
    if not errors:
        try:
            FormConfig.model_validate(config)
        except ValidationError as error:
            for found in findings(error):
                errors[str(found["loc"][0])] = told(found["msg"])
    if errors:
        raise Wrong(errors)
    return config


def _schema(posted: QueryDict, errors: dict[str, str]) -> Any:
    if "schema" in posted:
        try:
            return jsongate.loads(posted.get("schema", "")[:_MOST].encode("utf-8", "surrogatepass"))
        except (jsongate.BadJSON, UnicodeEncodeError) as error:
            errors["schema"] = _("This is no JSON: %(why)s.") % {"why": error}
            return {}
    lines = [line for line in _posted_lines(posted, {}) if line.label or line.name]
    for line in lines:
        if line.kind == "choice" and not line.choices.strip(" ,"):
            errors[f"line-{line.number}"] = _("Say what there is to choose from, divided by commas.")
    return _schema_of(_named(lines))


def _posted_lines(posted: QueryDict, errors: Mapping[str, str]) -> list[Line]:
    lines = []
    for number in range(MOST_FIELDS):
        if f"label-{number}" not in posted:
            continue
        text = {
            name: posted.get(f"{name}-{number}", "")[:2_000].strip() for name in ("label", "name", "choices", "help")
        }
        kind = posted.get(f"kind-{number}", "text")
        lines.append(
            Line(
                number=number,
                **text,
                kind=kind if kind in KINDS else "text",
                required=f"required-{number}" in posted,
                error=errors.get(f"line-{number}", ""),
            )
        )
    return lines


def _named(lines: list[Line]) -> list[Line]:
    """Give each field that has none a name of its own, by its label: what later steps read it by."""
    taken = {line.name for line in lines if line.name}
    named = []
    for line in lines:
        name = line.name
        if not name:
            base = re.sub(r"[^a-z0-9]+", "_", line.label.lower()).strip("_")[:60] or "field"
            name = next(each for each in (base, *(f"{base}_{n}" for n in range(2, 200))) if each not in taken)
            taken.add(name)
        named.append(Line(**{**line.__dict__, "name": name}))
    return named
