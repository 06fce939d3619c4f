"""What a field's text says with the data of the last run or test: "Reads as", under the field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from integrations.registry import registry
from orchestrator.builder.data import first_item, place_of
from orchestrator.builder.readable import Line, Part
from orchestrator.flow.expressions import ExpressionError, compile_template
from orchestrator.flow.values import FUEL, Context, as_text
from orchestrator.types import JSONValue

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

# A form is drawn at every save; what it shows of a value is short, and so is what may be computed for it.
SHOWN: Final = 300
_FUEL: Final = FUEL // 20


def reads(board: Board, key: str) -> dict[str, tuple[Line, ...]]:
    """Return how the texts of a step's fields read, by field; one whose data is not known yet is left out."""
    inputs = board.by_key[key].config.inputs
    texts = {name: list(_texts(value)) for name, value in inputs.items()}
    if not any(texts.values()):
        return {}
    scope = scope_of(board, key)
    found = {name: tuple(_lines(lines, scope)) for name, lines in texts.items()}
    return {name: lines for name, lines in found.items() if lines}


def _texts(value: JSONValue) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and "{{" in value:
        yield "", value
    elif isinstance(value, dict):
        yield from ((name, text) for name, text in value.items() if isinstance(text, str) and "{{" in text)


def _lines(texts: list[tuple[str, str]], scope: Mapping[str, Any]) -> Iterator[Line]:
    for name, text in texts:
        try:
            parts = tuple(_parts(text, Context(scope=scope, fuel=_FUEL)))
        except (ExpressionError, RecursionError):
            # Wrong, which the check tells at the field, or nothing is known of the data yet.
            continue
        yield Line(name=name, parts=parts)


def _parts(text: str, context: Context) -> Iterator[Part]:
    left = SHOWN
    for piece in compile_template(text).pieces:
        is_value = not isinstance(piece, str)
        shown = piece if isinstance(piece, str) else as_text(piece.evaluate(context), context)
        yield Part(text=shown if len(shown) <= left else shown[:left] + "…", is_value=is_value)
        left -= len(shown)
        if left < 0:
            return


def scope_of(board: Board, key: str) -> dict[str, Any]:
    """Return what expressions of a step see, from the last run or test and from the examples of actions."""
    trigger, outputs = board.samples
    place = place_of(board.definition.steps, key)
    steps: dict[str, Any] = {}
    for step, _is_sure in place.before if place else ():
        action = registry.get(step.action)
        if step.key in outputs:
            steps[step.key] = {**outputs[step.key], "error": None}
        elif action is not None and action.sample is not None:
            steps[step.key] = {"output": action.sample, "status": "succeeded", "error": None}
    scope: dict[str, Any] = {
        "trigger": trigger or {},
        "steps": steps,
        "workflow": {"id": str(board.workflow.pk), "name": board.definition.name, "slug": board.definition.slug},
    }
    if place and place.loops:
        item = first_item(board, place.loops[-1].key)
        scope |= {} if item is None else {"item": item, "index": 0}
    return scope
