"""What moved steps read of the workflow that they came from: handed over as a payload, and read from it. Pure.

Everything that is handed over keeps its name inside the payload, so a reference changes by one word in front of it:
``steps.company.output`` is ``trigger.body.steps.company.output`` in the called workflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from integrations.words import gettext as _
from orchestrator.flow.compiler import Reference
from orchestrator.flow.expressions import ExpressionError, compile_template
from orchestrator.flow.items import as_template
from orchestrator.flow.scoping import STEP_NAMES
from orchestrator.types import JSONValue

# What stands before a root that comes with the payload.
BODY: Final = "trigger.body."
# The order in which a payload names them.
_ROOTS: Final = ("trigger", "steps", "item", "index", "run", "workflow")

# Says whether a reference is to something that comes with the payload.
Judge: TypeAlias = Callable[[Reference], bool]


class Payload:
    """Collects what a call hands over."""

    def __init__(self) -> None:
        self._whole: set[str] = set()
        self._parts: dict[str, list[str]] = {}
        self._steps: dict[str, set[str]] = {}

    def take(self, root: str, name: str = "") -> None:
        """Hand over a root, or one name of it."""
        if not name:
            self._whole.add(root)
        elif name not in self._parts.setdefault(root, []):
            self._parts[root].append(name)

    def take_step(self, key: str, name: str = "") -> None:
        """Hand over ``output``, ``status`` or ``error`` of a step, all of it without a name."""
        self._steps.setdefault(key, set()).update((name,) if name else STEP_NAMES)

    def written(self) -> dict[str, JSONValue] | None:
        """Return the payload as a step's input holds it, None where nothing is handed over."""
        made: dict[str, JSONValue] = {}
        for root in _ROOTS:
            if root == "steps" and self._steps:
                made[root] = {key: self._step(key, names) for key, names in self._steps.items()}
            elif root in self._whole:
                made[root] = f"{{{{ {root} }}}}"
            elif root in self._parts:
                made[root] = {name: f"{{{{ {root}.{name} }}}}" for name in self._parts[root]}
        return made or None

    @staticmethod
    def _step(key: str, names: set[str]) -> JSONValue:
        if names == set(STEP_NAMES):
            return f"{{{{ steps.{key} }}}}"
        return {name: f"{{{{ steps.{key}.{name} }}}}" for name in STEP_NAMES if name in names}


def rewritten(text: str, judge: Judge, *, bare: bool = False) -> str:
    """Return a text whose references to what comes with the payload read it there; the rest stays letter for letter.

    ``bare`` is for a text that is an expression without braces too. Raises ExpressionError for a text that cannot be
    read, or could not be any more.
    """
    written = as_template(text) if bare else text
    if "{{" not in written:
        return text
    references = compile_template(written).references
    moved = [judge(reference) for reference in references]
    made = written
    # From the end, so that the columns before stay what they are.
    columns = [found.column for found, is_moved in zip(references, moved, strict=True) if is_moved]
    for column in sorted(columns, reverse=True):
        made = f"{made[: column - 1]}{BODY}{made[column - 1 :]}"
    _hold(made, references, moved)
    return made if written == text else made[len("{{ ") : -len(" }}")]


def _hold(made: str, references: tuple[Reference, ...], moved: list[bool]) -> None:
    """Raise ExpressionError unless a text reads what is meant: a column that is wrong must never be saved."""
    wanted = [
        ("trigger", "body", reference.root, *reference.parts) if is_moved else (reference.root, *reference.parts)
        for reference, is_moved in zip(references, moved, strict=True)
    ]
    if [(found.root, *found.parts) for found in compile_template(made).references] != wanted:
        raise ExpressionError(_("It cannot be rewritten to read the same from a payload."))


def rewritten_value(value: Any, judge: Judge) -> Any:
    """Return a value with every text in it rewritten. Raises ExpressionError, with ``where``, as ``rewritten``."""
    return _value(value, judge, "")


def _value(value: Any, judge: Judge, where: str) -> Any:
    if isinstance(value, str):
        try:
            return rewritten(value, judge)
        except ExpressionError as error:
            error.where = where
            raise
    if isinstance(value, Mapping):
        return {name: _value(item, judge, f"{where}.{name}") for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item, judge, f"{where}[{index}]") for index, item in enumerate(value)]
    return value
