"""A step's form shows what is stored and gives back the same; whatever is posted, it never breaks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import FileValue
from orchestrator.builder.form_reading import DRAWN_AS, PREFIX, Unreadable, parse
from orchestrator.builder.step_form import Field, fields

SCHEMA: dict[str, Any] = {
    "properties": {
        "channel": {"type": "string", "title": "Channel", "examples": ["#sales"]},
        "text": {"type": "string", "format": "textarea"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "on": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
        "method": {"enum": ["GET", "POST"], "type": "string", "default": "GET"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "values": {"type": "object", "additionalProperties": {}},
        "body": {},
    },
    "required": ["channel"],
}


def posted(drawn: tuple[Field, ...]) -> dict[str, list[str]]:
    """Return what a browser posts of a form as it was drawn."""
    data: dict[str, list[str]] = {}
    for field in drawn:
        if field.kind == "pairs":
            for index, pair in enumerate(field.pairs):
                data[f"{field.post_name}.k{index}"] = [pair.name]
                data[f"{field.post_name}.v{index}"] = [pair.value]
        else:
            data[field.post_name] = [field.value.replace("\n", "\r\n")]
    return data


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("channel", "text"), ("text", "area"), ("count", "number"), ("on", "switch"), ("method", "choice"),
        ("tags", "lines"), ("headers", "pairs"), ("values", "pairs"), ("body", "json"),
    ],
)  # fmt: skip
def test_each_type_has_its_control(name: str, kind: str) -> None:
    assert {field.name: field.kind for field in fields(SCHEMA, {})}[name] == kind


@pytest.mark.parametrize(
    "inputs",
    [
        {"channel": "#a", "text": "one\ntwo", "count": 3, "on": True, "method": "POST"},
        {"on": False, "tags": ["a", "b"], "headers": {"X-A": "1", "X-B": "{}"}},
        {"values": {"text": "5", "number": 5, "list": [1, "2"], "none": None, "quoted": '"x"', "words": "a b"}},
        {"body": {"a": [1, {"b": None}]}},
        {"body": "text"},
        {"count": "{{ trigger.body.n }}", "on": "{{ true }}", "method": "{{ 'GET' }}", "body": "{{ trigger.body }}"},
        {"tags": "{{ trigger.body.tags }}", "headers": "{{ trigger.headers }}"},
        {"count": "many", "method": "PURGE"},
        {"gone": {"an": "old field"}},
    ],
)
def test_what_is_stored_comes_back_the_same(inputs: dict[str, Any]) -> None:
    assert parse(SCHEMA, posted(fields(SCHEMA, inputs))) == inputs


def test_required_limits_and_defaults_are_said() -> None:
    found = {field.name: field for field in fields(SCHEMA, {})}
    assert found["channel"].required
    assert not found["text"].required
    assert found["count"].limits == "1 to 9"
    assert found["method"].default == "GET"
    assert found["channel"].example == "#sales"


def test_broken_json_is_refused_with_its_field() -> None:
    with pytest.raises(Unreadable) as caught:
        parse(SCHEMA, {"in.body": ['{"a": '], "in.channel": ["#a"]})
    assert set(caught.value.messages) == {"body"}
    assert "not valid JSON" in caught.value.messages["body"]


def test_a_choice_can_be_turned_into_text() -> None:
    found = {field.name: field for field in fields(SCHEMA, {"method": "POST"}, as_text=["method"])}
    assert found["method"].kind == "text"
    assert found["method"].value == "POST"


def test_every_action_of_the_library_has_a_form_that_keeps_its_examples() -> None:
    for action in registry.actions():
        schema = action.input_json_schema()
        inputs = {
            name: part["examples"][0]
            for name, part in schema.get("properties", {}).items()
            if part.get("examples") and part["examples"][0] is not None
        }
        assert parse(schema, posted(fields(schema, inputs))) == inputs, action.key


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "other"]), _json))
def test_any_stored_value_can_be_shown(inputs: dict[str, Any]) -> None:
    fields(SCHEMA, inputs)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([f"in.{name}" for name in SCHEMA["properties"]] + ["in.values.k0", "in.values.v0", "in."]),
        st.lists(st.text(max_size=20), min_size=1, max_size=2),
    )
)
def test_any_posted_text_is_read_or_refused(data: dict[str, list[str]]) -> None:
    with suppress(Unreadable):
        fields(SCHEMA, parse(SCHEMA, data))


def test_a_field_that_depends_on_another_says_so_until_it_is_filled_in() -> None:
    part = {"type": "string", "x-show-if": "thread"}
    schema = {"properties": {"thread": {"type": "string"}, "tell": part}}
    assert [field.show_if for field in fields(schema, {})] == ["", "thread"]
    assert [field.show_if for field in fields(schema, {"tell": "x"})] == ["", ""]


def test_a_field_may_depend_on_some_values_of_a_choice_and_share_a_fold() -> None:
    part = {"type": "string", "x-visible-if": {"way": ["a", "b"]}, "x-group": "Ways"}
    (field,) = fields({"properties": {"tell": part}}, {})
    assert (field.show_if, field.group) == ("way a b", "Ways")


def test_a_file_is_a_line_for_what_an_earlier_step_gives_and_json_where_it_is_written_out() -> None:
    class Inputs(BaseModel):
        file: FileValue | None = None
        files: list[FileValue] = []

    schema = Inputs.model_json_schema()
    for value, kind in (("{{ steps.get.output.file }}", "text"), ({"name": "a", "base64": "YQ=="}, "json")):
        drawn = fields(schema, {"file": value})
        field = next(field for field in drawn if field.name == "file")
        assert field.kind == kind
        told = {f"{DRAWN_AS}file": [field.drawn_as]} if field.drawn_as else {}
        assert parse(schema, {**posted(drawn), **told})["file"] == value


def test_what_looks_like_a_number_stays_a_text_in_a_list_of_texts() -> None:
    schema = {"properties": {"labels": {"type": "array", "items": {"type": "string"}},
                             "ids": {"type": "array", "items": {"type": "integer"}}}}  # fmt: skip
    found = parse(schema, {f"{PREFIX}labels": ["2024\nbug"], f"{PREFIX}ids": ["7\n8"]})
    assert found == {"labels": ["2024", "bug"], "ids": [7, 8]}
    kinds = {field.name: field.kind for field in fields(schema, {"labels": [2024, "bug"], "ids": [7]})}
    assert kinds == {"labels": "json", "ids": "lines"}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "string", "enum": ["openai", "own"], "x-words": {"openai": "OpenAI", "own": "Any other"}},
        {"anyOf": [{"enum": ["openai", "own"]}, {"type": "null"}], "x-words": {"openai": "OpenAI", "own": "Any other"}},
        {"oneOf": [{"const": "openai", "title": "OpenAI"}, {"const": "own", "title": "Any other"}]},
        {"oneOf": [{"const": "openai"}, {"const": "own"}], "x-words": {"openai": "OpenAI", "own": "Any other"}},
    ],
)
def test_a_choice_is_shown_in_words_and_its_value_is_what_is_stored(part: dict[str, Any]) -> None:
    schema = {"properties": {"provider": {**part, "default": "openai"}}}
    (field,) = fields(schema, {"provider": "own"})
    assert (field.kind, field.value) == ("choice", "own")
    assert field.offered == (("", "OpenAI (default)"), ("own", "Any other"))
    assert parse(schema, posted((field,))) == {"provider": "own"}


@pytest.mark.parametrize("stored", [{}, {"turn": ""}, {"turn": "doc"}])
def test_an_empty_text_that_a_choice_has_by_default_is_leaving_it_out(stored: dict[str, Any]) -> None:
    part = {"type": "string", "enum": ["", "doc"], "default": "", "x-words": {"doc": "A document"}}
    (field,) = fields({"properties": {"turn": part}}, stored)
    assert field.kind == "choice"
    assert field.offered == (("", "Not set"), ("doc", "A document"))
    assert parse({"properties": {"turn": part}}, posted((field,))) == {k: v for k, v in stored.items() if v}
