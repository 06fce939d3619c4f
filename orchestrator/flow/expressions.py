"""Expressions in ``{{ … }}`` inside texts: compiled once, evaluated on plain data within bounds. Pure.

A text that is one whole expression keeps the value's type; otherwise values are rendered into the text.
Evaluated once: data that contains ``{{`` stays data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, TypeAlias

from integrations.words import gettext as _
from integrations.words import gettext_noop
from orchestrator.flow.compiler import Compiled, Reference, compile_expression
from orchestrator.flow.lookup import written_path
from orchestrator.flow.values import (
    FUEL,
    Context,
    ExpressionError,
    OutOfFuel,
    UnresolvedReference,
    as_text,
    checked_text,
    type_name,
)
from orchestrator.types import JSONValue

__all__ = [
    "ExpressionError",
    "OutOfFuel",
    "Reference",
    "Rendering",
    "Template",
    "UnresolvedReference",
    "compile_template",
    "compile_value",
    "evaluate_condition",
    "find_templates",
    "render",
    "written_path",
]

MAX_TEMPLATE: Final = 1_000_000
MAX_EXPRESSIONS: Final = 1_000
MAX_DEPTH: Final = 64

# Gives a value with its texts evaluated. Raises ExpressionError, whose ``where`` says which text.
Rendering: TypeAlias = Callable[[Context], Any]


@dataclass(frozen=True, kw_only=True)
class Template:
    """A compiled text: its constant pieces and its expressions, in order."""

    text: str
    pieces: tuple[str | Compiled, ...] = field(repr=False)

    @property
    def is_constant(self) -> bool:
        return all(isinstance(piece, str) for piece in self.pieces)

    @property
    def is_expression(self) -> bool:
        """Whether the text is one whole expression, so that it keeps its value's type."""
        return len(self.pieces) == 1 and not isinstance(self.pieces[0], str)

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(ref for piece in self.pieces if not isinstance(piece, str) for ref in piece.references)

    @property
    def gives(self) -> str | None:
        """Return the JSON type the text always has, or None when that depends on data."""
        if not self.is_expression:
            return "string"
        piece = self.pieces[0]
        assert isinstance(piece, Compiled)
        return piece.gives

    @property
    def sole_reference(self) -> Reference | None:
        """Return the reference when the text is nothing but one, like ``{{ steps.a.output.id }}``."""
        piece = self.pieces[0] if self.is_expression else None
        if not isinstance(piece, Compiled) or not piece.is_reference:
            return None
        return piece.references[0]

    def evaluate(self, scope: Mapping[str, Any], *, fuel: int = FUEL) -> Any:
        """Return the value. Raises ExpressionError, and nothing else, with the column."""
        return self.run(Context(scope=scope, fuel=fuel))

    def run(self, context: Context) -> Any:
        """Evaluate within a context whose fuel several templates share."""
        try:
            if self.is_expression:
                return self.pieces[0].evaluate(context)  # type: ignore[union-attr]
            parts = []
            for piece in self.pieces:
                part = piece if isinstance(piece, str) else as_text(piece.evaluate(context), context)
                context.spend(len(part))
                parts.append(part)
            return checked_text("".join(parts))
        except RecursionError:
            raise _too_deep() from None


def _too_deep(where: str = "") -> ExpressionError:
    error = ExpressionError(_("The data is nested too deep for an expression."))
    error.where = where
    return error


def compile_template(text: str) -> Template:
    """Compile a text with any number of expressions; compiled ones are kept. Raises ExpressionError."""
    if "{{" not in text:
        return Template(text=text, pieces=(text,))
    return _compile(text)


@lru_cache(maxsize=20_000)
def _compile(text: str) -> Template:
    if len(text) > MAX_TEMPLATE:
        raise ExpressionError(
            _("The text has more than %(most)s characters around its expressions.") % {"most": f"{MAX_TEMPLATE:,}"}
        )
    pieces: list[str | Compiled] = []
    place = 0
    while (start := text.find("{{", place)) >= 0:
        end = _end_of(text, start + 2)
        if start > place:
            pieces.append(text[place:start])
        pieces.append(compile_expression(text[start + 2 : end], start + 2))
        place = end + 2
        if len(pieces) > MAX_EXPRESSIONS:
            raise ExpressionError(
                _("The text has more than %(most)s expressions.") % {"most": MAX_EXPRESSIONS},
                column=start + 1,
            )
    if place < len(text):
        pieces.append(text[place:])
    # Spaces around a sole expression are how people write, not text that they want.
    solid = [piece for piece in pieces if not (isinstance(piece, str) and not piece.strip())]
    if len(solid) == 1 and not isinstance(solid[0], str):
        pieces = solid
    return Template(text=text, pieces=tuple(pieces))


def _end_of(text: str, start: int) -> int:
    """Return where the ``}}`` is that ends an expression: not one inside a text or an object display."""
    depth, place, length = 0, start, len(text)
    while place < length:
        character = text[place]
        if character in "\"'":
            place = _after_text(text, place)
            continue
        if character == "{":
            depth += 1
        elif character == "}":
            if depth == 0 and text.startswith("}}", place):
                return place
            depth = max(0, depth - 1)
        place += 1
    raise ExpressionError(_("{{ is opened here and never closed with }}."), column=start - 1)


def _after_text(text: str, start: int) -> int:
    quote, place = text[start], start + 1
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == quote:
            return place + 1
        place += 1
    raise ExpressionError(_("A text is opened here and never closed."), column=start + 1)


def render(value: JSONValue, scope: Mapping[str, Any], *, fuel: int = FUEL) -> Any:
    """Return ``value`` with every text in it evaluated; keys stay as they are.

    Raises ExpressionError; its ``where`` says where inside ``value``, like ``values.name``.
    """
    return compile_value(value)(Context(scope=scope, fuel=fuel))


def compile_value(value: JSONValue) -> Rendering:
    """Compile a value whose texts may hold expressions, for whoever renders it more than once.

    Never raises: what is wrong with ``value`` is told when it is rendered. Containers are made anew each time.
    """
    return _compile_value(value, (), 0) or (lambda context: value)


def _compile_value(value: Any, path: tuple[str | int, ...], depth: int) -> Rendering | None:
    """Compile a value, if it is more than a constant."""
    if depth > MAX_DEPTH:
        return _raises(gettext_noop("The inputs are nested too deep."))
    if isinstance(value, str):
        return _compile_text(value, path) if "{{" in value else None
    if isinstance(value, Mapping):
        return _compile_object(value, path, depth)
    if isinstance(value, (list, tuple)):
        return _compile_list(value, path, depth)
    return None


def _raises(message: str) -> Rendering:
    def fail(context: Context) -> Any:
        raise ExpressionError(_(message))

    return fail


def _compile_text(text: str, path: tuple[str | int, ...]) -> Rendering:
    where = written_path(path)

    def render_text(context: Context) -> Any:
        try:
            return compile_template(text).run(context)
        except ExpressionError as error:
            error.where = where
            raise

    try:
        template = compile_template(text)
    except ExpressionError:
        return render_text
    piece = template.pieces[0]
    if not template.is_expression or isinstance(piece, str):
        return render_text
    evaluate = piece.evaluate

    def render_expression(context: Context) -> Any:
        try:
            return evaluate(context)
        except RecursionError:
            raise _too_deep(where) from None
        except ExpressionError as error:
            error.where = where
            raise

    return render_expression


def _compile_object(value: Mapping[str, Any], path: tuple[str | int, ...], depth: int) -> Rendering:
    plain = dict(value)
    made = [(key, _compile_value(item, (*path, key), depth + 1)) for key, item in value.items()]
    moving = tuple((key, rendering) for key, rendering in made if rendering is not None)

    def render_object(context: Context) -> dict[str, Any]:
        # Copied whole, so that the keys keep their order.
        found = plain.copy()
        for key, rendering in moving:
            found[key] = rendering(context)
        return found

    return render_object


def _compile_list(value: list[Any] | tuple[Any, ...], path: tuple[str | int, ...], depth: int) -> Rendering:
    plain = list(value)
    made = [(index, _compile_value(item, (*path, index), depth + 1)) for index, item in enumerate(plain)]
    moving = tuple((index, rendering) for index, rendering in made if rendering is not None)

    def render_list(context: Context) -> list[Any]:
        found = plain.copy()
        for index, rendering in moving:
            found[index] = rendering(context)
        return found

    return render_list


def evaluate_condition(text: str, scope: Mapping[str, Any], *, fuel: int = FUEL) -> bool:
    """Return the boolean that a condition gives; a text without braces is taken as one expression.

    Raises ExpressionError for any other type.
    """
    template = compile_template(text if "{{" in text else f"{{{{ {text} }}}}")
    value = template.evaluate(scope, fuel=fuel)
    if not isinstance(value, bool):
        raise ExpressionError(
            _("A condition gives true or false, not a %(type)s.") % {"type": _(type_name(value))}, column=1
        )
    return value


def find_templates(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and text of every text in ``value`` that holds an expression."""
    if isinstance(value, str):
        if "{{" in value:
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_templates(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from find_templates(item, f"{path}[{index}]")
