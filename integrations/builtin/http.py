"""``http.request``: one request to any address that steps may reach."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from integrations.sdk import (
    ApiKey,
    Basic,
    BearerToken,
    InputError,
    JSONValue,
    OAuth2,
    Permanent,
    Provider,
    RunContext,
    action,
    status,
    ui,
)
from integrations.sdk.client import IDEMPOTENT_METHODS, SAFE_METHODS, RequestOptions, Response
from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.large import LARGE_BYTES, RawJSON

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

MAX_DEPTH: Final = 64
_CHARSET: Final = re.compile(r"charset=[\"']?([\w.:-]{1,40})", re.I)
_JSON_TYPE: Final = re.compile(r"^[\w.+-]+/(?:[\w.-]+\+)?json\s*(?:;|$)", re.I)
_TEXT_TYPE: Final = re.compile(
    r"^(?:text/|application/(?:xml|javascript|x-www-form-urlencoded|graphql|yaml|x-yaml|toml|x-ndjson|jsonl)"
    r"|[\w.+-]+/[\w.-]+\+xml|image/svg)",
    re.I,
)
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def _scalar_text(value: Any) -> Any:
    """Take numbers and booleans where the wire has texts: an expression often gives one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, (int, float)) else value


Text = Annotated[str, BeforeValidator(_scalar_text)]


class Part(BaseModel):
    """One part of a multipart body: a plain value, or a file of text or base64 content."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, title="Name")
    value: Text | None = Field(None, title="Value")
    filename: str | None = Field(None, title="File name")
    content_type: str | None = Field(None, title="Content type", examples=["text/csv"])
    base64: str | None = Field(None, title="Content, base64")


class RequestInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    method: Method = Field("GET", title="Method", examples=["GET"])
    url: str = Field(
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
        None, title="Raw body", description="Sent as it is; set Content-Type in the headers.", examples=["<ping/>"],
        json_schema_extra=ui(format="textarea", advanced=True),
    )  # fmt: skip
    response: Literal["auto", "json", "text", "base64"] = Field(
        "auto", title="Read the answer as", description="auto: by its content type.", examples=["auto"],
        json_schema_extra=ui(advanced=True),
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

    @model_validator(mode="after")
    def _one_body(self) -> RequestInputs:
        given = [name for name in ("body", "form", "multipart", "raw") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                (_("send one of %(given)s, not both") if len(given) == 2 else _("send one of %(given)s, not all"))
                % {"given": _(" and ").join(given)}
            )
        return self


class RequestOutput(BaseModel):
    status: int = Field(title="Status")
    headers: dict[str, str] = Field(title="Headers", description="Names in lower case.")
    body: JSONValue = Field(title="Body", description="JSON, a text, or base64, by its content type.")


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
    summary=lambda output: f"{output['status']}",
)
async def request(ctx: RunContext[RequestInputs]) -> dict[str, Any]:
    """Send one HTTP request and read its answer by its type."""
    inputs = ctx.inputs
    options = _body(inputs)
    options["headers"] = inputs.headers
    options["params"] = inputs.query or None
    options["idempotent"] = inputs.idempotent or None
    response = await ctx.http.request(inputs.method, inputs.url, **options)
    if response.status_code not in inputs.accept_status:
        response.raise_for_status()
    return {
        "status": response.status_code,
        # Their names are in lower case there.
        "headers": dict(response.headers.items()),
        "body": _read(response, inputs.response),
    }


def _body(inputs: RequestInputs) -> RequestOptions:
    if inputs.form is not None:
        return {"data": inputs.form}
    if inputs.multipart is not None:
        return {"files": [_part(part) for part in inputs.multipart]}
    if inputs.raw is not None:
        return {"content": inputs.raw.encode("utf-8", "surrogatepass")}
    return {} if inputs.body is None else {"json": inputs.body}


def _part(part: Part) -> tuple[str, tuple[str | None, bytes] | tuple[str | None, bytes, str]]:
    """Return a part as httpx takes it. Raises InputError for base64 that is none."""
    if any(
        character in text
        for text in (part.name, part.filename or "", part.content_type or "")
        for character in "\r\n\0"
    ):
        raise InputError(_("A part's name, file name and type hold no line breaks."), field="multipart")
    if part.base64 is not None:
        try:
            content = base64.b64decode(part.base64, validate=True)
        except ValueError:
            raise InputError(
                _("The content of part %(name).60r is not base64.") % {"name": part.name}, field="multipart"
            ) from None
    else:
        content = (part.value or "").encode("utf-8", "surrogatepass")
    return (part.name, (part.filename, content, part.content_type) if part.content_type else (part.filename, content))


def _read(response: Response, wanted: str) -> JSONValue:
    """Return the body as JSON, text or base64: as asked for, else by its content type."""
    content_type = response.headers.get("content-type", "")
    if wanted == "base64":
        return base64.b64encode(response.content).decode()
    if wanted == "json":
        return _json(response)
    if not response.content:
        return None if wanted == "auto" else ""
    if wanted == "text" or _TEXT_TYPE.match(content_type):
        return _text(response, content_type)
    if _JSON_TYPE.match(content_type):
        return _json(response)
    if not content_type:
        return _text(response, content_type) if _is_text(response) else base64.b64encode(response.content).decode()
    return base64.b64encode(response.content).decode()


def _text(response: httpx.Response, content_type: str) -> str:
    charset = _CHARSET.search(content_type)
    try:
        return response.content.decode(charset[1] if charset else "utf-8", "replace")
    except (LookupError, ValueError):
        return response.content.decode("utf-8", "replace")


def _is_text(response: httpx.Response) -> bool:
    try:
        response.content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in response.content


def _json(response: Response) -> JSONValue:
    """Return the body as JSON within bounds. Raises Permanent for what a run cannot keep."""
    if len(response.content) > LARGE_BYTES:
        return RawJSON(response.content, lambda error: _refused(response, error))  # type: ignore[return-value]
    value: JSONValue = response.json()
    if jsongate.room_beside(value, len(response.content) + 1, max_depth=MAX_DEPTH) >= 0:
        return value
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise response.error(
                _("The answer is nested deeper than %(most)s levels.") % {"most": MAX_DEPTH}, kind=Permanent
            )
        if isinstance(item, float) and not math.isfinite(item):
            raise response.error(_("The answer holds a number that JSON cannot express."), kind=Permanent)
        if isinstance(item, dict):
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
    return value


def _refused(response: Response, error: jsongate.BadJSON) -> Exception:
    """Return the error of a large answer that a run cannot keep, which is found when it is read."""
    return response.error(
        _("%(host)s sent an answer that is not JSON: %(error)s.") % {"host": status.host_of(response), "error": error},
        kind=Permanent,
    )
