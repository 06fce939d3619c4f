"""What a property of an action's JSON schema is to a form: its one type, its choices, and the kind of its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.sdk.fields import SECRET, WORDS, choices_of, value_text
from integrations.sdk.files import FORMAT as FILE
from orchestrator.types import JSONValue

_SCALARS: Final = frozenset({"string", "number", "integer", "boolean"})
_AREAS: Final = {"textarea": "area", "html": "area", "code": "code"}
Schema = Mapping[str, Any]


def resolved(schema: Schema, part: Any) -> Schema:
    """Return what a property is, references followed and "or null" left out."""
    for _hop in range(8):
        if not isinstance(part, Mapping):
            return {}
        if "$ref" in part:
            target = schema.get("$defs", {}).get(str(part["$ref"]).rpartition("/")[2], {})
            part = {**target, **{key: value for key, value in part.items() if key != "$ref"}}
            continue
        for word in ("anyOf", "oneOf", "allOf"):
            others = [each for each in part.get(word, ()) if isinstance(each, Mapping) and each.get("type") != "null"]
            if len(others) == 1:
                part = {**others[0], **{key: value for key, value in part.items() if key != word}}
                break
        else:
            return _plain_type(part)
    return {}


def _plain_type(part: Schema) -> Schema:
    """Return a property with one type and its choices as a list, however they are written."""
    # Null is "not set", and so is an empty text where it is the default.
    none = (None, "") if part.get("default") == "" else (None,)
    choices = [(value, words) for value, words in choices_of(part) if value not in none]
    if choices:
        words = {value_text(value): called for value, called in choices}
        part = {**part, "enum": [value for value, _called in choices], WORDS: words}
    if isinstance(part.get("type"), list):
        types = [each for each in part["type"] if each != "null"]
        part = {**part, "type": types[0] if len(types) == 1 else None}
    return part


def kind_of(schema: Schema, part: Schema) -> str:
    """Return the kind of field that a resolved property is drawn as, one of those of ``step_form.Field``."""
    if part.get(SECRET):
        return "secret"
    if part.get("enum"):
        # Two choices that read alike could not be told apart when they come back.
        texts = [value_text(value) for value in part["enum"]]
        return "choice" if len(set(texts)) == len(texts) and "" not in texts else "json"
    if part.get("format") == FILE:
        return "text"
    match part.get("type"):
        case "string":
            return _AREAS.get(str(part.get("format", "")), "text")
        case "boolean":
            return "switch"
        case "integer" | "number":
            return "number"
        case "array" if resolved(schema, part.get("items", {})).get("type") in _SCALARS:
            return "lines"
        case "object" if part.get("format") == "json":
            return "json"
        case "object" if part.get("additionalProperties", False) is not False and not part.get("properties"):
            return "pairs"
    scalars = {each.get("type") for each in part.get("anyOf", ()) if isinstance(each, Mapping)}
    return "area" if "string" in scalars and part.get("format") in _AREAS else "json"


def is_lines(schema: Schema, part: Schema, value: JSONValue) -> bool:
    """Whether a list reads the same back from its lines."""
    if not isinstance(value, list):
        return False
    return not is_text(schema, part.get("items", {})) or all(isinstance(each, str) for each in value)


def is_text(schema: Schema, part: Any) -> bool:
    """Whether a property holds texts alone."""
    return resolved(schema, part).get("type") == "string"
