"""Files as values: what one step gives as a file, a later step takes as one."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import unquote, unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from integrations.sdk.errors import InputError
from integrations.words import gettext as _

# Of one file. A step's values hold 64 MB of JSON, and base64 takes a third more than the bytes.
MAX_FILE_BYTES: Final = 32 * 1024 * 1024
ANY_TYPE: Final = "application/octet-stream"
FORMAT: Final = "file"
_DESCRIPTION: Final = "A file of an earlier step, or a data URL."

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.I)
_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(?:; ?[A-Za-z0-9_-]+=[\w.:+-]+)*")
_NOT_IN_NAMES: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]")
_MAX_NAME: Final = 255


class FileValue(BaseModel):
    """A file within a step's inputs or output: ``{"name", "type", "size", "base64"}``, ``size`` in bytes.

    An input takes it as a data URL, too, and as other steps describe a file: ``content`` in place of ``base64``, which
    is plain text where ``encoding`` is ``text``, and ``contentType`` in place of ``type``. An action that takes less
    than MAX_FILE_BYTES says so where it reads the file: ``inputs.file.data(most=…)``.
    """

    model_config = ConfigDict(title="File")

    name: str = Field("file", title="Name")
    type: str = Field(ANY_TYPE, title="Type", description="Of its content, like text/csv.")
    size: int = Field(0, title="Size", description="In bytes.")
    base64: str = Field(title="Content", description="In base64.")

    @classmethod
    def of(cls, data: bytes, *, name: str = "", type: str = "") -> FileValue:  # noqa: A002
        """Return these bytes as a file. Raises InputError for more than MAX_FILE_BYTES."""
        _check_size(len(data), MAX_FILE_BYTES)
        return FileValue.model_construct(
            name=clean_name(name),
            type=type if _TYPE.fullmatch(type) else ANY_TYPE,
            size=len(data),
            base64=base64.b64encode(data).decode("ascii"),
        )

    def data(self, *, most: int = MAX_FILE_BYTES, field: str | None = None) -> bytes:
        """Return the file's bytes. Raises InputError, which names ``field``, for more than ``most`` of them."""
        _check_size(self.size, most, field=field)
        return base64.b64decode(self.base64)

    @model_validator(mode="before")
    @classmethod
    def _in_one_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return _from_data_url(value)
        if not isinstance(value, Mapping):
            return value
        return _described(value)

    @model_validator(mode="after")
    def _of_a_file(self) -> Self:
        if not _TYPE.fullmatch(self.type):
            raise ValueError(_("the type of a file is written like text/csv"))
        packed = self.base64 if self.base64.isalnum() else "".join(self.base64.split())
        if len(packed) // 4 * 3 > MAX_FILE_BYTES + 3:
            raise ValueError(_too_large(len(packed) // 4 * 3, MAX_FILE_BYTES))
        try:
            self.size = len(base64.b64decode(packed, validate=True))
        except ValueError:
            raise ValueError(_("the content of the file is not base64")) from None
        self.base64, self.name = packed, clean_name(self.name)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(core_schema))
        schema = dict(made)
        if handler.mode == "validation":
            url = {"type": "string", "description": "A data URL."}
            described = {word: value for word, value in schema.items() if word not in ("title", "description")}
            schema = {"title": schema["title"], "anyOf": [described, url]}
        else:
            schema["required"] = list(cls.model_fields)
        schema |= {"format": FORMAT, "description": _DESCRIPTION}
        made.clear()
        made.update(schema)
        return made


def is_file(value: Any) -> bool:
    """Whether a value of a run is a file: what FileValue gives, and nothing beside it."""
    return (
        isinstance(value, Mapping)
        and value.keys() == FileValue.model_fields.keys()
        and all(isinstance(value[name], str) for name in ("name", "type", "base64"))
        and isinstance(value["size"], int)
    )


def file_if_one(value: Any) -> Any:
    """Return a data URL or a described file as FileValue, anything else as it is: for inputs that take a text, too."""
    if isinstance(value, Mapping) or (isinstance(value, str) and _DATA_URL.match(value)):
        return FileValue.model_validate(value)
    return value


def _from_data_url(text: str) -> dict[str, str]:
    """Return what a data URL (RFC 2397) holds. Raises ValueError."""
    found = _DATA_URL.match(text)
    if found is None:
        raise ValueError(
            _("a file is what an earlier step gives: an object with `name`, `type` and `base64`; or it is a data URL")
        )
    words = [word for word in found[2].split(";") if word]
    content = text[found.end() :]
    if not (words and words[-1].lower() == "base64"):
        content = base64.b64encode(unquote_to_bytes(content)).decode("ascii")
    else:
        content = unquote(content) if "%" in content else content
    named = {key.lower(): unquote(value) for key, equals, value in (word.partition("=") for word in words) if equals}
    return {
        "type": found[1] or "text/plain",
        "base64": content,
        **({"name": named["name"]} if named.get("name") else {}),
    }


def _described(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file as FileValue has it, from whichever step describes it."""
    made = {name: value[name] for name in FileValue.model_fields if name in value and name != "size"}
    if "base64" not in made and isinstance(content := value.get("content"), str):
        is_text = value.get("encoding") == "text"
        made["base64"] = base64.b64encode(content.encode("utf-8", "replace")).decode("ascii") if is_text else content
    if "type" not in made and isinstance(kind := value.get("contentType"), str):
        made["type"] = kind
    return made


def clean_name(name: str) -> str:
    """Return a file name that is one: no folders, and nothing that ends a header's line."""
    last = _NOT_IN_NAMES.sub("", name).replace("\\", "/").rpartition("/")[2].strip()
    if len(last) > _MAX_NAME:
        stem, dot, ending = last.rpartition(".")
        last = f"{stem[: _MAX_NAME - len(ending) - 1]}.{ending}" if dot and len(ending) < 20 else last[:_MAX_NAME]
    return "file" if last in ("", ".", "..") else last


def _check_size(size: int, most: int, field: str | None = None) -> None:
    if size > most:
        raise InputError(
            _too_large(size, most), field=field, hint=_("Hand on its address in place of it, or a smaller file.")
        )


def _too_large(size: int, most: int) -> str:
    return _("The file has %(size)s bytes, at most %(most)s are taken.") % {"size": f"{size:,}", "most": f"{most:,}"}
