"""Which values suit a field, by its schema, and what is said of those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.builder import fitting
from orchestrator.builder.picker import kind_of
from orchestrator.builder.step_form import fields

SCALARS = "text number boolean null"
LINES = f"{SCALARS} list"


@pytest.mark.parametrize(
    ("part", "fits", "why"),
    [
        ({"type": "string"}, SCALARS, "Message takes text"),
        ({"type": "string", "format": "textarea"}, SCALARS, "Message takes text"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, SCALARS, "Message takes text"),
        ({"type": "string", "enum": ["a", "b"]}, SCALARS, "Message takes text"),
        ({"type": "integer"}, "number", "Message takes a number"),
        ({"type": ["number", "null"]}, "number", "Message takes a number"),
        ({"type": "boolean"}, "boolean", "Message takes true or false"),
        ({"type": "array", "items": {"type": "string"}}, LINES, "Message takes a list, or one value a line"),
        ({"type": "array", "items": {"type": "object"}}, "", ""),
        ({"type": "object", "properties": {"a": {}}}, "", ""),
        ({"type": "object", "additionalProperties": {"type": "string"}}, SCALARS, "Message takes text"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "number", "Message takes a number"),
        ({"type": "object", "additionalProperties": True}, "", ""),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "", ""),
        ({}, "", ""),
        ({"$ref": "#/$defs/Number"}, "number", "Message takes a number"),
    ],
)
def test_a_field_knows_what_suits_it(part: dict[str, Any], fits: str, why: str) -> None:
    schema = {"properties": {"m": {"title": "Message", **part}}, "$defs": {"Number": {"type": "number"}}}
    (field,) = fields(schema, {})
    assert (field.fits, field.why) == (fits, why)


def test_a_field_that_is_drawn_as_text_for_an_expression_still_takes_what_its_schema_says() -> None:
    (field,) = fields({"properties": {"n": {"type": "integer"}}}, {"n": "{{ trigger.body.seats }}"})
    assert (field.kind, field.fits) == ("text", "number")


def test_every_type_of_a_value_has_its_words_and_none_is_part_of_another() -> None:
    names = list(fitting.kinds())
    assert {kind_of(value) for value in ("", 1, True, [], {}, None)} == set(names)  # type: ignore[arg-type]
    assert [(a, b) for a in names for b in names if a != b and a in b] == []


@pytest.mark.parametrize(
    ("part", "takes"),
    [
        ({"type": "string"}, True),
        ({"type": "integer"}, True),
        ({"type": "array", "items": {"type": "string"}}, True),
        ({"type": "string", "format": "code"}, True),
        ({"type": "string", "format": "code", "x-language": "python"}, False),
        ({"type": "boolean"}, False),
        ({"type": "string", "enum": ["a", "b"]}, False),
        ({"type": "string", "x-secret": True}, False),
    ],
)
def test_data_is_offered_where_a_caret_can_be(part: dict[str, Any], takes: bool) -> None:
    (field,) = fields({"properties": {"m": part}}, {})
    assert field.takes_data is takes
