"""What a step will give, from the schema that its action declares."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field

from integrations.registry import registry
from integrations.sdk import FileValue
from orchestrator.flow.skeleton import MAX_DEPTH, MAX_NAMES, skeleton


class Row(BaseModel):
    id: int
    tags: list[str]
    inner: Row | None = None


class Output(BaseModel):
    name: str
    kind: str = Field(examples=["big"])
    total: float | None
    rows: list[Row]
    more: dict[str, int]
    file: FileValue | None
    open: Any


def test_it_has_every_name_that_is_declared_and_ends_where_a_schema_holds_itself() -> None:
    found = skeleton(Output.model_json_schema(mode="serialization"))
    assert isinstance(found, dict)
    assert {name: value for name, value in found.items() if name not in ("rows", "file")} == {
        "name": "…", "kind": "big", "total": 0, "more": {}, "open": None,
    }  # fmt: skip
    assert found["file"] == {"name": "…", "type": "…", "size": 0, "base64": "…"}
    row, depth = found["rows"][0], 0  # type: ignore[index, call-overload]
    assert row["tags"] == ["…"]  # type: ignore[index, call-overload]
    while row is not None:
        row, depth = row["inner"], depth + 1  # type: ignore[index, call-overload]
    assert depth <= MAX_DEPTH


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"$ref": "#/$defs/none"}, {"anyOf": [{"type": "null"}]}])
def test_an_open_schema_gives_nothing_to_name(schema: dict[str, Any]) -> None:
    assert skeleton(schema) in (None, {})


def test_it_is_bounded() -> None:
    many = {"type": "object", "properties": {f"n{at}": {"type": "string"} for at in range(MAX_NAMES * 2)}}
    found = skeleton(many)
    assert isinstance(found, dict)
    assert len(found) == MAX_NAMES


def test_what_is_made_of_the_library_is_of_the_shape_that_it_declares() -> None:
    for action in registry.actions():
        schema = action.output_json_schema()
        if schema is None:
            continue
        made = skeleton(schema)
        names = set(schema.get("properties", {}))
        assert not names or (isinstance(made, dict) and set(made) == names), action.key
