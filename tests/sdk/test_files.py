"""A file as a value: what one step gives as one, a later step takes, however it is described."""

from __future__ import annotations

import base64

import pytest
from pydantic import BaseModel, ValidationError

from integrations.sdk import FileValue, InputError
from integrations.sdk.files import ANY_TYPE, MAX_FILE_BYTES, is_file


class Inputs(BaseModel):
    file: FileValue


PACKED = base64.b64encode(b"a,b\n1,2").decode()


def taken(value: object) -> FileValue:
    return Inputs.model_validate({"file": value}).file


def refused(value: object) -> str:
    with pytest.raises(ValidationError) as caught:
        taken(value)
    return str(caught.value.errors(include_url=False)[0]["msg"])


def test_what_a_step_gives_as_a_file_another_one_takes() -> None:
    given = FileValue.of(b"a,b\n1,2", name="rows.csv", type="text/csv").model_dump()
    assert given == {"name": "rows.csv", "type": "text/csv", "size": 7, "base64": PACKED}
    assert is_file(given)
    file = taken(given)
    assert (file.name, file.type, file.size, file.data()) == ("rows.csv", "text/csv", 7, b"a,b\n1,2")


@pytest.mark.parametrize(
    ("value", "name", "kind", "data"),
    [
        ("data:text/csv;name=a%20b.csv;base64,YSxi", "a b.csv", "text/csv", b"a,b"),
        ("data:,a%2Cb", "file", "text/plain", b"a,b"),
        ("DATA:image/png;base64,YSxi", "file", "image/png", b"a,b"),
        ("data:text/plain;charset=utf-8,caf%C3%A9", "file", "text/plain", "café".encode()),
        ({"base64": "YSxi"}, "file", ANY_TYPE, b"a,b"),
        ({"base64": "YS\nxi\n", "size": 99}, "file", ANY_TYPE, b"a,b"),
        ({"name": "a", "contentType": "text/csv", "encoding": "text", "content": "a,b"}, "a", "text/csv", b"a,b"),
        ({"name": "a.bin", "type": "a/b", "size": 3, "content": "YSxi"}, "a.bin", "a/b", b"a,b"),
        ({"name": "", "base64": ""}, "file", ANY_TYPE, b""),
    ],
)  # fmt: skip
def test_a_file_is_taken_however_it_is_described(value: object, name: str, kind: str, data: bytes) -> None:
    file = taken(value)
    assert (file.name, file.type, file.size, file.data()) == (name, kind, len(data), data)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("https://example.com/a.png", "a file is what an earlier step gives"),
        ("data:image/png;base64,!!", "not base64"),
        ({"base64": "abc"}, "not base64"),
        ({"base64": "YSxi", "type": "text"}, "written like text/csv"),
        ({"base64": "YSxi", "type": "text/csv\r\nX: y"}, "written like text/csv"),
        ({"name": "a.csv"}, "Field required"),
        (17, "valid dictionary"),
    ],
)
def test_what_is_no_file_is_refused_with_what_to_write(value: object, why: str) -> None:
    assert why in refused(value)


def test_a_file_beyond_the_limit_is_refused_on_both_ways() -> None:
    with pytest.raises(InputError, match="at most 33,554,432 are taken"):
        FileValue.of(bytes(MAX_FILE_BYTES + 1))
    with pytest.raises(InputError, match="has 7 bytes, at most 6") as caught:
        taken({"base64": PACKED}).data(most=6, field="photo")
    assert caught.value.field == "photo"
    assert "at most" in refused({"base64": "A" * (MAX_FILE_BYTES // 3 * 4 + 8)})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\rows.csv", "rows.csv"),
        ("a\r\nX-Evil: 1.csv", "aX-Evil: 1.csv"),
        ("..", "file"),
        (f"{'a' * 400}.csv", f"{'a' * 251}.csv"),
    ],
)
def test_a_files_name_is_no_path_and_ends_no_line(given: str, name: str) -> None:
    assert FileValue.of(b"", name=given).name == name
    assert taken({"name": given, "base64": ""}).name == name


def test_its_schema_lets_a_form_draw_it_and_a_publish_check_it() -> None:
    inputs = Inputs.model_json_schema()["$defs"]["FileValue"]
    assert (inputs["format"], [each["type"] for each in inputs["anyOf"]]) == ("file", ["object", "string"])
    output = Inputs.model_json_schema(mode="serialization")["$defs"]["FileValue"]
    assert (output["format"], output["type"], output["required"]) == (
        "file",
        "object",
        ["name", "type", "size", "base64"],
    )
