"""Providers' own drawings: the SVG file beside a declaration, checked and made part of a page's own markup."""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from integrations.sdk import Provider
from orchestrator.icons import ICONS

_MAX_CHARACTERS: Final = 6_000
_SVG: Final = re.compile(r"\s*(?:<\?xml[^>]*\?>\s*)?<svg([^>]*)>(.*)</svg>\s*", re.DOTALL)
# Shapes only: no script, style, reference, text or event can be in what is put on a page.
_SHAPES: Final = re.compile(
    r"(?:\s*(?:<(?:path|circle|rect|ellipse|line|polyline|polygon|g)(?:\s+(?!on|style|href)[a-z-]+=\"[^\"<>&]*\")*\s*/?>"
    r"|</g>))*\s*"
)
_VIEW_BOX: Final = re.compile(r'\bviewBox="([-0-9. ]+)"')
_STROKED: Final = re.compile(r'\bstroke="currentColor"')


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The inside of an SVG; ``css`` is ``solid`` for one that is filled instead of drawn with a line."""

    view_box: str = "0 0 16 16"
    inner: str
    css: str = ""


def drawing_of(provider: Provider) -> Drawing | None:
    """Return the provider's drawing, or None where it has none that a page can show."""
    if provider.icon in ICONS:
        return Drawing(inner=ICONS[provider.icon])
    if not provider.icon.endswith(".svg"):
        return None
    return _in_package(provider.origin.partition(":")[0], provider.icon)


@lru_cache(maxsize=2_000)
def _in_package(package: str, name: str) -> Drawing | None:
    try:
        text = (importlib.resources.files(package) / name).read_text(encoding="utf-8")
    except (OSError, ImportError, TypeError, ValueError):
        return None
    return parse(text)


def parse(text: str) -> Drawing | None:
    """Return the drawing in an SVG file, or None for one with anything but shapes in it."""
    found = _SVG.fullmatch(text[: _MAX_CHARACTERS + 1])
    view_box = _VIEW_BOX.search(found[1]) if found else None
    if not found or not view_box or not _SHAPES.fullmatch(found[2]):
        return None
    css = "" if _STROKED.search(found[1]) else "solid"
    return Drawing(view_box=view_box[1], inner=found[2].strip(), css=css)
