"""From a JSON schema, as an API's description has it, to a value that holds what is required, and no more. Pure.

References lead within the description only: nothing is fetched. Depth and size are bounded, whatever the schema says.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final
from urllib.parse import unquote

from orchestrator import jsongate

MAX_DEPTH: Final = 8
MAX_NODES: Final = 500
MAX_HOPS: Final = 16
MAX_REFERENCE: Final = 2_000
MAX_EXAMPLE: Final = 4_000
_MOST_NAMES: Final = 200
# Looks at parts of a description, for all of its operations together: real ones take some thousands.
MAX_LOOKS: Final = 100_000
_EMPTY: Final[Mapping[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False}


class Skeletons:
    """Makes values of the schemas of one description, within a budget for each operation."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._left, self._looks = 0, MAX_LOOKS
        self.has_remote = False

    @property
    def is_spent(self) -> bool:
        """Whether so much was looked at that nothing more is."""
        return self._looks < 0

    def renew(self) -> None:
        """Begin an operation."""
        self._left, self.has_remote = MAX_NODES, False

    def resolved(self, part: Any) -> Mapping[str, Any]:
        """Return an object with its references followed, an empty one where they lead nowhere or out of here."""
        for _hop in range(MAX_HOPS):
            self._looks -= 1
            if not isinstance(part, Mapping):
                return {}
            if not isinstance(reference := part.get("$ref"), str):
                return part
            if self.is_spent:
                return {}
            self.has_remote = self.has_remote or not reference.startswith("#")
            part = self._at(reference)
        return {}

    def value(self, schema: Any, example: Any = None, *, depth: int = 0) -> Any:
        """Return a value of a schema; an ``example`` of the whole gives what it has of that."""
        self._left -= 1
        found = self.resolved(schema)
        if depth > MAX_DEPTH or self._left < 0 or self.is_spent:
            return None
        properties, required = self.members(found)
        if properties:
            given = example if isinstance(example, Mapping) else found.get("example")
            given = given if isinstance(given, Mapping) else {}
            if not required and given and depth == 0:
                return _small(given)
            return {name: self.value(properties.get(name), given.get(name), depth=depth + 1) for name in required}
        known = next((each for each in (example, *_known(found)) if each is not None), None)
        if (small := _small(known)) is not None:
            return small
        return self._made(found, depth)

    def members(self, schema: Any) -> tuple[dict[str, Any], list[str]]:
        """Return the properties of a schema and which of them a request must have, allOf put together."""
        properties: dict[str, Any] = {}
        required: dict[str, None] = {}
        waiting, seen = [schema], 0
        while waiting and seen < MAX_HOPS and not self.is_spent:
            seen += 1
            part = self.resolved(waiting.pop(0))
            own, names = part.get("properties"), part.get("required")
            properties |= dict(islice(own.items(), _MOST_NAMES)) if isinstance(own, Mapping) else {}
            required |= dict.fromkeys(each for each in _list(names) if isinstance(each, str))
            waiting += _list(part.get("allOf"))
        sent = {name: part for name, part in properties.items() if not self._is_read_only(part)}
        return sent, [name for name in required if name in sent or name not in properties][:_MOST_NAMES]

    def _is_read_only(self, part: Any) -> bool:
        return self.resolved(part).get("readOnly") is True

    def _made(self, found: Mapping[str, Any], depth: int) -> Any:
        for word in ("oneOf", "anyOf", "allOf"):
            for other in _list(found.get(word)):
                if self.resolved(other).get("type") != "null":
                    return self.value(other, depth=depth + 1)
        kind = found.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), None)
        if kind == "array":
            is_needed = isinstance(least := found.get("minItems"), int) and least > 0
            return [self.value(found.get("items"), depth=depth + 1)] if is_needed else []
        if kind in ("integer", "number") and isinstance(least := found.get("minimum"), int | float):
            return least
        return _EMPTY.get(kind, {} if kind == "object" else None) if isinstance(kind, str) else None

    def _at(self, reference: str) -> Any:
        """Return what a reference within the description points at (RFC 6901), None for nothing."""
        if not reference.startswith("#/"):
            return None
        found: Any = self._document
        for part in unquote(reference[2:MAX_REFERENCE]).split("/")[:MAX_HOPS]:
            if not isinstance(found, Mapping):
                return None
            found = found.get(part.replace("~1", "/").replace("~0", "~"))
        return found


def _known(found: Mapping[str, Any]) -> list[Any]:
    """Return the values that a schema names itself, the best first."""
    firsts = [each for word in ("examples", "enum") for each in _list(found.get(word))[:1]]
    return [found.get("example"), found.get("default"), found.get("const"), *firsts]


def _list(value: Any) -> list[Any]:
    return value[:_MOST_NAMES] if isinstance(value, list) else []


def _small(value: Any) -> Any:
    """Return a value unless it is too large for a form: a few lines of aliases can stand for gigabytes."""
    fits = value is not None and jsongate.room_beside(value, MAX_EXAMPLE, per_item=4, per_character=1) >= 0
    return value if fits else None
