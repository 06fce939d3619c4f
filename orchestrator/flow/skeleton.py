"""A value of the shape that a JSON schema describes: what a step will give, before it ever ran. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.flow.schemas import at_path, types_of
from orchestrator.types import JSONValue

MAX_DEPTH: Final = 6
MAX_NAMES: Final = 100
# One that a person can tell apart from a real value.
_BY_TYPE: Final[tuple[tuple[str, JSONValue], ...]] = (
    ("string", "…"), ("integer", 0), ("number", 0), ("boolean", True), ("null", None),
)  # fmt: skip


def skeleton(schema: Mapping[str, Any], *, depth: int = 0) -> JSONValue:
    """Return a value with every name that the schema declares, down to so many levels; examples where it has some."""
    resolved = at_path(schema, ()) or {}
    for word in ("examples", "enum"):
        if isinstance(resolved.get(word), list) and resolved[word]:
            first: JSONValue = resolved[word][0]
            return first
    options = [each for each in resolved.get("anyOf", ()) if isinstance(each, Mapping) and each.get("type") != "null"]
    if options:
        return skeleton({**options[0], "$defs": schema.get("$defs", {})}, depth=depth)
    if depth >= MAX_DEPTH:
        return None
    types = types_of(resolved) or frozenset()
    if isinstance(resolved.get("properties"), Mapping):
        names = list(resolved["properties"])[:MAX_NAMES]
        return {name: skeleton(at_path(schema, (name,)) or {}, depth=depth + 1) for name in names}
    if "array" in types:
        items = at_path(schema, (0,))
        return [] if items is None else [skeleton(items, depth=depth + 1)]
    if "object" in types:
        return {}
    return next((value for name, value in _BY_TYPE if name in types), None)
