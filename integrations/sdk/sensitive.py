"""Parts of an output that must not be kept: an action names their paths, and they are masked before anybody looks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

MASK: Final = "•••"
# Names with dots between them; ``[]`` is each entry of a list.
PATH: Final = re.compile(r"[A-Za-z_$][\w$-]*(\[\])*(\.[A-Za-z_$][\w$-]*(\[\])*)*")


def masked(value: Any, paths: Iterable[str]) -> tuple[Any, list[str]]:
    """Return a JSON value with what is at these paths masked, and the texts that were there; it stays as it was."""
    texts: list[str] = []
    for path in paths:
        value = _masked(value, path.replace("[]", ".[]").split("."), texts)
    return value, texts


def _masked(value: Any, parts: Sequence[str], texts: list[str]) -> Any:
    if not parts:
        texts += _texts_in(value)
        return None if value is None else MASK
    first, *rest = parts
    if first == "[]":
        return [_masked(each, rest, texts) for each in value] if isinstance(value, (list, tuple)) else value
    if not isinstance(value, Mapping) or first not in value:
        return value
    return {**value, first: _masked(value[first], rest, texts)}


def _texts_in(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts_in(each)]
    if isinstance(value, (list, tuple)):
        return [text for each in value for text in _texts_in(each)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [str(value)]
    return [value] if isinstance(value, str) else []
