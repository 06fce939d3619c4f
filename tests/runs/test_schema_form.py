"""A form that is made from a JSON schema: which field is drawn for what, and what is read of what was filled in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import jsongate
from orchestrator.flow.json_schemas import value_problems
from runs.pages.schema_form import by_field, form_fields, form_value


def one(field: Any, **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": field}, **more}


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "maxLength": 20}, "text"),
        ({"type": "string", "maxLength": 2_000}, "area"),
        ({"type": "string", "format": "textarea"}, "area"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "email"}, "email"),
        ({"type": "string", "format": "uri"}, "url"),
        ({"type": "string", "format": "unheard of"}, "text"),
        ({"type": ["string", "null"]}, "text"),
        ({"type": "number"}, "number"),
        ({"type": "integer"}, "integer"),
        ({"type": "boolean"}, "switch"),
        ({"enum": ["a", "b"]}, "choice"),
        ({"oneOf": [{"const": 1, "title": "One"}, {"const": 2}]}, "choice"),
        ({"type": "array", "items": {"type": "string"}}, "lines"),
        ({"type": "array", "items": {"type": "number"}}, "json"),
        ({"type": "object"}, "json"),
        ({}, "json"),
        (True, "json"),
        ({"$ref": "#/$defs/day"}, "date"),
        ({"$ref": "#/nowhere"}, "json"),
    ],
)
def test_each_type_has_its_field(field: Any, kind: str) -> None:
    schema = one(field, **{"$defs": {"day": {"type": "string", "format": "date"}}})
    assert [found.kind for found in form_fields(schema, id_prefix="f")] == [kind]


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ({"type": "string"}, " as it is ", " as it is "),
        ({"type": "string"}, "two\r\nlines", "two\nlines"),
        ({"type": "string", "format": "date"}, " 2026-03-01 ", "2026-03-01"),
        ({"type": "integer"}, " 12 ", 12),
        ({"type": "integer"}, "1.5", 1.5),
        ({"type": "integer"}, "many", "many"),
        ({"type": "number"}, "-1.5e3", -1500.0),
        ({"type": "number"}, ".5", 0.5),
        ({"type": "number"}, "1e999", "1e999"),
        ({"type": "number"}, "nan", "nan"),
        ({"type": "number"}, "1_000", "1_000"),
        ({"type": "number"}, "٣", "٣"),
        ({"type": "boolean"}, "on", True),
        ({"enum": ["a", 2, None]}, "1", 2),
        ({"enum": ["a", 2]}, "7", "7"),
        ({"enum": ["a", 2]}, "a", "a"),
        ({"oneOf": [{"const": "x", "title": "X"}]}, "0", "x"),
        ({"type": "array", "items": {"type": "string"}}, "a\r\n\r\n b ", ["a", "b"]),
        ({"type": "object"}, '{"a": [1]}', {"a": [1]}),
        ({"type": "object"}, "{broken", "{broken"),
    ],
)
def test_what_is_filled_in_is_read_as_what_it_is_for(field: Any, text: str, value: Any) -> None:
    assert form_value(one(field), {"f0": text}) == {"x": value}


def test_what_is_left_empty_is_left_out_and_a_switch_is_off() -> None:
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "sure": {"type": "boolean"}, "n": {"type": "number"}},
    }
    assert form_value(schema, {"f0": "  ", "f2": ""}) == {"sure": False}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"type": "string", "default": "a"}, "a"),
        ({"type": "number", "default": 2.5}, "2.5"),
        ({"type": "boolean", "default": True}, "on"),
        ({"enum": ["a", "b"], "default": "b"}, "1"),
        ({"enum": ["a"], "default": "z"}, ""),
        ({"type": "array", "items": {"type": "string"}, "default": ["a", "b"]}, "a\nb"),
        ({"type": "object", "default": {}}, "{}"),
    ],
)
def test_a_default_is_filled_in_until_somebody_sends_something_else(field: Any, text: str) -> None:
    assert form_fields(one(field), id_prefix="f")[0].value == text
    assert form_fields(one(field), id_prefix="f", posted={"f0": "mine"})[0].value == "mine"


def test_words_and_what_is_needed_come_from_the_schema() -> None:
    schema = one({"type": "string", "title": "Amount", "description": "In EUR"}, required=["x"])
    (field,) = form_fields(schema, id_prefix="w1", errors={"x": "Fill this in."})
    assert (field.id, field.label, field.help, field.required, field.error) == (
        "w1-0",
        "Amount",
        "In EUR",
        True,
        "Fill this in.",
    )


def test_problems_go_to_the_field_with_the_longest_name_that_fits() -> None:
    schema = {"type": "object", "properties": {"a": {}, "a.b": {}, "list": {}}}
    problems = {"a": "1", "a.b": "2", "a.b.c": "3", "list[0].x": "4", "elsewhere": "5", "": "6"}
    assert by_field(schema, problems) == ({"a": "1", "a.b": "2", "list": "4"}, ["5", "6"])


def test_by_a_schema_that_cannot_be_used_nothing_is_read() -> None:
    assert form_value(one({"type": "strng"}), {"f0": "x"}) == {}


@pytest.mark.parametrize("schema", [None, [], {}, {"properties": []}, {"properties": {"x": 7}}, one({"enum": []})])
def test_what_is_no_schema_breaks_nothing(schema: Any) -> None:
    assert isinstance(form_fields(schema, id_prefix="f"), tuple)
    assert isinstance(form_value(schema, {"f0": "x"}), dict)


@given(
    st.sampled_from(["string", "number", "integer", "boolean", "array", "object", "null"]),
    st.text(max_size=30),
)
def test_whatever_is_typed_is_plain_json_and_can_be_checked(declared: str, text: str) -> None:
    schema = one({"type": declared})
    value = form_value(schema, {"f0": text})
    json.loads(jsongate.dumps(jsongate.check(value)))
    value_problems(value, schema)


def test_a_choice_is_read_in_words() -> None:
    words = {"properties": {"size": {"enum": ["s", 2], "x-words": {"s": "Small", "2": "Two"}}}}
    (field,) = form_fields(words, id_prefix="f")
    assert field.choices == (("0", "Small"), ("1", "Two"))
    assert form_value(words, {"f0": "1"}) == {"size": 2}
    (field,) = form_fields({"properties": {"size": {"enum": ["s"], "x-words": ["whatever"]}}}, id_prefix="f")
    assert field.choices == (("0", "s"),)
