"""Paths of steps in a run: the step's key, with an index for each loop around it, like ``each[3].send``. Pure."""

from __future__ import annotations

import re
from typing import Final

_KEY: Final = r"[a-z][a-z0-9_]{0,62}"
_INDEX: Final = r"\[(?:0|[1-9]\d{0,8})\]"
_PATH: Final = re.compile(rf"(?:{_KEY}{_INDEX}\.)*{_KEY}(?:{_INDEX})?")
_INDEXES: Final = re.compile(r"\[\d+\]")


def is_path(text: str) -> bool:
    """Whether a text is the path of a step (``each[3].send``) or of one iteration of a loop (``each[3]``)."""
    return _PATH.fullmatch(text) is not None


def is_item(path: str) -> bool:
    """Whether a path is that of an iteration."""
    return path.endswith("]")


def item_path(loop: str, item: int) -> str:
    """Return the path of an iteration of the loop at the path ``loop``."""
    return f"{loop}[{item}]"


def key_of_path(path: str) -> str:
    """Return the step's key in a path: ``send`` of ``each[3].send``, ``each`` of ``each[3]``."""
    return path.rsplit(".", 1)[-1].partition("[")[0]


def prefix_of(path: str) -> str:
    """Return what stands before the step's key: ``each[3].`` of ``each[3].send``."""
    return path[: path.rfind(".") + 1]


def items_around(path: str) -> tuple[tuple[str, int], ...]:
    """Return the loops that a path leads through, outermost first, each as its path and the item.

    An iteration's own path (``each[3]``) leads through it.
    """
    return tuple(
        (path[: found.start()], int(path[found.start() + 1 : found.end() - 1])) for found in _INDEXES.finditer(path)
    )


def without_items(path: str) -> str:
    """Return a path without the indexes: the same for every iteration."""
    return _INDEXES.sub("", path)
