"""Forms over many schemas: those of the library, and any that an author may write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.registry import registry
from orchestrator.builder.form_reading import parse
from orchestrator.builder.step_form import Field, fields

ACTIONS = [action.key for action in registry.actions()]


def posted(drawn: tuple[Field, ...]) -> dict[str, list[str]]:
    """Return what a browser posts of a form as it was drawn, with the line ends of forms."""
    return {
        name: [text.replace("\n", "\r\n") for text in texts]
        for field in drawn
        for name, texts in field.posted().items()
    }


def schema_of(key: str) -> dict[str, Any]:
    action = registry.get(key)
    assert action is not None
    return dict(action.input_json_schema())


def only(part: Any) -> Field:
    return fields({"properties": {"x": part}, "$defs": {"Size": {"enum": ["s", "m"], "type": "string"}}}, {})[0]


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "format": "uri"}, "text"),
        ({"type": "string", "format": "html"}, "area"),
        ({"type": "string", "format": "code"}, "code"),
        ({"anyOf": [{"type": "string", "format": "textarea"}, {"type": "null"}]}, "area"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "number"),
        ({"oneOf": [{"type": "boolean"}, {"type": "null"}]}, "switch"),
        ({"allOf": [{"$ref": "#/$defs/Size"}], "default": "m"}, "choice"),
        ({"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}]}, "choice"),
        ({"$ref": "#/$defs/Gone"}, "json"),
        ({"$ref": "#/$defs/Loop", "$defs": {}}, "json"),
        ({"type": "array", "items": {"type": "integer"}}, "lines"),
        ({"type": "array", "items": {"type": "object"}}, "json"),
        ({"type": "array"}, "json"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "pairs"),
        ({"type": "object", "properties": {"a": {}}}, "json"),
        ({"type": ["string", "null"]}, "text"),
        ({"const": "one"}, "choice"),
        ({"enum": [1, 2, 3]}, "choice"),
        (True, "json"),
        ({}, "json"),
    ],
)
def test_every_way_to_write_a_type_has_its_control(part: Any, kind: str) -> None:
    assert only(part).kind == kind


def test_choices_that_are_no_texts_keep_their_type() -> None:
    schema = {"properties": {"n": {"enum": [1, 2.5, True, None, "a"]}}}
    for value in (1, 2.5, True, "a"):
        drawn = fields(schema, {"n": value})
        assert drawn[0].kind == "choice"
        assert parse(schema, posted(drawn)) == {"n": value}


def test_up_to_five_choices_are_segments() -> None:
    for count, segmented in ((2, True), (5, True), (6, False)):
        assert only({"enum": [f"c{index}" for index in range(count)]}).is_segmented is segmented


@pytest.mark.parametrize("key", ACTIONS)
def test_each_field_of_the_library_takes_an_expression(key: str) -> None:
    schema = schema_of(key)
    inputs = dict.fromkeys(schema.get("properties", {}), "{{ trigger.body.value }}")
    assert parse(schema, posted(fields(schema, inputs))) == inputs


@pytest.mark.parametrize("key", ACTIONS)
def test_an_empty_form_of_the_library_gives_no_inputs(key: str) -> None:
    schema = schema_of(key)
    assert parse(schema, posted(fields(schema, {}))) == {}


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(data=st.data(), key=st.sampled_from(ACTIONS))
def test_a_save_of_what_was_drawn_changes_no_input(data: st.DataObject, key: str) -> None:
    schema = schema_of(key)
    inputs = data.draw(st.dictionaries(st.sampled_from([*schema.get("properties", {"x": {}}), "other"]), _json))
    assert_kept(inputs, parse(schema, posted(fields(schema, inputs))))


def assert_kept(inputs: dict[str, Any], found: dict[str, Any]) -> None:
    """Hold that a form kept its inputs; what is empty it may leave out."""
    filled = {name: value for name, value in inputs.items() if name in found or value not in (None, "", [], {})}
    assert found == filled


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"type": "string"}, "two\nlines"),
        ({"type": "string"}, "  "),
        ({"type": "string"}, 5),
        ({"type": "array", "items": {"type": "string"}}, ["a\nb", " c "]),
        ({"type": "array", "items": {"type": "string"}}, "not a list"),
        ({"type": "array", "items": {"type": "string"}}, {"a": 1}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"key": "two\nlines"}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {" key ": "a", "key": "b"}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, ["a"]),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {f"k{index}": "v" for index in range(300)}),
        ({"type": "number"}, "1"),
        ({"type": "number"}, 1.0),
        ({"type": "boolean"}, "true"),
        ({"enum": [1, 2]}, "1"),
    ],
)
def test_what_a_control_would_bend_comes_back_as_it_was(part: Any, value: Any) -> None:
    schema = {"properties": {"x": part}}
    found = parse(schema, posted(fields(schema, {"x": value})))["x"]
    assert (found, type(found)) == (value, type(value))


_part = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "boolean", "array", "object", "null", "nonsense"]),
            "enum": st.lists(_json, max_size=7),
            "format": st.sampled_from(["textarea", "code", "x"]),
            "default": _json,
            "examples": st.lists(_json, max_size=2),
            "title": st.text(max_size=5),
            "minimum": st.integers(-5, 5),
            "$ref": st.sampled_from(["#/$defs/A", "#/$defs/B", "elsewhere"]),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "anyOf": st.lists(inner, max_size=3),
            "oneOf": st.lists(inner, max_size=3),
            "allOf": st.lists(inner, max_size=2),
            "items": inner,
            "additionalProperties": inner | st.booleans(),
            "type": st.sampled_from(["array", "object"]),
        },
    ),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(part=_part, other=_part, value=_json)
def test_any_schema_has_a_form_that_any_value_survives(part: Any, other: Any, value: Any) -> None:
    schema = {"properties": {"x": part, "y": True}, "$defs": {"A": other, "B": {"$ref": "#/$defs/B"}}}
    assert_kept({"x": value}, parse(schema, posted(fields(schema, {"x": value}))))


def test_the_default_is_offered_once_and_stands_for_leaving_it_out() -> None:
    part = {"enum": ["auto", "text"], "default": "auto"}
    assert only(part).offered == (("", "auto (default)"), ("text", "text"))
    chosen = fields({"properties": {"x": part}}, {"x": "auto"})[0]
    assert chosen.offered == (("auto", "auto (default)"), ("text", "text"))
    assert only({"enum": ["auto", "text"]}).offered == (("", "Not set"), ("auto", "auto"), ("text", "text"))
    assert only({"type": "boolean", "default": False}).offered == (("true", "On"), ("", "Off (default)"))


def test_limits_of_many_digits_can_be_read() -> None:
    assert only({"type": "integer", "minimum": 1, "maximum": 1_000_000}).limits == "1 to 1,000,000"
    assert only({"type": "number", "minimum": 0.5}).limits == "0.5 or more"
