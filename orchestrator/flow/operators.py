"""What stands between two values of an expression: arithmetic and comparisons, each bounded. Pure."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from integrations.words import gettext as _
from orchestrator.flow.values import (
    MAX_ITEMS,
    Context,
    ExpressionError,
    checked_number,
    checked_text,
    is_number,
    same,
    type_name,
    weight,
)


def _add(left: Any, right: Any, context: Context) -> Any:
    if is_number(left) and is_number(right):
        return checked_number(left + right)
    if isinstance(left, str) and isinstance(right, str):
        context.spend(len(left) + len(right))
        return checked_text(left + right)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        context.spend(len(left) + len(right))
        if len(left) + len(right) > MAX_ITEMS:
            raise ExpressionError(_("The list would be too long."))
        return [*left, *right]
    raise ExpressionError(
        _("+ cannot join a %(left)s and a %(right)s; text() makes a text of a value.")
        % {"left": _(type_name(left)), "right": _(type_name(right))}
    )


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Context], Any]:
    def evaluate(left: Any, right: Any, context: Context) -> Any:
        if not (is_number(left) and is_number(right)):
            raise ExpressionError(
                _("%(symbol)s takes two numbers, not a %(left)s and a %(right)s; number() makes one.")
                % {"symbol": symbol, "left": _(type_name(left)), "right": _(type_name(right))}
            )
        try:
            return checked_number(compute(left, right))
        except ZeroDivisionError:
            raise ExpressionError(_("%(symbol)s by zero has no result.") % {"symbol": symbol}) from None
        except OverflowError:
            raise ExpressionError(_("The number is too large.")) from None

    return evaluate


def _divide(left: Any, right: Any) -> Any:
    # 10 / 2 is 5: JSON knows one kind of number, and 5.0 reads odd in a text.
    if isinstance(left, int) and isinstance(right, int) and right and left % right == 0:
        return left // right
    return left / right


def _ordered(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Context], bool]:
    def evaluate(left: Any, right: Any, context: Context) -> bool:
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return bool(compute(left, right))
        raise ExpressionError(
            _("A %(left)s and a %(right)s have no order.") % {"left": _(type_name(left)), "right": _(type_name(right))}
        )

    return evaluate


def _contains(item: Any, holder: Any, context: Context) -> bool:
    if isinstance(holder, str):
        if not isinstance(item, str):
            raise ExpressionError(_("Only a text can be in a text, not a %(type)s.") % {"type": _(type_name(item))})
        context.spend(len(holder))
        return item in holder
    if isinstance(holder, Mapping):
        return isinstance(item, str) and item in holder
    if isinstance(holder, (list, tuple)):
        context.spend(len(holder))
        return any(same(item, other, context) for other in holder)
    raise ExpressionError(
        _("`in` looks into a list, an object or a text, not a %(type)s.") % {"type": _(type_name(holder))}
    )


def _equal(left: Any, right: Any, context: Context) -> bool:
    if isinstance(left, (list, tuple, Mapping)):
        context.spend(weight(left, context.fuel))
    return same(left, right, context)


BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any, Context], Any]]] = {
    ast.Add: _add,
    ast.Sub: _arithmetic("-", operator.sub),
    ast.Mult: _arithmetic("*", operator.mul),
    ast.Div: _arithmetic("/", _divide),
    ast.Mod: _arithmetic("%", operator.mod),
}
COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any, Context], bool]]] = {
    ast.Eq: _equal,
    ast.NotEq: lambda left, right, context: not _equal(left, right, context),
    ast.Lt: _ordered(operator.lt),
    ast.LtE: _ordered(operator.le),
    ast.Gt: _ordered(operator.gt),
    ast.GtE: _ordered(operator.ge),
    ast.In: _contains,
    ast.NotIn: lambda left, right, context: not _contains(left, right, context),
}
