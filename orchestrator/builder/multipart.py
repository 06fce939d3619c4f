"""The parts of a multipart body, as bytes: each with its name, and its file name and type where it has them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Final

_MAX_PIECES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Piece:
    name: str
    filename: str
    type: str
    content: bytes = field(repr=False)


def pieces_of(kind: str, body: bytes) -> list[Piece] | None:
    """Return the parts of a ``multipart/form-data`` body in order, None for any other, and for one that is broken."""
    declared = Message()
    declared["Content-Type"] = kind.replace("\r", " ").replace("\n", " ")
    boundary = declared.get_boundary()
    if declared.get_content_type() != "multipart/form-data" or not boundary:
        return None
    mark = b"\r\n--" + boundary.encode("utf-8", "replace")
    first, *parts, last = (b"\r\n" + body).split(mark)
    if first or not last.startswith(b"--") or len(parts) > _MAX_PIECES:
        return None
    found = [_piece(part) for part in parts]
    return [each for each in found if each] if all(found) else None


def _piece(part: bytes) -> Piece | None:
    head, has_content, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = BytesHeaderParser().parsebytes(head)
    name = headers.get_param("name", header="content-disposition")
    if not has_content or not isinstance(name, str):
        return None
    return Piece(
        name=name, filename=headers.get_filename() or "", type=str(headers.get("content-type", "")), content=content
    )
