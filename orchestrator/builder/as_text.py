"""A step's setup as text, for who may look at it and not change it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.builder.marks import Bit, Marker
from orchestrator.builder.panels import StepPanel
from orchestrator.builder.readable import Line
from orchestrator.builder.step_form import Field

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

# As long as what a form takes.
_LONGEST: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """A text with its chips; ``name`` is its key in a field of names and values, else empty."""

    name: str = ""
    bits: tuple[Bit, ...]


@dataclass(frozen=True, kw_only=True)
class Told:
    """A field and what is in it: no rows where nothing is, then ``default`` is what it does by itself."""

    id: str
    label: str
    rows: tuple[Row, ...]
    default: str
    is_code: bool
    error: str
    is_warned: bool
    reads: tuple[Line, ...]


def as_text(board: Board, panel: StepPanel) -> tuple[Told, ...]:
    """Return the fields of a step that say something: all but those that are folded and empty."""
    marker = Marker(new={**board.numbers, "trigger": 1})
    shown = [*panel.fields, *(field for field in panel.folded if field.is_filled or field.error)]
    return tuple(
        Told(
            id=field.id,
            label=field.label,
            rows=tuple(_rows(marker, field)),
            default=field.default_words,
            is_code=field.kind in ("code", "json"),
            error=field.error,
            is_warned=field.is_warned,
            reads=field.reads,
        )
        for field in shown
    )


def _rows(marker: Marker, field: Field) -> Iterator[Row]:
    for pair in field.pairs:
        if pair.name or pair.value:
            yield Row(name=pair.name, bits=marker.whole(pair.value, name=pair.name, most=_LONGEST))
    if field.kind == "secret" and field.value:
        # A name: no data is in it, and it gives nothing away.
        yield Row(bits=(Bit(text=dict(field.choices).get(field.value, field.value)),))
    elif field.value:
        words = dict(field.choices).get(field.value, field.value)
        yield Row(bits=marker.whole(words, name=field.name, most=_LONGEST))


def condition(board: Board, panel: StepPanel) -> tuple[Bit, ...]:
    """Return what a step runs only if, empty where it always does."""
    return Marker(new={**board.numbers, "trigger": 1}).whole(panel.rule_texts.get("run_if", ""))
