"""JSON schema, as far as validation needs it: what is at a path, and whether one type fits another. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from integrations.sdk.fields import WORDS
from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.values import type_name

# Types that take another type's values without loss.
_WIDER: Final = {"integer": {"number"}}
_WORDS: Final = {
    "string": gettext_noop("a text"),
    "number": gettext_noop("a number"),
    "integer": gettext_noop("a whole number"),
    "boolean": gettext_noop("true or false"),
    "array": gettext_noop("a list"),
    "object": gettext_noop("an object"),
    "null": gettext_noop("null"),
}
_PART: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def at_path(schema: Mapping[str, Any], path: str | Sequence[str | int]) -> Mapping[str, Any] | None:
    """Return the schema of what is at ``path`` (``a.b[0]`` or its parts), or None where that is open or unknown."""
    root = schema
    current: Mapping[str, Any] | None = schema
    parts = _parts(path) if isinstance(path, str) else path
    for part in parts:
        current = _step(_resolved(current, root), part, root) if current is not None else None
    if current is None:
        return None
    resolved = _resolved(current, root)
    return {**resolved, "$defs": root.get("$defs", {})} if "$defs" in root else resolved


def types_of(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the JSON types that a schema takes, or None when it does not say."""
    schema = _resolved(schema, schema)
    declared = schema.get("type")
    if isinstance(declared, str):
        return frozenset({declared})
    if isinstance(declared, list):
        return frozenset(str(item) for item in declared)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            found: set[str] = set()
            for option in schema[word]:
                types = types_of({**option, "$defs": schema.get("$defs", {})}) if isinstance(option, Mapping) else None
                if types is None:
                    return None
                found |= types
            return frozenset(found)
    if "enum" in schema:
        return frozenset(json_type(value) for value in schema["enum"])
    if "const" in schema:
        return frozenset({json_type(schema["const"])})
    return None


def fits(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether some value of ``given`` may be taken where ``wanted`` is: only a sure mismatch says no."""
    have, need = types_of(given), types_of(wanted)
    if have is None or need is None:
        return True
    return any(
        kind in need or bool(_WIDER.get(kind, set()) & need) or (kind == "number" and "integer" in need)
        for kind in have
    )


def words_for(schema: Mapping[str, Any]) -> str:
    """Return a schema's types in words, like ``a text or null``."""
    types = types_of(schema)
    if not types:
        return _("another type")
    return _(" or ").join(_(_WORDS.get(kind, kind)) for kind in sorted(types, reverse=True))


def translated(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object's schema in the language of whoever is served: titles, descriptions and words of choices."""
    fields = {
        name: {word: _translated(word, told) for word, told in field.items()}
        for name, field in schema.get("properties", {}).items()
    }
    return {**schema, "properties": fields}


def _translated(word: str, told: Any) -> Any:
    if word == WORDS:
        return {value: _(text) for value, text in told.items()}
    return _(told) if word in ("title", "description") else told


def json_type(value: Any) -> str:
    """Return a value's type in JSON schema's word."""
    return {
        "text": "string",
        "number": "number",
        "boolean": "boolean",
        "null": gettext_noop("null"),
        "list": "array",
    }.get(type_name(value), "object")


def _parts(path: str) -> list[str | int]:
    return [int(index) if index else name for name, index in _PART.findall(path)]


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references within the document, and an option that only adds null."""
    for _each in range(10):
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/$defs/"):
            schema = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        elif isinstance(schema.get("allOf"), list) and len(schema["allOf"]) == 1:
            schema = schema["allOf"][0]
        else:
            break
    return schema


def _step(schema: Mapping[str, Any], part: str | int, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        solid = [option for option in options if isinstance(option, Mapping) and option.get("type") != "null"]
        return _step(_resolved(solid[0], root), part, root) if len(solid) == 1 else None
    if isinstance(part, int):
        items = schema.get("items")
        return items if isinstance(items, Mapping) else None
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and isinstance(properties.get(part), Mapping):
        found: Mapping[str, Any] = properties[part]
        return found
    extra = schema.get("additionalProperties")
    return extra if isinstance(extra, Mapping) and extra else None
