"""What the builder's own forms say of what was entered and is wrong."""

from __future__ import annotations

from collections.abc import Mapping


class Wrong(Exception):
    """What was posted is no config; ``errors`` are messages by the names of fields."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


def told(message: str) -> str:
    """Return what a config's own check says as a sentence."""
    said = message.rstrip(".")
    return f"{said[:1].upper()}{said[1:]}."
