"""A tenant's JSON schema: what is refused of it, and what is told of a value that does not fit."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.flow.json_schemas import MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, schema_problems, value_problems

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number", "minimum": 1},
        "plan": {"enum": ["free", "pro"]},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "maxItems": 3},
        "mail": {"type": "string", "format": "email"},
        "from": {"$ref": "#/$defs/person"},
    },
    "required": ["amount"],
    "additionalProperties": False,
    "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}}}},
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        ORDER,
        {"type": ["string", "null"], "description": "pattern", "examples": ["a"]},
        {"properties": {"pattern": {"type": "string"}, "$id": {"type": "integer"}, "$ref": {"type": "string"}}},
        {"items": True, "prefixItems": [{"type": "integer"}, False]},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "x-order": ["a"], "type": "object"},
        {"definitions": {"a": {"type": "null"}}, "anyOf": [{"$ref": "#/definitions/a"}, {"type": "integer"}]},
        {"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]}},
    ],
)
def test_a_good_schema_has_no_problem(schema: dict[str, Any]) -> None:
    assert schema_problems(schema) == []


@pytest.mark.parametrize(
    ("schema", "path", "says"),
    [
        (None, "", "is an object"),
        ([], "", "is an object"),
        (True, "", "is an object"),
        ({"type": "strng"}, "type", "Did you mean string?"),
        ({"properties": {"a": {"type": ["string", "nil"]}}}, "properties.a.type", "'nil' is no type"),
        ({"properties": []}, "properties", "an object is needed"),
        ({"required": "a"}, "required", "a list is needed"),
        ({"properties": {"a": {"minimum": "5"}}}, "properties.a.minimum", "a number is needed"),
        ({"multipleOf": 0}, "multipleOf", "More than 0"),
        ({"anyOf": [{}, {"minLength": -1}]}, "anyOf[1].minLength", "At least 0"),
        ({"default": float("nan")}, "", "not plain JSON"),
        ({"default": {1, 2}}, "", "not plain JSON"),
        ({"title": "x" * 70_000}, "", "at most 64,000"),
    ],
)
def test_a_wrong_schema_is_told_with_its_path(schema: Any, path: str, says: str) -> None:
    assert [found for found in schema_problems(schema) if found[0] == path and says in found[1]]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"pattern": "^a"}, "pattern"),
        ({"properties": {"a": {"type": "string", "pattern": "(a+)+$"}}}, "properties.a.pattern"),
        ({"items": {"patternProperties": {"^a": {}}}}, "items.patternProperties"),
        ({"$defs": {"a": {"not": {"pattern": "x"}}}}, "$defs.a.not.pattern"),
        ({"dependentSchemas": {"a": {"if": {"pattern": "x"}}}}, "dependentSchemas.a.if.pattern"),
    ],
)
def test_regular_expressions_are_refused_and_the_message_says_why(schema: dict[str, Any], path: str) -> None:
    ((found, message),) = schema_problems(schema)
    assert found == path
    assert "could hold up every run" in message
    assert value_problems("a" * 50 + "b", schema)


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:9/schema.json", "https://example.com/a#/b", "other.json", "#", "#/properties/a", "#a",
        "#/$defs/gone", "#/$defs/a/properties/b", "file:///etc/passwd", "urn:a:b", 5, ["#/$defs/a"],
        "https://json-schema.org/draft/2020-12/schema",
    ],
)  # fmt: skip
def test_a_reference_leads_nowhere_outside(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something was fetched")

    monkeypatch.setattr(socket, "create_connection", connect)
    schema = {"properties": {"x": {"$ref": reference}}, "$defs": {"a": {"properties": {"b": {}}}}}
    assert "properties.x.$ref" in dict(schema_problems(schema))
    assert value_problems({"x": 1}, schema)[0][0] == ""


@pytest.mark.parametrize("word", ["$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "unevaluatedProperties"])
def test_what_moves_or_hides_references_is_refused(word: str) -> None:
    assert word in dict(schema_problems({word: "#x" if word == "$dynamicRef" else "x"}))


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        {"$defs": {"a": {"properties": {"n": {"$ref": "#/$defs/a"}}}}},
    ],
)
def test_a_schema_that_leads_back_to_itself_is_refused(schema: dict[str, Any]) -> None:
    ((path, message),) = schema_problems(schema)
    assert path.endswith("$ref")
    assert "back to itself" in message


def test_references_that_grow_without_end_are_refused_in_no_time() -> None:
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d60": {}}}
    before = time.process_time()
    assert "parts" in schema_problems(schema)[0][1]
    assert time.process_time() - before < 1


def test_depth_and_size_are_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        deep = {"items": deep}
    assert "nested deeper" in schema_problems(deep)[0][1]
    assert schema_problems(deep["items"]) == []
    bottomless: Any = {}
    for _ in range(5_000):
        bottomless = {"items": bottomless}
    assert schema_problems(bottomless)
    wide = {"properties": {f"p{number}": {} for number in range(MAX_NODES)}}
    assert "more than 500 parts" in schema_problems(wide)[0][1]
    # A short text, and three million choices to whoever draws it.
    many = {"$defs": {"many": {"enum": [1] * 15_000}}, "properties": {"a": {"$ref": "#/$defs/many"}}}
    assert schema_problems(many) == []
    many["properties"] = {f"p{number}": {"$ref": "#/$defs/many"} for number in range(200)}
    assert "more than 500 parts" in schema_problems(many)[0][1]


def test_the_number_of_problems_is_bounded() -> None:
    schema = {"properties": {f"p{number}": {"type": "strng"} for number in range(50)}}
    assert len(schema_problems(schema)) == MAX_PROBLEMS
    assert len(value_problems([0] * 1_000, {"items": {"type": "string"}})) == MAX_PROBLEMS


def test_a_form_describes_an_object() -> None:
    assert schema_problems({"type": "string"}, of_object=True)[0][0] == "type"
    assert schema_problems({}, of_object=True)[0][0] == "type"
    assert schema_problems(ORDER, of_object=True) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"amount": 5}, []),
        ({"amount": 5.5, "plan": "pro", "tags": ["a", "b"], "mail": "a@b.test", "from": {"name": "Ada"}}, []),
        ({}, [("amount", "Fill this in.")]),
        ([], [("", "This is a list, but an object is needed.")]),
        ({"amount": 0}, [("amount", "At least 1 is needed.")]),
        ({"amount": "5"}, [("amount", "This is a text, but a number is needed.")]),
        ({"amount": True}, [("amount", "This is true or false, but a number is needed.")]),
        ({"amount": 1, "plan": "gold"}, [("plan", 'Only these are possible: "free", "pro".')]),
        ({"amount": 1, "tags": ["a", 5]}, [("tags[1]", "This is a number, but a text is needed.")]),
        ({"amount": 1, "tags": ["a", "a"]}, [("tags", "No item may be there twice.")]),
        ({"amount": 1, "tags": list("abcd")}, [("tags", "At most 3 items are possible.")]),
        ({"amount": 1, "mail": "nobody"}, [("mail", 'This has not the form of "email".')]),
        ({"amount": 1, "from": {"name": ""}}, [("from.name", "At least 1 characters are needed.")]),
        ({"amount": 1, "plann": "pro"}, [("plann", "There is no such field. Did you mean plan?")]),
    ],
)
def test_what_does_not_fit_is_told_at_its_path(value: Any, found: list[tuple[str, str]]) -> None:
    assert value_problems(value, ORDER) == found


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date", "2026-03-01", "2026-02-30"), ("date-time", "2026-03-01T09:00:00Z", "tomorrow"),
        ("email", "ada@example.com", "ada at example.com"), ("uri", "https://example.com/a", "example"),
        ("uuid", "5b0e4f0c-6a3e-4d0e-9d57-0c8f5d3f7a11", "5b0e"),
    ],
)  # fmt: skip
def test_forms_are_checked(form: str, good: str, bad: str) -> None:
    assert value_problems(good, {"format": form}) == []
    assert value_problems(bad, {"format": form}) == [("", f'This has not the form of "{form}".')]
    assert value_problems(5, {"format": form}) == []


def test_no_message_holds_the_value_that_is_wrong() -> None:
    secret = "hunter2-hunter2"
    schemas: list[dict[str, Any]] = [
        {"type": "number"}, {"enum": [1]}, {"const": 1}, {"maxLength": 1}, {"format": "email"}, {"not": {}},
        {"anyOf": [{"type": "null"}]}, {"oneOf": [{}, {}]}, {"minLength": 99},
    ]  # fmt: skip
    for schema in schemas:
        assert schema_problems(schema) == []
        ((_, message),) = value_problems(secret, schema)
        assert secret not in message


@pytest.mark.parametrize(
    ("values", "unlike"), [([1, 1.0], 1), ([1, True], 2), ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], 1), ([[1], [2]], 2)]
)
def test_items_are_the_same_as_json_sees_it(values: list[Any], unlike: int) -> None:
    assert bool(value_problems(values, {"uniqueItems": True})) is (unlike < len(values))


def test_a_long_list_of_objects_is_checked_for_duplicates_in_little_time() -> None:
    before = time.process_time()
    assert value_problems([{"n": number} for number in range(20_000)], {"uniqueItems": True}) == []
    assert time.process_time() - before < 2


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (10**400, {"multipleOf": 0.1}),
        (1e300, {"multipleOf": 1e-300}),
        ("x" * 1_000_001, {"type": "string"}),
    ],
)
def test_a_value_beyond_what_can_be_checked_is_told(value: Any, schema: dict[str, Any]) -> None:
    assert value_problems(value, schema)


def test_a_schema_that_is_wrong_lets_nothing_pass() -> None:
    for schema in (None, {"type": "strng"}, {"pattern": "a"}, {"default": {1}}, "{}"):
        assert "schema itself is wrong" in value_problems({}, schema)[0][1]


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_words = st.sampled_from(
    [
        "type", "properties", "required", "items", "enum", "$ref", "$defs", "anyOf", "not", "minimum", "format", "if",
        "uniqueItems", "multipleOf", "pattern", "additionalProperties", "dependentRequired", "contains", "const",
    ]
)  # fmt: skip
_schemas = st.recursive(
    _json | st.sampled_from(["string", "object", "array", "#/$defs/a", 1, ["a"]]),
    lambda inner: st.dictionaries(_words | st.just("a"), inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(_words, _schemas, max_size=4), _json)
def test_no_schema_and_no_value_breaks_the_check(schema: dict[str, Any], value: Any) -> None:
    problems = schema_problems(schema)
    assert len(problems) <= MAX_PROBLEMS
    assert bool(value_problems(value, schema)) >= bool(problems)


def test_the_library_is_imported_when_it_is_needed_and_not_before() -> None:
    code = "import sys, orchestrator.flow.validation, runs.engine.interpreter; print('jsonschema' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
