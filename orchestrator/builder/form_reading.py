"""A step's inputs, read from what a browser posted of its form.

An empty field is left out, an expression is taken whatever the field's type; only text that cannot be read back, like
broken JSON, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from django.utils.translation import gettext as _

from integrations.sdk.fields import SECRET, value_text
from orchestrator import jsongate
from orchestrator.builder.field_kinds import Schema, is_text, kind_of, resolved
from orchestrator.flow.secret_inputs import reference
from orchestrator.types import JSONValue

PREFIX: Final = "in."
# Beside a field whose stored value its own control cannot show: how it was drawn instead.
DRAWN_AS: Final = "as."
MAX_PAIRS: Final = 200


class Unreadable(Exception):
    """Posted text that cannot be read back: ``messages`` and ``texts`` by field name, and the ``inputs`` that can."""

    def __init__(self, messages: Mapping[str, str], texts: Mapping[str, str], inputs: dict[str, JSONValue]) -> None:
        super().__init__("; ".join(messages.values()))
        self.messages, self.texts, self.inputs = dict(messages), dict(texts), inputs


def parse(schema: Schema, posted: Mapping[str, Sequence[str]]) -> dict[str, JSONValue]:
    """Return the inputs of a posted form; empty fields are left out. Raises Unreadable."""
    known = schema.get("properties", {})
    names = dict.fromkeys([*known, *(_top(key) for key in posted if key.startswith(PREFIX))])
    inputs: dict[str, JSONValue] = {}
    wrong: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name in names:
        part = resolved(schema, known[name]) if name in known else {}
        try:
            value = value_posted(schema, part, name, posted)
        except jsongate.BadJSON as error:
            wrong[name] = _("This was not taken: %(why)s. Text goes in quotes.") % {"why": error}
            texts[name] = _one(posted, f"{PREFIX}{name}")
            continue
        if value is not None:
            inputs[name] = value
    if wrong:
        raise Unreadable(wrong, texts, inputs)
    return inputs


def is_expression(text: str) -> bool:
    """Whether a text is one whole expression."""
    stripped = text.strip()
    return stripped.startswith("{{") and stripped.endswith("}}")


def _top(key: str) -> str:
    """Return the field that a posted name belongs to: ``in.headers.k0`` is of ``headers``."""
    return key.removeprefix(PREFIX).rpartition(".")[0] if _is_pair_key(key) else key.removeprefix(PREFIX)


def _is_pair_key(key: str) -> bool:
    _front, dot, last = key.removeprefix(PREFIX).rpartition(".")
    return bool(dot) and last[:1] in ("k", "v") and last[1:].isdigit()


def value_posted(schema: Schema, part: Schema, field: str, posted: Mapping[str, Sequence[str]]) -> JSONValue:
    """Return the value that was posted of a field, None for an empty one. Raises BadJSON."""
    name = f"{PREFIX}{field}"
    kind = "json" if not part or _one(posted, f"{DRAWN_AS}{field}") == "json" else kind_of(schema, part)
    if part.get(SECRET):
        chosen = _one(posted, name).strip()
        return reference(chosen) if chosen else None
    if kind == "pairs" and f"{name}.k0" in posted:
        return _pairs(schema, part, name, posted)
    text = _one(posted, name)
    if not text.strip():
        return None
    if "{{" in text and kind not in ("json", "lines"):
        return text
    if kind == "choice":
        return next((value for value in part["enum"] if value_text(value) == text), text)
    if kind == "lines":
        return _lines(text, texts_only=is_text(schema, part.get("items", {})))
    return _READ[kind](text) if kind in _READ else text


def _pairs(schema: Schema, part: Schema, name: str, posted: Mapping[str, Sequence[str]]) -> JSONValue:
    texts_only = is_text(schema, part.get("additionalProperties", {}))
    found: dict[str, JSONValue] = {}
    for index in range(MAX_PAIRS):
        if f"{name}.k{index}" not in posted:
            break
        key = _one(posted, f"{name}.k{index}").strip()
        text = _one(posted, f"{name}.v{index}")
        if key:
            found[key] = text if texts_only else _value(text)
    return found or None


def _value(text: str) -> JSONValue:
    """Return a value that was typed: JSON where it reads as such, else the text itself."""
    try:
        return jsongate.loads(text.strip().encode("utf-8", "surrogatepass"))
    except jsongate.BadJSON:
        return text


def _number(text: str) -> JSONValue:
    value = _value(text)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def _switch(text: str) -> JSONValue:
    return {"true": True, "false": False}.get(text, text)


def _json(text: str) -> JSONValue:
    return text if is_expression(text) else jsongate.loads(text.encode("utf-8", "surrogatepass"))


def _lines(text: str, *, texts_only: bool) -> JSONValue:
    if is_expression(text):
        return text
    return [line if texts_only else _number_or_text(line) for line in _stripped(text)]


def _number_or_text(line: str) -> JSONValue:
    value = _number(line)
    return value if value_text(value) == line else line


def _stripped(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip())


_READ: Final = {"number": _number, "switch": _switch, "json": _json}


def _one(posted: Mapping[str, Sequence[str]], name: str) -> str:
    """Return a posted text, with the line ends that a textarea had before the browser sent it."""
    values = posted.get(name) or ("",)
    return values[-1].replace("\r\n", "\n")
