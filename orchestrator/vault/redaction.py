"""Takes secrets out of what a run stores: raw, encoded, nested, longest first."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "••••••"
# A shorter text occurs everywhere by chance: replacing it would destroy data and hide nothing.
SHORTEST: Final = 4


class Redactor:
    """Knows the secrets that one run uses; a redactor for each run, so that nobody's secret masks another's data."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._needles: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.add(secrets)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._needles)} forms>"

    def add(self, secrets: Iterable[str]) -> None:
        """Learn further secrets."""
        before = len(self._needles)
        for secret in secrets:
            if len(secret) >= SHORTEST:
                self._needles |= _forms(secret)
        if len(self._needles) != before:
            ordered = sorted(self._needles, key=lambda form: (-len(form), form))
            self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def text(self, value: str) -> str:
        """Return the text with every known secret replaced by MASK."""
        return value if self._pattern is None else self._pattern.sub(MASK, value)

    def clean(self, value: Any) -> Any:
        """Return the JSON value with secrets replaced, in keys too; the very same object when there are none."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean(item) for item in value]
        # A secret of digits alone can come back as a number.
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self._pattern.search(str(value)):
            return MASK
        return value


def _forms(secret: str) -> set[str]:
    """Return the ways in which a secret can appear in what a provider answers or a step builds."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {
        secret,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        quote(raw, safe="").lower(),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        raw.hex(),
        raw.hex().upper(),
    }
    forms |= _base64_forms(raw)
    return {form for form in forms if len(form) >= SHORTEST}


def _base64_forms(raw: bytes) -> set[str]:
    """Return the part of the base64 text that stays the same whatever stands around the secret.

    Base64 encodes three bytes at a time, so a secret inside a longer text (``user:secret``) has one of
    three encodings, whose first and last characters depend on the neighbours.
    """
    forms: set[str] = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        start = (0, 2, 3)[shift]
        tail = (shift + len(raw)) % 3
        end = len(encoded) - (0, 3, 2)[tail] if tail else len(encoded)
        core = encoded[start:end].decode()
        # A core much shorter than the secret would match by chance.
        if len(core) >= 8:
            forms |= {core, core.replace("+", "-").replace("/", "_")}
    return forms
