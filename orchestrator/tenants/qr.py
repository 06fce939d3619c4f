"""A QR code as what an inline SVG needs: it holds a secret, so it is drawn here and in no file or address."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Final

import segno

# Light modules that a reader needs around a code.
_BORDER: Final = 4


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A square of ``size`` units with its border, and the path of its dark modules."""

    size: int
    path: str


def drawn(text: str) -> Drawing:
    """Return a text as a QR code."""
    matrix = segno.make(text, micro=False, error="m").matrix
    runs = []
    for y, row in enumerate(matrix):
        x = 0
        for dark, modules in groupby(row):
            length = len(list(modules))
            if dark:
                runs.append(f"M{x + _BORDER} {y + _BORDER}h{length}v1h-{length}z")
            x += length
    return Drawing(size=len(matrix) + 2 * _BORDER, path="".join(runs))
