"""The form of a step's inputs, made from the action's JSON schema and what is filled in; ``form_reading`` reads it.

Every field takes an expression, whatever its type. A draft may be wrong: what does not fit the schema is kept and
told at the field by the check.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.utils.translation import gettext as _

from integrations.sdk.fields import choices_of, value_text
from integrations.sdk.files import FORMAT as FILE
from integrations.words import declared
from orchestrator import jsongate
from orchestrator.builder import fitting
from orchestrator.builder.field_kinds import Schema, is_lines, is_text, kind_of, resolved
from orchestrator.builder.form_reading import DRAWN_AS, PREFIX, is_expression, value_posted
from orchestrator.builder.readable import Broken, Line
from orchestrator.flow.secret_inputs import referenced
from orchestrator.types import JSONValue
from orchestrator.vault.faces import HealthFace

SPARE_PAIRS: Final = 2
FEW: Final = 5


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One row of a field of names and values."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field, ready to draw.

    ``kind`` is text, area, code, number, choice, switch, lines, pairs, json or secret; ``value`` is what its control
    holds: of a secret the name of its credential; ``choices`` are pairs of value and words; ``language`` is what code
    is written in; ``show_if`` names a field without which this one means nothing, and behind it those of its values
    with which it does, if not all; ``group`` is the title of the fold it is in; ``reads`` is what its texts say with
    the last data, ``broken`` are its references that lead to nothing; ``choose_url`` lists what there is to choose
    from, where its action can tell, or makes a new secret; ``fits`` are the types of values that can be put into it,
    as picker.kind_of names them, empty for all, and ``why`` says it of the others; ``health`` and ``credential_url``
    are of the secret that is chosen; ``is_plain`` where there is no data that could be put in; ``is_warned`` where
    ``error`` is a warning, which stops nothing.
    """

    name: str
    kind: str
    label: str
    help: str = ""
    value: str = ""
    example: str = ""
    limits: str = ""
    required: bool = False
    advanced: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    pairs: tuple[Pair, ...] = ()
    default: str = ""
    error: str = ""
    drawn_as: str = ""
    language: str = ""
    show_if: str = ""
    group: str = ""
    reads: tuple[Line, ...] = ()
    broken: tuple[Broken, ...] = ()
    choose_url: str = ""
    fits: str = ""
    why: str = ""
    health: HealthFace | None = None
    credential_url: str = ""
    is_plain: bool = False
    is_warned: bool = False

    @property
    def id(self) -> str:
        return f"field-{self.name}"

    @property
    def post_name(self) -> str:
        return f"{PREFIX}{self.name}"

    @property
    def drawn_name(self) -> str:
        return f"{DRAWN_AS}{self.name}"

    def posted(self) -> dict[str, list[str]]:
        """Return what a browser posts of the field as it is drawn."""
        data = {self.drawn_name: [self.drawn_as]} if self.drawn_as else {}
        for index, pair in enumerate(self.pairs):
            data[f"{self.post_name}.k{index}"] = [_one_line(pair.name)]
            data[f"{self.post_name}.v{index}"] = [_one_line(pair.value)]
        if self.kind != "pairs":
            data[self.post_name] = [_one_line(self.value) if self.kind in ("text", "number") else self.value]
        return data

    @property
    def default_words(self) -> str:
        return dict(self.choices).get(self.default, self.default)

    @property
    def offered(self) -> tuple[tuple[str, str], ...]:
        """Return the choices as they are posted: the default among them stands for leaving it out."""
        if self.default and self.default not in dict(self.choices):
            return (("", _("%(value)s (default)") % {"value": self.default}), *self.choices)
        if not self.default:
            return (("", _("Choose one") if self.required else _("Not set")), *self.choices)
        left_out = self.default if self.value == self.default else ""
        return tuple(
            (left_out, _("%(value)s (default)") % {"value": words}) if value == self.default else (value, words)
            for value, words in self.choices
        )

    @property
    def is_segmented(self) -> bool:
        """Whether all choices stand side by side."""
        return self.kind in ("choice", "switch") and len(self.choices) <= FEW

    @property
    def is_group(self) -> bool:
        """Whether the field is several controls, which a label alone cannot name."""
        return self.kind == "pairs" or self.is_segmented

    @property
    def takes_data(self) -> bool:
        """Whether data can be put in where the caret is."""
        return self.kind not in ("choice", "switch", "secret") and not self.language and not self.is_plain

    @property
    def is_wrong(self) -> bool:
        return bool(self.error) and not self.is_warned

    @property
    def is_filled(self) -> bool:
        return bool(self.value or any(pair.name or pair.value for pair in self.pairs))


def fields(
    schema: Schema,
    inputs: Mapping[str, JSONValue],
    *,
    errors: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    as_text: Sequence[str] = (),
    warned: Collection[str] = (),
) -> tuple[Field, ...]:
    """Return the fields of a schema with what is filled in; inputs that it does not know come last, as JSON.

    ``texts`` are shown instead of what is stored: what was typed and could not be read; ``warned`` are the fields
    whose error is only a warning.
    """
    known = schema.get("properties", {})
    required = set(schema.get("required", ()))
    found = [
        _field(schema, name, part, inputs, required=name in required, as_text=name in as_text)
        for name, part in known.items()
    ]
    for name, value in inputs.items():
        if name not in known:
            help_text = _("This action has no such field: empty it to take it out.")
            found.append(Field(name=name, kind="json", label=name, help=help_text, value=_json_text(value)))
    return tuple(
        replace(
            field,
            error=(errors or {}).get(field.name, ""),
            is_warned=field.name in warned,
            value=(texts or {}).get(field.name, field.value),
        )
        for field in found
    )


def _field(
    schema: Schema, name: str, part: Schema, inputs: Mapping[str, JSONValue], *, required: bool, as_text: bool
) -> Field:
    """Return a field; a value that its control would not give back as it is stands there as JSON.

    A save sends every field of the form, so what a control bends would be changed by a save of another field.
    """
    drawn, value = _drawn(schema, name, part, inputs, required=required, as_text=as_text), inputs.get(name)
    # What stands in a secret one and is no reference is not shown at all.
    if value is None or drawn.kind == "secret" or _comes_back(schema, resolved(schema, part), drawn, value):
        return drawn
    return replace(drawn, kind="json", drawn_as="json", value=_json_text(value), pairs=(), choices=())


def _comes_back(schema: Schema, part: Schema, drawn: Field, value: JSONValue) -> bool:
    wanted = value.replace("\r\n", "\n") if isinstance(value, str) else value
    try:
        found = value_posted(schema, part, drawn.name, drawn.posted())
    except jsongate.BadJSON:
        return False
    if found is None:
        return value in ("", [], {})
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _drawn(
    schema: Schema, name: str, part: Schema, inputs: Mapping[str, JSONValue], *, required: bool, as_text: bool
) -> Field:
    meant = resolved(schema, part)
    part = part if isinstance(part, Mapping) else {}
    kind = natural = kind_of(schema, meant)
    value = inputs.get(name)
    if kind in ("choice", "switch") and (as_text or _is_free(value, meant, kind)):
        kind = "text"
    if kind in ("pairs", "lines", "number") and isinstance(value, str) and "{{" in value:
        kind = "area" if "\n" in value else "text"
    if kind == "text" and isinstance(value, str) and "\n" in value:
        kind = "area"
    if meant.get("format") == FILE and isinstance(value, dict):
        kind = "json"
    if kind == "pairs" and value is not None and not isinstance(value, dict):
        kind = "json"
    if kind == "lines" and value is not None and not is_lines(schema, meant, value):
        kind = "json"
    default = meant.get("default", part.get("default"))
    label = str(part.get("title") or meant.get("title") or name)
    # Of names and values it is the values that data goes into.
    valued = resolved(schema, meant.get("additionalProperties")) if natural == "pairs" else meant
    fits, why = fitting.values(valued, natural, label)
    base = Field(
        name=name,
        kind=kind,
        label=label,
        fits=fits,
        why=why,
        help=str(part.get("description") or meant.get("description") or ""),
        example=_example(part, kind),
        limits=_limits(meant),
        required=required,
        advanced=bool(part.get("x-advanced")),
        default="" if default in (None, "", [], {}) else value_text(default),
        drawn_as="json" if kind == "json" != natural else "",
        language=str(part.get("x-language", "")) if kind == "code" else "",
        show_if=_show_if(part) if value is None else "",
        group=declared(str(part.get("x-group", ""))),
    )
    if kind == "pairs":
        rows = value if isinstance(value, dict) else {}
        texts_only = is_text(schema, meant.get("additionalProperties", {}))
        pairs = tuple(Pair(name=key, value=_value_text(each, texts_only)) for key, each in rows.items())
        return replace(base, pairs=(*pairs, *(Pair(name="", value=""),) * SPARE_PAIRS))
    if kind == "secret":
        return replace(base, value=referenced(value), example="", default="", fits="", why="")
    return replace(base, value=_shown(value, kind), choices=_choices(meant, kind, base.default))


def _show_if(part: Schema) -> str:
    """Return the field on which another depends, followed by the values of it that show the other, if not all do."""
    visible = part.get("x-visible-if")
    if not isinstance(visible, Mapping) or not visible:
        return str(part.get("x-show-if", ""))
    name, values = next(iter(visible.items()))
    return " ".join([str(name), *map(str, values)])


def _is_free(value: JSONValue, part: Schema, kind: str) -> bool:
    """Whether a value is none of the choices, so that only a text field can show it."""
    if value is None or (value == "" and part.get("default") == ""):
        return False
    if kind == "switch":
        return not isinstance(value, bool)
    return not any(value == each and type(value) is type(each) for each in part.get("enum", ()))


def _choices(part: Schema, kind: str, default: str) -> tuple[tuple[str, str], ...]:
    if kind == "switch":
        return (("true", _("On")), ("false", _("Off")))
    if kind == "choice":
        return tuple((value_text(value), words) for value, words in choices_of(part))
    return ()


def _limits(part: Schema) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        return _("%(low)s to %(high)s") % {"low": f"{low:,}", "high": f"{high:,}"}
    if low is not None:
        return _("%(low)s or more") % {"low": f"{low:,}"}
    return _("up to %(high)s") % {"high": f"{high:,}"} if high is not None else ""


def _example(part: Schema, kind: str) -> str:
    examples = part.get("examples") or ()
    if not examples or kind in ("choice", "switch", "pairs"):
        return ""
    if kind == "lines" and isinstance(examples[0], list):
        return "\n".join(value_text(each) for each in examples[0])
    return _json_text(examples[0]) if kind == "json" else value_text(examples[0])


def _shown(value: JSONValue, kind: str) -> str:
    if value is None:
        return ""
    if kind == "json":
        return _json_text(value)
    if kind == "lines" and isinstance(value, list):
        return "\n".join(value_text(each) for each in value)
    return value_text(value)


def _json_text(value: Any) -> str:
    if isinstance(value, str) and is_expression(value):
        return value
    return json.dumps(value, indent=2, ensure_ascii=False)


def _value_text(value: JSONValue, texts_only: bool) -> str:
    """Return a value so that ``form_reading`` reads the same back: a text that looks like JSON gets quotes."""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False) if not texts_only and _reads_as_json(value) else value


def _reads_as_json(text: str) -> bool:
    try:
        jsongate.loads(text.strip().encode("utf-8", "surrogatepass"))
    except jsongate.BadJSON:
        return False
    return True


def _one_line(text: str) -> str:
    """Return a text as a control of one line holds it."""
    return text.replace("\r", "").replace("\n", "")
