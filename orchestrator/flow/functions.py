"""The functions that an expression may call: total, bounded, on plain data. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.values import (
    MAX_ITEMS,
    Context,
    ExpressionError,
    as_json,
    as_text,
    checked_number,
    checked_text,
    is_number,
    type_name,
    weight,
)
from orchestrator.large import Large, Node, opened

_DIRECTIVES: Final = frozenset("aAbBdHIjmMpSyYzZfGuVwWUeFT%")
_NUMBER: Final = re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,4})?")


@dataclass(frozen=True, kw_only=True)
class Function:
    """One function: how many arguments it takes, what type it gives (JSON schema's word, or None), what it does."""

    call: Callable[..., Any]
    least: int
    most: int
    gives: str | None
    help: str


def _first(context: Context, items: Any) -> Any:
    return _at("first", items, 0)


def _last(context: Context, items: Any) -> Any:
    return _at("last", items, -1)


def _at(name: str, items: Any, index: int) -> Any:
    """Return an item at one end of a list, null of an empty one; of a large list no other is read."""
    if isinstance(items, Large):
        shape = items.shape()
        if isinstance(shape, Node) and shape.kind == "[":
            found = items.part(index) if shape.count else None
            return opened(found)
        items = items.whole()
    values = _list(name, items)
    return values[index] if values else None


def _count(context: Context, value: Any) -> int:
    if isinstance(value, Large):
        shape = value.shape()
        if isinstance(shape, Node):
            return shape.count
        value = shape[0]
    if not isinstance(value, (str, list, tuple, Mapping)):
        raise ExpressionError(
            _("count() takes a list, an object or a text, not a %(type)s.") % {"type": _(type_name(value))}
        )
    return len(value)


def _join(context: Context, items: Any, separator: Any = ", ") -> str:
    values = _list("join", items)
    between = _text("join", separator)
    context.spend(len(values) * (len(between) + 1))
    parts = []
    for value in values:
        part = as_text(value, context)
        context.spend(len(part))
        parts.append(part)
    return checked_text(between.join(parts))


def _upper(context: Context, value: Any) -> str:
    return _mapped(context, "upper", value, str.upper)


def _lower(context: Context, value: Any) -> str:
    return _mapped(context, "lower", value, str.lower)


def _trim(context: Context, value: Any) -> str:
    return _mapped(context, "trim", value, str.strip)


def _mapped(context: Context, name: str, value: Any, change: Callable[[str], str]) -> str:
    text = _text(name, value)
    context.spend(len(text))
    return change(text)


def _round(context: Context, value: Any, digits: Any = 0) -> Any:
    if not is_number(value) or not isinstance(digits, int) or isinstance(digits, bool) or not -15 <= digits <= 15:
        raise ExpressionError(_("round() takes a number and, if wanted, how many digits (-15 to 15)."))
    rounded = round(value, digits)
    return int(rounded) if digits <= 0 else rounded


def _number(context: Context, value: Any) -> Any:
    if is_number(value):
        return value
    if isinstance(value, bool):
        return int(value)
    text = _text("number", value).strip()
    if not _NUMBER.fullmatch(text):
        raise ExpressionError(_("number() cannot read %(text)r.") % {"text": text[:40]})
    return checked_number(int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text))


def _as_text(context: Context, value: Any) -> str:
    return as_text(value, context)


def _as_json(context: Context, value: Any) -> str:
    return as_json(value, context)


def _parse_json(context: Context, value: Any) -> Any:
    text = _text("parse_json", value)
    context.spend(len(text))
    if len(text) > MAX_ITEMS * 10 or text.count("[") + text.count("{") > MAX_ITEMS:
        raise ExpressionError(_("parse_json() was given a text that is too large."))
    try:
        parsed = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ExpressionError(_("parse_json() was given JSON that is nested too deep.")) from None
    except ValueError as error:
        message = _("parse_json() was given a text that is not JSON: %(error)s") % {"error": error}
        raise ExpressionError(message[:200]) from None
    context.spend(weight(parsed, context.fuel))
    return _finite(parsed)


def _finite(parsed: Any) -> Any:
    stack = [(parsed, 0)]
    while stack:
        item, depth = stack.pop()
        if depth > 64:
            raise ExpressionError(_("parse_json() was given JSON that is nested too deep."))
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
        elif isinstance(item, (int, float)):
            checked_number(item)
    return parsed


def _no_constant(name: str) -> Any:
    raise ValueError(_("%(name)s is not JSON") % {"name": name})


def _date(context: Context, value: Any) -> str:
    return _moment("date", value).isoformat()


def _format_date(context: Context, value: Any, pattern: Any = "%Y-%m-%d", zone: Any = "UTC") -> str:
    form = _text("format_date", pattern)
    if len(form) > 200 or any(letter not in _DIRECTIVES for letter in re.findall(r"%(.?)", form, re.DOTALL)):
        raise ExpressionError(_("format_date() takes a pattern like %Y-%m-%d %H:%M."))
    name = _text("format_date", zone)
    try:
        local = _moment("format_date", value).astimezone(ZoneInfo(name))
        return local.strftime(form.encode("ascii", "strict").decode()) if form.isascii() else _strftime(local, form)
    except (KeyError, ValueError, OSError, OverflowError):
        raise ExpressionError(
            _("format_date() cannot use the time zone %(name)r or this date.") % {"name": name[:40]}
        ) from None


def _strftime(moment: datetime, form: str) -> str:
    """Format piece by piece: what stands between directives may be in any script, which the C library may refuse."""
    return re.sub(r"%.", lambda match: moment.strftime(match[0]), form, flags=re.DOTALL)


def _now(context: Context) -> str:
    return context.now().isoformat()


def _moment(name: str, value: Any) -> datetime:
    """Return an aware moment from ISO 8601 text (UTC when it has no offset) or seconds since 1970."""
    try:
        if is_number(value):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(_text(name, value).strip())
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise ExpressionError(
            _("%(name)s() cannot read %(value)r as a date; use ISO 8601 or seconds.")
            % {"name": name, "value": str(value)[:40]}
        ) from None


def _list(name: str, value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ExpressionError(
            _("%(name)s() takes a list, not a %(type)s.") % {"name": name, "type": _(type_name(value))}
        )
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ExpressionError(
            _("%(name)s() takes a text, not a %(type)s; text() makes one.")
            % {"name": name, "type": _(type_name(value))}
        )
    return value


# Those that need not have all of what they are given first.
LOOKING: Final = frozenset({"count", "first", "last"})
FUNCTIONS: Final[Mapping[str, Function]] = {
    "first": Function(
        call=_first, least=1, most=1, gives=None, help=gettext_noop("The first item of a list; null when it is empty.")
    ),
    "last": Function(
        call=_last, least=1, most=1, gives=None, help=gettext_noop("The last item of a list; null when it is empty.")
    ),
    "count": Function(
        call=_count, least=1, most=1, gives="integer", help=gettext_noop("How many items or characters there are.")
    ),
    "join": Function(
        call=_join, least=1, most=2, gives="string", help=gettext_noop("The items of a list as one text.")
    ),
    "upper": Function(call=_upper, least=1, most=1, gives="string", help=gettext_noop("The text in capitals.")),
    "lower": Function(call=_lower, least=1, most=1, gives="string", help=gettext_noop("The text in small letters.")),
    "trim": Function(
        call=_trim, least=1, most=1, gives="string", help=gettext_noop("The text without spaces around it.")
    ),
    "round": Function(
        call=_round, least=1, most=2, gives="number", help=gettext_noop("The number, rounded to so many digits.")
    ),
    "number": Function(call=_number, least=1, most=1, gives="number", help=gettext_noop("A text read as a number.")),
    "text": Function(call=_as_text, least=1, most=1, gives="string", help=gettext_noop("Any value as a text.")),
    "json": Function(call=_as_json, least=1, most=1, gives="string", help=gettext_noop("Any value as JSON.")),
    "parse_json": Function(
        call=_parse_json, least=1, most=1, gives=None, help=gettext_noop("The value that a JSON text holds.")
    ),
    "date": Function(
        call=_date, least=1, most=1, gives="string", help=gettext_noop("A date as ISO 8601, from text or seconds.")
    ),
    "format_date": Function(
        call=_format_date,
        least=1,
        most=3,
        gives="string",
        help=gettext_noop("A date by a pattern like %d %b %Y, in a time zone."),
    ),
    "now": Function(
        call=_now, least=0, most=0, gives="string", help=gettext_noop("The present time, ISO 8601 in UTC.")
    ),
}
