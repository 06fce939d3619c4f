"""Takes secrets out of what a run stores: raw, encoded, nested, longest first."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "••••••"
# A shorter text occurs everywhere by chance: replacing it would destroy data and hide nothing.
SHORTEST: Final = 4
# The fixed middle of a secret in base64, when that is all there is to look for; a shorter one matches by chance.
SHORTEST_CORE: Final = 5
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=")
_NUMERIC: Final = frozenset("0123456789.+-eE")

Span = tuple[int, int]


class Redactor:
    """Knows the secrets that one run uses; a redactor for each run, so that nobody's secret masks another's data."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Form to how many neighbours on either side belong to it: base64 spreads a byte over two characters.
        self._forms: dict[str, int] = {}
        self._numeric = False
        self.add(secrets)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._forms)} forms>"

    def add(self, secrets: Iterable[str]) -> None:
        """Learn further secrets; one of fewer than four characters is left alone."""
        told = [secret for secret in secrets if len(secret) >= SHORTEST]
        if not told:
            return
        forms = dict(self._forms)
        for secret in told:
            forms |= dict.fromkeys(_base64_cores(secret), 3) | dict.fromkeys(_whole_forms(secret), 0)
        # Replaced, not changed: another thread may be looking through it.
        self._forms = forms
        self._numeric = any(_NUMERIC.issuperset(form) for form in forms)

    def found_in(self, text: str) -> bool:
        """Whether a secret occurs in the text."""
        return any(form in text for form in self._forms)

    def text(self, value: str) -> str:
        """Return the text with every known secret replaced by MASK; the very same object when there is none."""
        # Looking for each form is far quicker than one regular expression: megabytes without a hit cost milliseconds.
        present = [form for form in self._forms if form in value]
        return _masked(value, self._spans(value, present)) if present else value

    def clean(self, value: Any) -> Any:
        """Return the JSON value with secrets replaced, in keys too; the very same object when there is none."""
        if not self._forms or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        # A dictionary is asked for first: whether something else is a Mapping takes longer to tell than the rest.
        if isinstance(value, dict) or (not isinstance(value, (list, int, float)) and isinstance(value, Mapping)):
            return self._clean_object(value)
        if isinstance(value, (list, tuple)):
            items = [self.clean(item) for item in value]
            return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
        # A secret of digits alone can come back as a number.
        return MASK if self._numeric and self.found_in(str(value)) else value

    def _clean_object(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        cleaned: dict[str, Any] = {}
        changed = False
        for key, item in value.items():
            name, content = self.text(key), self.clean(item)
            changed = changed or name is not key or content is not item
            while name in cleaned:  # two keys that differ in their secret alone must not become one
                name += MASK
            cleaned[name] = content
        return cleaned if changed else value

    def _spans(self, value: str, forms: Iterable[str]) -> Iterator[Span]:
        for form in forms:
            margin = self._forms[form]
            start = value.find(form)
            begun = done = -1
            while start >= 0:
                found = _widened(value, start, start + len(form), margin)
                # Those that overlap are one: of "aaaa" in a text of that letter alone there would be millions.
                if found[0] < done:
                    done = found[1]
                else:
                    if done >= 0:
                        yield begun, done
                    begun, done = found
                # The last one that begins within this one covers all between them.
                further = value.rfind(form, start + 1, start + 2 * len(form) - 1)
                start = further if further >= 0 else value.find(form, start + len(form))
            if done >= 0:
                yield begun, done


def _widened(value: str, start: int, end: int, margin: int) -> Span:
    """Return the span with up to ``margin`` base64 characters on either side: they hold bits of the secret too."""
    for _ in range(margin):
        if start > 0 and value[start - 1] in _BASE64:
            start -= 1
        if end < len(value) and value[end] in _BASE64:
            end += 1
    return start, end


def _masked(value: str, spans: Iterable[Span]) -> str:
    """Return the text with each run of overlapping spans replaced once, so that the longest form wins."""
    parts: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            parts += value[done:start], MASK
        done = max(done, end)
    return "".join((*parts, value[done:]))


def _whole_forms(secret: str) -> set[str]:
    """Return the ways in which a whole secret can appear in what a provider answers or a step builds."""
    raw = secret.encode("utf-8", "surrogatepass")
    standard = base64.b64encode(raw).decode().rstrip("=")
    percent = quote(raw, safe="")
    return {
        secret,
        percent,
        _lower_escapes(percent),
        quote(raw),
        quote_plus(raw),
        quote(percent, safe=""),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        html.escape(secret),
        repr(secret)[1:-1],
        repr(json.dumps(secret))[2:-2],
        repr(json.dumps(secret, ensure_ascii=False))[2:-2],
        raw.hex(),
        raw.hex().upper(),
        standard,
        _url_safe(standard),
        quote(standard, safe=""),
    }


def _base64_cores(secret: str) -> set[str]:
    """Return the part of the base64 text that stays the same whatever stands around the secret.

    Base64 encodes three bytes at a time, so a secret inside a longer text (``user:secret``) has one of
    three encodings, whose first and last characters depend on the neighbours.
    """
    raw = secret.encode("utf-8", "surrogatepass")
    cores: set[str] = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        start = (0, 2, 3)[shift]
        cut = (0, 3, 2)[(shift + len(raw)) % 3]
        core = encoded[start : len(encoded) - cut]
        if len(core) >= SHORTEST_CORE:
            cores |= {core, _url_safe(core), quote(core, safe="")}
    return cores


def _url_safe(encoded: str) -> str:
    return encoded.replace("+", "-").replace("/", "_")


def _lower_escapes(percent: str) -> str:
    """Return a percent-encoded text with its escapes in lower case, as some libraries write them."""
    head, *rest = percent.split("%")
    return "".join((head, *(f"%{part[:2].lower()}{part[2:]}" for part in rest)))
