"""What ``http.request`` makes of an answer: JSON, a text, base64 or a file, by its content type or as asked for."""

from __future__ import annotations

import base64
import math
import mimetypes
import re
from email.message import Message
from typing import Any, Final
from urllib.parse import unquote

import httpx

from integrations.sdk import FileValue, JSONValue, Permanent, charsets, status
from integrations.sdk.client import Response
from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.large import LARGE_BYTES, RawJSON

MAX_DEPTH: Final = 64
_CHARSET: Final = re.compile(r"charset=[\"']?([\w.:-]{1,40})", re.I)
_JSON_TYPE: Final = re.compile(r"^[\w.+-]+/(?:[\w.-]+\+)?json\s*(?:;|$)", re.I)
_TEXT_TYPE: Final = re.compile(
    r"^(?:text/|application/(?:xml|javascript|x-www-form-urlencoded|graphql|yaml|x-yaml|toml|x-ndjson|jsonl)"
    r"|[\w.+-]+/[\w.-]+\+xml|image/svg)",
    re.I,
)
_NOT_IN_HEADERS: Final = re.compile(r"[\x00-\x1f\x7f]")


def read(response: Response, wanted: str) -> JSONValue:
    """Return the body as JSON, text, base64 or a file: as asked for, else by its content type."""
    content_type = response.headers.get("content-type", "")
    if wanted == "file":
        return _file(response, content_type)
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


def checked(response: Response, value: JSONValue) -> JSONValue:
    """Return JSON that a run can keep. Raises Permanent for what it cannot."""
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


def _json(response: Response) -> JSONValue:
    """Return the body as JSON within bounds; a large one is looked at when it is read."""
    if len(response.content) > LARGE_BYTES:
        return RawJSON(response.content, lambda error: _refused(response, error))  # type: ignore[return-value]
    return checked(response, response.json())


def _refused(response: Response, error: jsongate.BadJSON) -> Exception:
    """Return the error of a large answer that a run cannot keep, which is found when it is read."""
    return response.error(
        _("%(host)s sent an answer that is not JSON: %(error)s.") % {"host": status.host_of(response), "error": error},
        kind=Permanent,
    )


def _text(response: httpx.Response, content_type: str) -> str:
    charset = _CHARSET.search(content_type)
    return charsets.decoded(response.content, charset[1] if charset else charsets.USUAL)


def _is_text(response: httpx.Response) -> bool:
    try:
        response.content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in response.content


def _file(response: Response, content_type: str) -> JSONValue:
    """Return the body as a file: what a multipart part, a file body, or another service's upload takes."""
    kind = content_type.partition(";")[0].strip().lower()
    made: JSONValue = FileValue.of(response.content, name=_name(response, kind), type=kind).model_dump()
    return made


def _name(response: Response, kind: str) -> str:
    """Return the server's own name of the file, else the last part of the address."""
    said = Message()
    said["Content-Disposition"] = _NOT_IN_HEADERS.sub(" ", response.headers.get("content-disposition", ""))
    told = said.get_filename() or ""
    last = unquote(response.request.url.path).rpartition("/")[2]
    if told.strip("./\\ ") or "." in last.strip("."):
        return told if told.strip("./\\ ") else last
    return f"{last.strip('.') or 'file'}{mimetypes.guess_extension(kind) or ''}"
