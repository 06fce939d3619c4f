"""Expressions over the items of a list, evaluated once an item within the bounds of one step. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.expressions import Rendering, compile_value
from orchestrator.flow.values import FUEL, Context, ExpressionError, OutOfFuel
from orchestrator.types import JSONValue

# What one item may take, and the whole list: enough to read a full list's data several times over.
ITEM_FUEL: Final = FUEL // 20
LIST_FUEL: Final = FUEL * 5
# Even an expression that reads nothing takes time; a list that is too long ends here and not in the step's timeout.
_EACH: Final = 20
_TOO_MUCH_OF_AN_ITEM: Final = gettext_noop(
    "The expression handles too much data for one item. Take fewer items, or a code step."
)
_TOO_MUCH_OF_A_LIST: Final = gettext_noop(
    "The expression handles too much data for one list. Take fewer items, or a code step."
)


class ItemEvaluator:
    """Gives the value of inputs for one item after the other; not to be shared by threads that run at once.

    ``inputs`` are as written: a text is an expression, also without braces, and in anything larger its texts are
    templates. ``scope`` is what the step's other expressions see; ``item`` and ``index`` come before those of a loop
    around it.
    """

    def __init__(self, inputs: Mapping[str, JSONValue], scope: Mapping[str, Any]) -> None:
        self._inputs = inputs
        self._scope = dict(scope)
        self._left = LIST_FUEL
        self._renderings: dict[str, Rendering] = {}

    def __call__(self, name: str, item: JSONValue, index: int) -> JSONValue:
        """Return the value of the input ``name``. Raises ExpressionError with the input and the index in ``where``."""
        scope = self._scope
        scope["item"], scope["index"] = item, index
        fuel = max(0, min(ITEM_FUEL, self._left - _EACH))
        context = Context(scope=scope, fuel=fuel)
        try:
            context.spend(0 if fuel else 1)
            value: JSONValue = self._rendering(name)(context)
        except ExpressionError as error:
            told = error
            if isinstance(error, OutOfFuel):
                message = _TOO_MUCH_OF_AN_ITEM if fuel == ITEM_FUEL else _TOO_MUCH_OF_A_LIST
                told = OutOfFuel(_(message), column=error.column)
            told.where = _("%(name)s, at index %(index)s") % {"name": name, "index": index}
            raise told from None
        self._left -= _EACH + fuel - context.fuel
        return value

    def _rendering(self, name: str) -> Rendering:
        """Return an input compiled; a text without braces is an expression here, too."""
        found = self._renderings.get(name)
        if found is None:
            written = self._inputs.get(name)
            found = compile_value(as_template(written) if isinstance(written, str) else written)
            self._renderings[name] = found
        return found


def as_template(text: str) -> str:
    """Return a text that is always an expression as a template: its braces may be left out."""
    return text if "{{" in text else f"{{{{ {text} }}}}"
