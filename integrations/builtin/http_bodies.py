"""What ``http.request`` sends: each kind of body as the client takes it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from integrations.sdk import InputError
from integrations.sdk.client import RequestOptions
from integrations.words import gettext as _

if TYPE_CHECKING:
    from integrations.builtin.http import Part, RequestInputs

_NO_LINE: Final = re.compile(r"[\r\n\0]")


def options_of(inputs: RequestInputs) -> RequestOptions:
    """Return what a request sends. Raises InputError for a body that cannot be sent."""
    options: RequestOptions = {
        "headers": inputs.headers,
        "params": inputs.query or None,
        "idempotent": inputs.idempotent or None,
    }
    if inputs.form is not None:
        options["data"] = inputs.form
    elif inputs.multipart is not None:
        options["files"] = [_part(part) for part in inputs.multipart]
    elif inputs.raw is not None:
        options["content"] = inputs.raw.encode("utf-8", "surrogatepass")
        options["headers"] = _typed(inputs.headers, inputs.raw_type)
    elif inputs.file is not None:
        options["content"] = inputs.file.data(field="file")
        options["headers"] = _typed(inputs.headers, inputs.file.type)
    elif inputs.body is not None:
        options["json"] = inputs.body
    return options


def _typed(headers: Mapping[str, str], kind: str) -> dict[str, str]:
    """Return the headers with a content type, unless they have one already."""
    if not kind or any(name.lower() == "content-type" for name in headers):
        return dict(headers)
    return {**headers, "Content-Type": kind}


def _part(part: Part) -> tuple[str, tuple[str | None, bytes] | tuple[str | None, bytes, str]]:
    """Return a part as httpx takes it. Raises InputError for content that is none."""
    name, kind = part.filename, part.content_type or ""
    if part.file is not None:
        name, kind = name or part.file.name, kind or part.file.type
    if any(_NO_LINE.search(text) for text in (part.name, name or "", kind)):
        raise InputError(_("A part's name, file name and type hold no line breaks."), field="multipart")
    content = _content(part)
    return (part.name, (name, content, kind) if kind else (name, content))


def _content(part: Part) -> bytes:
    if part.file is not None:
        return part.file.data(field="multipart")
    if part.base64 is None:
        return (part.value or "").encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(part.base64, validate=True)
    except ValueError:
        raise InputError(
            _("The content of part %(name).60r is not base64.") % {"name": part.name}, field="multipart"
        ) from None
