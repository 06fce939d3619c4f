"""Looks into plain data by keys and indexes, and says what is missing by its whole path and the nearest name. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from integrations.words import gettext as _
from orchestrator.flow.values import Context, ExpressionError, UnresolvedReference, type_name
from orchestrator.large import MISSING, Large

Evaluate = Callable[[Context], Any]
# Keys, each known before or computed when it is needed.
Links = list[tuple[Any, Evaluate | None]]


def written_path(parts: tuple[str | int, ...]) -> str:
    """Return a path as a person writes it: ``steps.a.output.items[0]["x-y"]``."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[^\W\d]\w*", part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def from_root(name: str, column: int) -> Evaluate:
    """Return what gives the value of a name."""

    def evaluate(context: Context) -> Any:
        try:
            return context.scope[name]
        except KeyError:
            raise _missing(name, list(context.scope), (), column) from None

    return evaluate


def follow(base: Evaluate, path: tuple[str | int, ...], links: Links, column: int, lazy: bool) -> Evaluate:
    """Return what gives the value at the end of ``links`` from a base; ``path`` is what the base is called.

    With ``lazy`` a large value is given as it is, without being read.
    """
    if all(dynamic is None for _, dynamic in links):
        keys = tuple(key for key, _ in links)

        def follow_known(context: Context) -> Any:
            value = base(context)
            for index, key in enumerate(keys):
                if type(value) is dict and key in value:
                    value = value[key]
                else:
                    value = look_up(value, key, (*path, *keys[:index]), column)
            return value.whole() if type(value) is Large and not lazy else value

        return follow_known

    def follow_computed(context: Context) -> Any:
        value, seen = base(context), path
        for key, dynamic in links:
            at = key if dynamic is None else dynamic(context)
            value = look_up(value, at, seen, column)
            seen = (*seen, at)
        return value.whole() if type(value) is Large and not lazy else value

    return follow_computed


def look_up(value: Any, key: Any, path: tuple[str | int, ...], column: int) -> Any:
    """Return what is at ``key``, or raise UnresolvedReference naming the path and the nearest name."""
    if isinstance(value, Mapping) and isinstance(key, str):
        if key in value:
            return value[key]
        raise _missing(key, list(value)[:500], path, column)
    if isinstance(value, (list, tuple)) and isinstance(key, int) and not isinstance(key, bool):
        if -len(value) <= key < len(value):
            return value[key]
        reason = _("the list has %(count)s item(s)") % {"count": len(value)}
    elif isinstance(value, (Mapping, list, tuple)):
        wanted = _("a text") if isinstance(value, Mapping) else _("a whole number")
        raise ExpressionError(
            _("%(path)s is looked into by %(wanted)s, not a %(type)s.")
            % {"path": written_path(path), "wanted": wanted, "type": _(type_name(key))},
            column=column,
        )
    elif isinstance(value, Large):
        return _look_into(value, key, path, column)
    else:
        reason = (
            _("%(path)s is null") % {"path": written_path(path)}
            if value is None
            else _("%(path)s is a %(type)s") % {"path": written_path(path), "type": _(type_name(value))}
        )
    whole = written_path((*path, key if isinstance(key, (str, int)) else str(key)))
    raise UnresolvedReference(
        _("%(whole)s does not exist: %(reason)s.") % {"whole": whole, "reason": reason}, path=whole, column=column
    )


def _look_into(large: Large, key: Any, path: tuple[str | int, ...], column: int) -> Any:
    """Do as ``look_up`` in a value of which only what is asked for is read. Raises Unready."""
    shape = large.shape()
    if isinstance(shape, tuple):
        return look_up(shape[0], key, path, column)
    is_object = shape.kind == "{"
    if type(key) is not (str if is_object else int):
        # Nothing of it is needed to say that this does not fit.
        return look_up({} if is_object else [], key, path, column)
    found = large.part(key)
    if found is not MISSING:
        return found
    if isinstance(key, str):
        raise _missing(key, large.names(), path, column)
    whole = written_path((*path, key))
    raise UnresolvedReference(
        _("%(whole)s does not exist: the list has %(count)s item(s).") % {"whole": whole, "count": shape.count},
        path=whole,
        column=column,
    )


def _missing(key: str, known: list[Any], path: tuple[str | int, ...], column: int) -> UnresolvedReference:
    whole = written_path((*path, key))
    near = get_close_matches(key[:100], [name for name in known if isinstance(name, str) and len(name) <= 100], n=1)
    nearest = written_path((*path, near[0])) if near else ""
    hint = _(" Did you mean %(nearest)s?") % {"nearest": nearest} if nearest else ""
    return UnresolvedReference(
        _("%(whole)s does not exist.%(hint)s") % {"whole": whole, "hint": hint},
        path=whole,
        nearest=nearest,
        column=column,
    )
