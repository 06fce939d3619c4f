"""What can be done in Google Drive."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.google import SCOPES_ROOT, id_of
from integrations.providers.google_drive import google_drive
from integrations.providers.google_drive.client import (
    EXPORTS,
    FOLDER,
    GOOGLE_TYPE,
    content,
    described,
    exported,
    facts,
    upload,
)
from integrations.providers.google_drive.options import files, folders
from integrations.sdk import FileValue, InputError, Permanent, RunContext, action, ui
from integrations.words import gettext as _

# A file becomes part of a run's data: what is larger belongs elsewhere. Google takes 5 MB in one request.
MAX_BYTES: Final = 4 * 1024 * 1024
READING: Final = f"{SCOPES_ROOT}drive|{SCOPES_ROOT}drive.readonly|{SCOPES_ROOT}drive.file"
WRITING: Final = f"{SCOPES_ROOT}drive|{SCOPES_ROOT}drive.file"
_MIME_TYPE: Final = r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?charset=[A-Za-z0-9_-]+)?$"
_IS_TEXT: Final = re.compile(r"text/|application/(?:[\w.-]+\+)?(?:json|xml|javascript|yaml|x-yaml|sql)\b")
FILE: Final[dict[str, Any]] = {
    "id": "1ZdR3L3qP4Bkq8noWLJHSr_iBau0DNT4K",
    "name": "report.csv",
    "mimeType": "text/csv",
    "size": 15,
    "createdTime": "2026-05-04T07:00:00.000Z",
    "modifiedTime": "2026-05-04T07:00:00.000Z",
    "parents": ["0ABCdefGHIjklUk9PVA"],
    "webViewLink": "https://drive.google.com/file/d/1ZdR3L3qP4Bkq8noWLJHSr_iBau0DNT4K/view",
}


class File(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str = Field(title="File id")
    name: str = Field(title="Name")
    mime_type: str = Field(alias="mimeType", title="Type")
    size: int | None = Field(title="Size", description="In bytes; null for documents of Google's own editors.")
    created_time: str | None = Field(alias="createdTime", title="Created", description="ISO 8601, UTC.")
    modified_time: str | None = Field(alias="modifiedTime", title="Changed", description="ISO 8601, UTC.")
    parents: list[str] = Field(title="Folders", description="Their ids.")
    web_view_link: str = Field(alias="webViewLink", title="Link")


class DownloadFileInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file_id: str = Field(
        alias="fileId",
        min_length=1,
        max_length=2000,
        title="File",
        description="Its link or its id.",
        examples=["1ZdR3L3qP4Bkq8noWLJHSr_iBau0DNT4K"],
    )
    encoding: Literal["auto", "text", "base64", "file"] = Field(
        default="auto",
        title="Content as",
        description="A file is for a step that takes files.",
        examples=["auto", "file"],
        json_schema_extra=ui(
            words={"auto": "Text where it is one, else base64", "text": "Text", "base64": "Base64", "file": "A file"}
        ),
    )
    export_as: str = Field(
        default="",
        alias="exportAs",
        pattern=f"^$|{_MIME_TYPE}",
        title="Export as",
        description="For documents of Google's own editors: the type to turn them into. Empty: text, CSV, PDF or PNG.",
        examples=["application/pdf", "text/markdown"],
        json_schema_extra=ui(advanced=True),
    )


class DownloadFileOutput(File):
    content_type: str = Field(alias="contentType", title="Type of the content", description="What was exported as.")
    encoding: Literal["text", "base64", "file"] = Field(title="Encoding")
    content: str = Field(title="Content", description="Empty where it comes as a file.")
    file: FileValue | None = Field(title="File", description="Null where the content comes as text or base64.")


@action(
    provider=google_drive,
    key="google_drive.downloadFile",
    scopes=(READING,),
    name="Download file",
    auth_type="oauth2",
    input_schema=DownloadFileInputs,
    output_schema=DownloadFileOutput,
    sample={**FILE, "contentType": "text/csv", "encoding": "text", "content": "Name,Amount\nAda", "file": None},
    idempotent=True,
    effect="read",
    timeout=120,
    options={"fileId": files},
    synonyms=("read", "get", "export", "document", "attachment"),
    summary=lambda output: output["name"],
)
async def download_file(ctx: RunContext[DownloadFileInputs]) -> dict[str, Any]:
    """Bring a file's content, at most 4 MB; documents of Google's own editors are exported."""
    inputs = ctx.inputs
    found = await facts(ctx.http, id_of(inputs.file_id))
    about = described(found)
    kind = about["mimeType"]
    if kind == FOLDER:
        raise InputError(
            _("%(name)r is a folder.") % {"name": about["name"]}, field="fileId", hint=_("Choose a file in it.")
        )
    if (about["size"] or 0) > MAX_BYTES:
        raise _too_large(about["size"])
    if kind.startswith(GOOGLE_TYPE):
        kind = inputs.export_as or EXPORTS.get(kind, "")
        if not kind:
            raise InputError(
                _("%(name)r is of a type that cannot be downloaded by itself, %(mimetype)s.")
                % {"name": about["name"], "mimetype": about["mimeType"]},
                field="exportAs",
                hint=_("Say as what it is to be exported, if Google can."),
            )
        data = await exported(ctx.http, about["id"], kind)
    else:
        data = await content(ctx.http, about["id"])
    if len(data) > MAX_BYTES:
        raise _too_large(len(data))
    if inputs.encoding == "file":
        file = FileValue.of(data, name=about["name"], type=kind).model_dump()
        return {**about, "contentType": kind, "encoding": "file", "content": "", "file": file}
    return {**about, "contentType": kind, **_encoded(data, kind, inputs.encoding), "file": None}


def _too_large(size: int) -> Permanent:
    return Permanent(
        _("The file has %(size)s bytes, at most %(max_bytes)s are taken.")
        % {"size": f"{size:,}", "max_bytes": f"{MAX_BYTES:,}"},
        hint=_("Hand on its link in place of it."),
    )


def _encoded(data: bytes, kind: str, encoding: str) -> dict[str, str]:
    """Return the content as text or base64. Raises InputError for text that is none."""
    if encoding == "text" or (encoding == "auto" and _IS_TEXT.match(kind)):
        try:
            return {"encoding": "text", "content": data.decode("utf-8-sig").replace("\0", "")}
        except UnicodeDecodeError:
            if encoding == "text":
                raise InputError(
                    _("The file is no text in UTF-8."), field="encoding", hint=_("Take it as base64.")
                ) from None
    return {"encoding": "base64", "content": base64.b64encode(data).decode("ascii")}


class UploadFileInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file: FileValue | None = Field(
        default=None,
        title="File",
        description="What an earlier step gives as a file, or a data URL; in place of a content.",
        examples=["data:text/csv;name=report.csv;base64,TmFtZSxBbW91bnQ="],
    )
    name: str = Field(
        default="",
        max_length=1000,
        title="Name",
        description="The file's own name if left out.",
        examples=["report.csv"],
    )
    content: str = Field(
        default="", title="Content", examples=["Name,Amount\nAda,12.50"], json_schema_extra=ui(format="textarea")
    )
    encoding: Literal["text", "base64"] = Field(
        default="text",
        title="Content is",
        examples=["text", "base64"],
        json_schema_extra=ui(words={"text": "Plain text", "base64": "Bytes in base64"}),
    )
    mime_type: str = Field(
        default="text/plain", alias="mimeType", pattern=_MIME_TYPE, title="Type", examples=["text/csv"]
    )
    folder: str = Field(
        default="",
        max_length=2000,
        title="Folder",
        description="Its link or its id; the top of “My Drive” if left out.",
        examples=["0ABCdefGHIjklUk9PVA"],
    )
    convert_to: Literal["", "document", "spreadsheet", "presentation"] = Field(
        default="",
        alias="convertTo",
        title="Turn into",
        description="A document of Google's own editors, made from the content.",
        examples=["spreadsheet"],
        json_schema_extra=ui(
            advanced=True,
            words={"document": "A document", "spreadsheet": "A spreadsheet", "presentation": "A presentation"},
        ),
    )
    description: str = Field(
        default="", max_length=5000, title="Description", examples=["Made every night"],
        json_schema_extra=ui(advanced=True),
    )  # fmt: skip

    @model_validator(mode="after")
    def of_one_content(self) -> Self:
        if self.file is None and not self.name:
            raise ValueError(_("give the file a name"))
        if self.file is not None and self.content:
            raise ValueError(_("give a file or a content, not both"))
        return self


@action(
    provider=google_drive,
    key="google_drive.uploadFile",
    scopes=(WRITING,),
    name="Upload file",
    auth_type="oauth2",
    input_schema=UploadFileInputs,
    output_schema=File,
    sample=FILE,
    # Google makes a second file of the same name without a word.
    idempotent=False,
    effect="create",
    timeout=120,
    options={"folder": folders},
    synonyms=("create", "save", "write", "store", "backup", "document"),
    summary=lambda output: output["name"],
)
async def upload_file(ctx: RunContext[UploadFileInputs]) -> dict[str, Any]:
    """Make a new file, at most 4 MB. One of the same name stays beside it."""
    inputs = ctx.inputs
    data = _bytes(inputs) if inputs.file is None else inputs.file.data(most=MAX_BYTES, field="file")
    if len(data) > MAX_BYTES:
        raise InputError(
            _("The content has %(size)s bytes, at most %(max_bytes)s are taken.")
            % {"size": f"{len(data):,}", "max_bytes": f"{MAX_BYTES:,}"},
            field="content",
        )
    resource: dict[str, Any] = {"name": inputs.name or (inputs.file.name if inputs.file else "")}
    if inputs.folder.strip():
        resource["parents"] = [id_of(inputs.folder)]
    if inputs.convert_to:
        resource["mimeType"] = GOOGLE_TYPE + inputs.convert_to
    if inputs.description:
        resource["description"] = inputs.description
    mime_type = inputs.mime_type if inputs.file is None else inputs.file.type
    return described(await upload(ctx.http, resource, data, mime_type))


def _bytes(inputs: UploadFileInputs) -> bytes:
    try:
        if inputs.encoding == "text":
            return inputs.content.encode()
        return base64.b64decode("".join(inputs.content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            _("The content cannot be read as %(encoding)s.") % {"encoding": inputs.encoding},
            field="content",
            hint=_("Look at “Content is”."),
        ) from None
