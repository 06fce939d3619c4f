"""``http.request``: one request to any address that steps may reach."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from integrations.builtin.http_answers import read
from integrations.builtin.http_bodies import options_of
from integrations.builtin.http_pages import PagingKind, all_pages
from integrations.sdk import ApiKey, Basic, BearerToken, FileValue, JSONValue, OAuth2, Provider, RunContext, action, ui
from integrations.sdk.client import IDEMPOTENT_METHODS, SAFE_METHODS
from integrations.sdk.files import MAX_FILE_BYTES
from integrations.sdk.paths import parsed
from integrations.words import gettext as _

http = Provider(
    key="http",
    name="HTTP",
    description="Call any API.",
    icon="globe",
    category="Logic",
    tile="http",
    quality="silver",
    auth=[BearerToken(), ApiKey(configurable=True), Basic(), OAuth2(configurable=True)],
)

# What API descriptions write where a value goes.
_HOLE: Final = re.compile(r"/(\{[A-Za-z_][\w.-]{0,99}\})(?=[/.:]|$)")
BODIES: Final = ("body", "form", "multipart", "raw", "file")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def _scalar_text(value: Any) -> Any:
    """Take numbers and booleans where the wire has texts: an expression often gives one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, (int, float)) else value


def _bare_base64(value: Any) -> Any:
    return value if not isinstance(value, str) or value[:5].lower() == "data:" else {"base64": value}


def _is_path(value: str) -> str:
    try:
        parsed(value)
    except ValueError as error:
        raise PydanticCustomError("path", "{why}", {"why": str(error)}) from None
    return value


def _has_no_holes(value: str) -> str:
    hole = _HOLE.search(value.partition("?")[0])
    if hole is not None:
        raise PydanticCustomError("hole", _("Put a value in place of {hole}"), {"hole": hole[1]})
    return value


Text = Annotated[str, BeforeValidator(_scalar_text)]
# A file as an earlier step gives it, as a data URL, or as bare base64.
FileInput = Annotated[FileValue, BeforeValidator(_bare_base64)]
JSONPath = Annotated[str, AfterValidator(_is_path)]


_READ_AS: Final = {
    "auto": "By its content type", "json": "JSON", "text": "Text", "base64": "Base64", "file": "A file",
}  # fmt: skip
_PAGING_KINDS: Final = {
    "none": "None", "link": "A link in the answer", "cursor": "A cursor", "page": "A page number",
    "offset": "An offset",
}  # fmt: skip


def _paging_ui(*kinds: str, words: Mapping[str, str] | None = None) -> dict[str, Any]:
    shown = {"paging": kinds or ("link", "cursor", "page", "offset")}
    return ui(advanced=True, group="Paging", visible_if=shown, words=words)


class Part(BaseModel):
    """One part of a multipart body: a plain value, or a file: an earlier step's, or of text or base64 content."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, title="Name")
    value: Text | None = Field(None, title="Value")
    filename: str | None = Field(None, title="File name")
    content_type: str | None = Field(None, title="Content type", examples=["text/csv"])
    base64: str | None = Field(None, title="Content, base64")
    file: FileInput | None = Field(
        None, title="File", description="A file of an earlier step: its name and type go along."
    )


class RequestInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    method: Method = Field("GET", title="Method", examples=["GET"])
    url: Annotated[str, AfterValidator(_has_no_holes)] = Field(
        min_length=1,
        max_length=8_000,
        title="URL",
        description="With https:// or http:// in front.",
        examples=["https://api.example.com/v1/companies"],
        json_schema_extra=ui(format="uri"),
    )
    query: dict[str, Text | list[Text]] = Field(
        {}, title="Query", description="Added to the URL, encoded.", examples=[{"page": "1"}]
    )
    headers: dict[str, Text] = Field(
        {}, title="Headers", description="A credential adds its own.", examples=[{"Accept": "application/json"}]
    )
    body: JSONValue = Field(
        None, title="JSON body", description="Any JSON value; sent as application/json.", examples=[{"name": "Ada"}]
    )
    form: dict[str, Text | list[Text]] | None = Field(
        None, title="Form fields", description="Sent as application/x-www-form-urlencoded.",
        examples=[{"name": "Ada"}], json_schema_extra=ui(advanced=True),
    )  # fmt: skip
    multipart: list[Part] | None = Field(
        None, title="Multipart", description="Fields and files.", examples=[[{"name": "note", "value": "Hi"}]],
        json_schema_extra=ui(advanced=True),
    )  # fmt: skip
    raw: str | None = Field(
        None, title="Raw body", description="A text, sent as it is.", examples=["<ping/>"],
        json_schema_extra=ui(format="textarea", advanced=True),
    )  # fmt: skip
    raw_type: str = Field(
        "", max_length=200, title="Type of the raw body", description="Where the headers have no Content-Type.",
        examples=["application/xml"], json_schema_extra=ui(advanced=True, show_if="raw"),
    )  # fmt: skip
    file: FileInput | None = Field(
        None, title="File as the body", description="A file of an earlier step, or base64; sent with its type.",
        examples=["data:text/plain;base64,SGk="], json_schema_extra=ui(advanced=True),
    )  # fmt: skip
    response: Literal["auto", "json", "text", "base64", "file"] = Field(
        "auto", title="Read the answer as", examples=["auto"],
        description="A file has name, type, size and base64, for a step that takes files.",
        json_schema_extra=ui(advanced=True, words=_READ_AS),
    )  # fmt: skip
    accept_status: list[Annotated[int, Field(ge=100, le=599)]] = Field(
        [], title="Also accept these statuses", description="Any other outside 200 to 299 fails the step.",
        examples=[[404]], json_schema_extra=ui(advanced=True),
    )  # fmt: skip
    idempotent: bool = Field(
        False, title="Safe to send twice", examples=[False],
        description="The server ignores a repeated POST or PATCH: it may be sent again when its answer was lost.",
        json_schema_extra=ui(advanced=True),
    )  # fmt: skip

    paging: PagingKind = Field(
        "none", title="Paging", examples=["cursor"],
        description="How the next page is asked for. All pages become one list.",
        json_schema_extra=ui(advanced=True, group="Paging", words=_PAGING_KINDS),
    )  # fmt: skip
    paging_items: JSONPath = Field(
        "", title="Where the items are", examples=["data.items"],
        description="The path of the list in the answer; empty where the answer itself is the list.",
        json_schema_extra=_paging_ui(),
    )  # fmt: skip
    paging_next: JSONPath = Field(
        "", title="Where the next page is named", examples=["meta.next_cursor"],
        description="The path of the cursor, or of the link; without it, links are those of the Link header.",
        json_schema_extra=_paging_ui("link", "cursor"),
    )  # fmt: skip
    paging_more: JSONPath = Field(
        "", title="Where it says whether there is more", examples=["has_more"],
        description="The path of a value that is false on the last page, where the answer has one.",
        json_schema_extra=_paging_ui("cursor", "page", "offset"),
    )  # fmt: skip
    paging_parameter: str = Field(
        "", max_length=200, title="Parameter", examples=["starting_after"],
        description="Its name in the request. Otherwise cursor, page or offset.",
        json_schema_extra=_paging_ui("cursor", "page", "offset"),
    )  # fmt: skip
    paging_in: Literal["query", "body"] = Field(
        "query", title="The parameter goes into", examples=["body"],
        description="In a JSON body its name may be a path, like variables.after.",
        json_schema_extra=_paging_ui("cursor", "page", "offset", words={"query": "The query", "body": "The body"}),
    )  # fmt: skip
    paging_start: int | None = Field(
        None, ge=0, le=1_000_000_000, title="First page or offset", examples=[1],
        description="Otherwise pages begin with 1, offsets with 0.", json_schema_extra=_paging_ui("page", "offset"),
    )  # fmt: skip
    paging_size: int | None = Field(
        None, ge=1, le=100_000, title="Items of a full page", examples=[100],
        description="A page with fewer is the last; otherwise an empty one is. The query asks for so many.",
        json_schema_extra=_paging_ui("page", "offset"),
    )  # fmt: skip
    max_pages: int = Field(100, ge=1, le=1_000, title="Pages, at most", examples=[10], json_schema_extra=_paging_ui())
    max_items: int = Field(
        10_000, ge=1, le=1_000_000, title="Items, at most", examples=[500], json_schema_extra=_paging_ui()
    )

    @model_validator(mode="after")
    def _one_body(self) -> RequestInputs:
        given = [name for name in BODIES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                (_("send one of %(given)s, not both") if len(given) == 2 else _("send one of %(given)s, not all"))
                % {"given": _(" and ").join(given)}
            )
        return self

    @model_validator(mode="after")
    def _paged(self) -> RequestInputs:
        if self.paging == "none":
            return self
        if self.paging == "cursor" and not self.paging_next:
            said = _("Paging by a cursor needs paging_next: the path at which an answer names it")
            raise PydanticCustomError("paging_next", said)
        if self.response not in ("auto", "json"):
            raise PydanticCustomError("paging_response", _("Pages are read as JSON: leave response at auto"))
        if self.paging_in == "body" and self.paging != "link" and self.body is None and self.form is None:
            said = _("The paging parameter goes into the body: give a JSON body or form fields")
            raise PydanticCustomError("paging_in", said)
        return self


class RequestOutput(BaseModel):
    status: int = Field(title="Status")
    headers: dict[str, str] = Field(title="Headers", description="Names in lower case.")
    body: JSONValue = Field(
        title="Body", description="JSON, a text, base64 or a file, by its content type; with paging all items."
    )
    count: int | None = Field(None, title="Count", description="With paging: how many items the body has.")
    pages: int | None = Field(None, title="Pages", description="With paging: how many were read.")
    cut: bool | None = Field(None, title="Cut", description="With paging: whether a limit ended it, and there is more.")


@action(
    provider=http,
    key="http.request",
    name="Send a request",
    auth_type="none",
    accepted_auth=("bearer_token", "oauth2", "api_key", "basic"),
    auth_required=False,
    any_provider=True,
    input_schema=RequestInputs,
    output_schema=RequestOutput,
    sample={"status": 200, "headers": {"content-type": "application/json"}, "body": {"name": "Ada"}},
    effect="update",
    synonyms=("api", "call", "fetch", "curl", "rest", "webhook", "get", "post"),
    idempotent=lambda inputs: inputs.method in IDEMPOTENT_METHODS or inputs.idempotent,
    reads_when=lambda inputs: inputs.method in SAFE_METHODS,
    summary=lambda output: f"{output['status']}" + (f", {output['count']} items" if "count" in output else ""),
)
async def request(ctx: RunContext[RequestInputs]) -> dict[str, Any]:
    """Send one HTTP request and read its answer by its type, page by page where it comes in pages."""
    inputs = ctx.inputs
    if inputs.paging != "none":
        return await all_pages(ctx)
    options = options_of(inputs)
    options["max_bytes"] = MAX_FILE_BYTES if inputs.response == "file" else None
    response = await ctx.http.request(inputs.method, inputs.url, **options)
    if response.status_code not in inputs.accept_status:
        response.raise_for_status()
    return {
        "status": response.status_code,
        # Their names are in lower case there.
        "headers": dict(response.headers.items()),
        "body": read(response, inputs.response),
    }
