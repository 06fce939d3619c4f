"""Hints for the form that is made from an input schema; they travel as extra keys of the JSON schema."""

from __future__ import annotations

from typing import Any


def ui(*, format: str = "", advanced: bool = False, secret: bool = False, show_if: str = "") -> dict[str, Any]:  # noqa: A002
    """Return ``json_schema_extra`` of a field.

    ``format`` is ``textarea``, ``code``, ``html``, ``date-time``, ``uri`` or ``email``, or ``json`` for an object that
    is more than names and values; ``advanced`` folds the field away with the optional ones; ``secret`` is never
    rendered back; ``show_if`` names a field that must be filled in.
    """
    extra: dict[str, Any] = {}
    if format:
        extra["format"] = format
    if advanced:
        extra["x-advanced"] = True
    if secret:
        extra["x-secret"] = True
    if show_if:
        extra["x-show-if"] = show_if
    return extra
