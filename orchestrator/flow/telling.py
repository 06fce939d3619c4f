"""How validation tells a problem, and the small questions that several checks ask of a value. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.compiler import Reference
from orchestrator.flow.expressions import ExpressionError, Template, compile_template


def error(path: str, message: str, code: str) -> Problem:
    return Problem(path=path, message=message, code=code)


def warning(path: str, message: str, code: str) -> Problem:
    return Problem(path=path, message=message, code=code, severity="warning")


def close(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Return `` Did you mean …?`` with the closest name, or nothing."""
    near = get_close_matches(name[:100], known, n=1)
    return _(" Did you mean %(prefix)s%(near)s?") % {"prefix": prefix, "near": near[0]} if near else ""


def nearest(name: str, known: Sequence[str], prefix: str = "") -> str:
    """Return `` Did you mean …?`` with the closest name, else which there are, else nothing."""
    return close(name, known, prefix) or (
        _(" There are %(known)s.") % {"known": ", ".join(known[:12])} if known else ""
    )


def unknown(reference: Reference, where: str, name: str, known: Sequence[str], prefix: str) -> Problem:
    """Return the problem of a reference to a name that is not among those known."""
    hint = nearest(name, known, prefix)
    return error(
        where,
        _("%(prefix)s%(name)s does not exist (column %(column)s).%(hint)s")
        % {"prefix": prefix, "name": name, "column": reference.column, "hint": hint},
        "reference",
    )


def compiled(text: str, where: str) -> tuple[Template | None, Problem | None]:
    try:
        return compile_template(text), None
    except ExpressionError as found:
        at = _(" (column %(column)s)") % {"column": found.column} if found.column else ""
        return None, error(where, f"{found.message}{at}", "expression")


def covers(path: str, expression: str) -> bool:
    """Whether a finding at ``path`` is about a value that an expression makes, at or around its place."""
    return (
        path == expression
        or path.startswith((f"{expression}.", f"{expression}["))
        or not path
        or expression.startswith((f"{path}.", f"{path}["))
    )


def joined(prefix: str, path: str) -> str:
    """Return a path inside another, both as problems write them."""
    return prefix if not path else f"{prefix}{path}" if path.startswith("[") else f"{prefix}.{path}"


def is_literal(value: Any) -> bool:
    """Whether a value holds no expression, so that it is known before a run."""
    return not any("{{" in text for _, text in texts(value, ""))


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text in a value with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{path}[{index}]")
