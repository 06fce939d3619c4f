"""Reads one expression with Python's own grammar, in which keywords may follow a dot. Pure.

``offset`` is everywhere where the expression begins in the whole text (0-based).
"""

from __future__ import annotations

import ast
import keyword
import re
import threading
import unicodedata
import warnings
from typing import Final

from integrations.words import gettext as _
from orchestrator.flow.values import ExpressionError

MAX_SOURCE: Final = 4_000

# Python's keywords may follow a dot (trigger.body.from). Before parsing each is replaced there by a name of the
# same length that nobody can type by accident, so that columns stay what they are.
_STAND_INS: Final = {
    word: chr(0xA500 + index) + "a" * (len(word) - 1) for index, word in enumerate(sorted(keyword.kwlist))
}
_KEYWORDS: Final = {stand_in: word for word, stand_in in _STAND_INS.items()}
_TOKEN: Final = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<dotted>\.\s*)?(?P<name>[^\W\d]\w*)""", re.DOTALL
)
# Several threads in ast.parse at once now and then make Python 3.11 raise SystemError.
_parse_lock = threading.Lock()


def parsed(source: str, offset: int) -> ast.Expression:
    """Return the tree of an expression. Raises ExpressionError with the exact column for what is none."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(
            _("The expression has more than %(most)s characters.") % {"most": f"{MAX_SOURCE:,}"},
            column=offset + 1,
        )
    if not source.strip():
        raise ExpressionError(_("There is nothing between {{ and }}."), column=offset + 1)
    return _parse(_rewrite(source, offset), source, offset)


def column_of(node: ast.AST, source: str, offset: int) -> int:
    """Return where a node begins in the whole text, from 1."""
    line, byte = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    return offset + _character(_rewrite(source, offset), line, byte) + 1


def key_after_dot(node: ast.Attribute) -> str:
    """Return the key that stands after a dot."""
    return _KEYWORDS.get(node.attr, node.attr)


def _rewrite(source: str, offset: int) -> str:
    """Return the source with keywords after a dot replaced; refuse names that Python would silently change."""

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        if any(0xA500 <= ord(letter) <= 0xA500 + len(_STAND_INS) for letter in name) or (
            not name.isascii() and unicodedata.normalize("NFKC", name) != name
        ):
            raise ExpressionError(
                _('Write %(name)r as ["%(name)s"].') % {"name": name[:40]}, column=offset + match.start("name") + 1
            )
        if match["dotted"] is None:
            return match[0]
        return match["dotted"] + _STAND_INS.get(name, name)

    return _TOKEN.sub(replace, source)


def _parse(rewritten: str, source: str, offset: int) -> ast.Expression:
    try:
        with _parse_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # In brackets, so that an expression may run over several lines.
            return ast.parse(f"({rewritten}\n)", mode="eval")
    except SyntaxError as error:
        column = _character(rewritten, error.lineno or 1, error.offset, characters=True)
        message = _("An expression cannot be read here") if error.msg.startswith("invalid") else error.msg
        raise ExpressionError(f"{message}: {_excerpt(source, column)}", column=offset + column + 1) from None
    except (ValueError, RecursionError, MemoryError, SystemError, OverflowError):
        raise ExpressionError(_("The expression cannot be read: it is nested too deep."), column=offset + 1) from None


def _character(text: str, line: int, column: int | None, *, characters: bool = False) -> int:
    """Return the 0-based place in ``text``; ``column`` counts bytes, as ast does, from 0, or characters from 1."""
    lines = text.split("\n")
    before = sum(len(part) + 1 for part in lines[: line - 1])
    within = lines[line - 1] if line <= len(lines) else ""
    at = column or 0
    if line == 1:
        at -= 1  # our own opening bracket
    place = (
        at - 1 if characters else len(within.encode("utf-8", "surrogatepass")[: max(at, 0)].decode("utf-8", "ignore"))
    )
    return max(0, min(before + max(place, 0), len(text) - 1))


def _excerpt(source: str, place: int) -> str:
    return repr(source[place : place + 20].strip() or source[-20:].strip())
