"""Plain data in expressions: its types, equality, text form, and the fuel that bounds what is made of it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.large import Large
from orchestrator.types import JSONValue

MAX_TEXT: Final = 10_000_000
MAX_ITEMS: Final = 1_000_000
MAX_BITS: Final = 1024
# One unit is about a character or an item read or made: some tenths of a second in all.
FUEL: Final = 20_000_000


class ExpressionError(Exception):
    """An expression cannot be compiled or evaluated.

    ``column`` is 1-based in the whole text, 0 when unknown; ``where`` is the text's path inside a larger value.
    """

    where: str = ""

    def __init__(self, message: str, *, column: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


class UnresolvedReference(ExpressionError):
    """A reference names nothing; ``nearest`` is the closest name that is there, or empty."""

    def __init__(self, message: str, *, path: str, nearest: str = "", column: int = 0) -> None:
        super().__init__(message, column=column)
        self.path = path
        self.nearest = nearest


class OutOfFuel(ExpressionError):
    """The expression reads or makes more data than one expression may."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Context:
    """One evaluation: the names it sees, and what it may still spend."""

    scope: Mapping[str, Any]
    fuel: int = FUEL
    now: Callable[[], datetime] = field(default=_utc_now)

    def spend(self, amount: int) -> None:
        """Raise OutOfFuel once more than the fuel is used."""
        self.fuel -= amount
        if self.fuel < 0:
            raise OutOfFuel(_("The expression handles too much data. Use a data or code step for this."))


def type_name(value: Any) -> str:
    """Return a value's type in the words people see, in English: ``gettext`` translates them where they are shown."""
    if value is None:
        return gettext_noop("null")
    if isinstance(value, bool):
        return gettext_noop("boolean")
    return _TYPE_NAMES.get(type(value), gettext_noop("value"))


_TYPE_NAMES: Final[dict[type, str]] = {
    str: gettext_noop("text"),
    int: gettext_noop("number"),
    float: gettext_noop("number"),
    list: gettext_noop("list"),
    tuple: gettext_noop("list"),
    dict: gettext_noop("object"),
}


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(left: Any, right: Any, context: Context) -> bool:
    """Whether two JSON values are equal: unlike in Python, true is not 1."""
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        context.spend(len(left))
        return len(left) == len(right) and all(same(a, b, context) for a, b in zip(left, right, strict=True))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        context.spend(len(left))
        return left.keys() == right.keys() and all(same(left[key], right[key], context) for key in left)
    return bool(left == right)


def as_text(value: Any, context: Context) -> str:
    """Return a value as it reads inside a text: null is empty, lists and objects are JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return json.dumps(value)
    if isinstance(value, Large):
        return as_text(value.whole(), context)
    return as_json(value, context)


def as_json(value: Any, context: Context) -> str:
    """Return a value as compact JSON, within the size of a text."""
    context.spend(weight(value, context.fuel))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return checked_text(text)


def weight(value: Any, limit: int) -> int:
    """Return about how many characters and items a value holds; stops counting beyond ``limit``."""
    total, stack = 0, [value]
    while stack and total <= limit:
        item = stack.pop()
        total += 1
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, Mapping):
            total += sum(map(len, item))
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
    return total


def checked_text(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise OutOfFuel(
            _("The text would have %(count)s characters; at most %(most)s are possible.")
            % {"count": f"{len(text):,}", "most": f"{MAX_TEXT:,}"}
        )
    return text


def checked_number(value: Any) -> JSONValue:
    """Return a number that JSON can hold, or raise ExpressionError."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise ExpressionError(_("The number is too large."))
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(_("The result is not a finite number."))
    return value  # type: ignore[no-any-return]
