"""From a request of a third party to the trigger document that a run sees."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from contextlib import closing
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _

from orchestrator import jsongate

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

MAX_BODY_BYTES: Final = jsongate.MAX_BYTES
MAX_FIELDS: Final = 2_000
# They authenticate the sender to us or a browser to its server, so they are not stored; ``dropped_headers`` says so.
NOT_STORED: Final = ("authorization", "cookie", "proxy-authorization")


class BadRequest(Exception):
    """A request that cannot be taken; ``status`` and ``headers`` are what it is answered."""

    def __init__(
        self, message: str, *, code: str, status: int = 400, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.status, self.headers = message, code, status, headers


def trigger_document(
    environ: Mapping[str, Any], *, key: str, body: Callable[[], JSONValue], kind: str = "webhook"
) -> dict[str, JSONValue]:
    """Return what expressions read as ``trigger``; names of headers are in lower case. Raises BadRequest."""
    headers = _headers(environ)
    dropped: list[JSONValue] = [name for name in NOT_STORED if headers.pop(name, None) is not None]
    return {
        "type": kind,
        "key": key,
        "method": environ["REQUEST_METHOD"].upper(),
        "headers": headers,
        "dropped_headers": dropped,
        "query": query_of(environ),
        "body": body(),
        "received_at": timezone.now().isoformat(),
    }


def query_of(environ: Mapping[str, Any]) -> dict[str, JSONValue]:
    """Return the parameters of the address; a name that comes more than once has a list. Raises BadRequest."""
    query = environ.get("QUERY_STRING")
    return _pairs(query) if query else {}


def request_body(request: HttpRequest, data: bytes | None = None) -> JSONValue:
    """Return the body as its declared content type says; nothing is guessed. Raises BadRequest.

    ``data`` are its bytes where they were read before.
    """
    declared = request.content_type or ""
    data = body_bytes(request) if data is None else data
    if data and declared == "multipart/form-data":
        return _multipart(request, data)
    return body_value(declared, data)


def body_value(declared: str, data: bytes) -> JSONValue:
    """Return a body that is not multipart as its declared content type says. Raises BadRequest."""
    if not data:
        return None
    if declared == "application/json" or declared.endswith("+json"):
        return _json(data)
    parse = _PARSERS.get(declared)
    return parse(data) if parse else _text(data)


def _headers(environ: Mapping[str, Any]) -> dict[str, JSONValue]:
    """Return the headers of a WSGI request; its server writes two of them without the mark of the others."""
    headers: dict[str, JSONValue] = {
        name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"
    }
    for name, key in (("content-type", "CONTENT_TYPE"), ("content-length", "CONTENT_LENGTH")):
        if key in environ:
            headers[name] = environ[key]
    return headers


def body_bytes(request: HttpRequest) -> bytes:
    """Return the body as it came, for whom its signature is checked. Raises BadRequest."""
    length = declared_length(request.META)
    if length > MAX_BODY_BYTES:
        raise _too_large()
    try:
        data = request.body
    except RequestDataTooBig as error:
        raise _too_large() from error
    except UnreadablePostError as error:
        raise _incomplete() from error
    if len(data) < length:
        raise _incomplete()
    return data


def _incomplete() -> BadRequest:
    return BadRequest(_("The body broke off before its end. Send it again."), code="incomplete")


def _too_large() -> BadRequest:
    return BadRequest(
        _("The body has more than %(most)s bytes, which is all that is taken. Send less.")
        % {"most": f"{MAX_BODY_BYTES:,}"},
        code="body_too_large",
        status=413,
    )


def _json(data: bytes) -> JSONValue:
    try:
        return jsongate.loads(data)
    except jsongate.BadJSON as error:
        raise BadRequest(
            _("The body is declared as JSON, but %(error)s. Correct it and send it again.") % {"error": error},
            code="bad_json",
        ) from error


def _form(data: bytes) -> JSONValue:
    return _pairs(data.decode("utf-8", "replace"))


def _text(data: bytes) -> JSONValue:
    """Return a text, or base64 where the bytes are none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


_PARSERS: Final[Mapping[str, Callable[[bytes], JSONValue]]] = {"application/x-www-form-urlencoded": _form}


def _pairs(text: str) -> dict[str, JSONValue]:
    """Return names and values of a query or form; a name that comes more than once has a list."""
    try:
        found = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError as error:
        raise BadRequest(
            _("More than %(most)s fields are not taken.") % {"most": f"{MAX_FIELDS:,}"},
            code="too_many_fields",
        ) from error
    return {name: values[0] if len(values) == 1 else list(values) for name, values in found.items()}


def _multipart(request: HttpRequest, data: bytes) -> JSONValue:
    try:
        # Not request.POST, which Django fills for the method POST alone.
        fields, files = request.parse_file_upload(request.META, io.BytesIO(data))
    except (MultiPartParserError, SuspiciousOperation, LookupError, ValueError) as error:
        # The last two: a charset that Python knows, but not for texts.
        raise BadRequest(
            _("The multipart body cannot be read. Correct it and send it again."), code="bad_form"
        ) from error
    body: dict[str, JSONValue] = {}
    for name, texts in fields.lists():
        body[name] = texts[0] if len(texts) == 1 else list(texts)
    return {**body, **_files(files)}


def declared_length(environ: Mapping[str, Any]) -> int:
    """Return how many bytes the sender says that there are."""
    length = environ.get("CONTENT_LENGTH") or "0"
    # Cut: int() refuses a number of thousands of digits, and these are too many bytes already.
    return int(length[:18]) if length.isdecimal() else 0


def raw_body(wanted: str, data: bytes) -> str:
    """Return a body as it came, as ``text`` or ``base64``. Raises BadRequest where it is no text."""
    if wanted == "base64":
        return base64.b64encode(data).decode()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(
            _("The body is not in UTF-8, and this webhook keeps it as a text. Send UTF-8, or have it keep base64."),
            code="not_text",
        ) from error


def _files(files: MultiValueDict[str, UploadedFile[Any]]) -> dict[str, JSONValue]:
    found: dict[str, JSONValue] = {}
    for name, uploads in files.lists():
        found[name] = [_file(upload) for upload in uploads]
    return found


def _file(upload: UploadedFile[Any]) -> JSONValue:
    # A large one lies in a temporary file, which goes when it is closed.
    with closing(upload):
        content = base64.b64encode(upload.read()).decode()
    return {"filename": upload.name, "content_type": upload.content_type, "base64": content}
