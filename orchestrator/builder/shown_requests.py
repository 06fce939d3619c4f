"""Requests as a page shows them: one that was not sent, and the inputs of an HTTP step. Secrets are masked. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from django.utils.translation import gettext as _

from integrations.sdk.holding import HeldRequest
from orchestrator.builder.as_http import BODY_KINDS, MAX_BODY, Hiding, body_of
from orchestrator.builder.readable import fit
from orchestrator.builder.unsent import Unsent
from orchestrator.types import JSONValue
from orchestrator.vault.redaction import MASK

MAX_TEXT: Final = 6_000
MAX_VALUE: Final = 400
MAX_ROWS: Final = 40
# Not worth a line: they say how it is carried, and nothing of what is asked.
_NOT_SHOWN: Final = frozenset({"host", "content-length", "connection", "transfer-encoding", "accept-encoding"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """A name and a value; of what is secret, ``origin`` says whose it is."""

    name: str
    value: str
    origin: str = ""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One request: where it goes, and its body as ``rows`` or as ``text``; ``kind`` says in words what that is."""

    method: str
    url: str
    query: tuple[Row, ...] = ()
    headers: tuple[Row, ...] = ()
    kind: str = ""
    rows: tuple[Row, ...] = ()
    text: str = ""


def held_shown(held: HeldRequest, found: Unsent) -> Shown:
    """Return a request that was not sent, with the credential's own part as what it is."""
    hiding, credential = Hiding(found), found.credential.name if found.credential else ""
    query = [
        Row(name=_fit(hiding.text(name)), value=MASK if hiding.hides_query(name, value) else _fit(value))
        for name, value in parse_qsl(held.url.query.decode("ascii"), keep_blank_values=True)
    ]
    headers = [
        Row(name=name, value=_header(name, value, found, hiding))
        for name, value in held.headers
        if name.lower() not in _NOT_SHOWN and name.lower() not in held.added_headers
    ]
    kind, rows, text = _body(held, hiding)
    path_note = [Row(name=_("in the path"), value=MASK, origin=credential)] if held.in_path else []
    return Shown(
        method=held.method,
        url=_fit(hiding.text(str(held.url.copy_with(query=None))), MAX_TEXT),
        query=tuple([*query, *_signs(held.added_query, credential)][:MAX_ROWS]),
        headers=tuple([*_signs(_titled(held.added_headers), credential), *path_note, *headers][:MAX_ROWS]),
        kind=kind,
        rows=rows,
        text=text,
    )


def step_shown(inputs: Mapping[str, JSONValue], held: HeldRequest, credential: str) -> Shown:
    """Return the inputs of an HTTP step, with what its ``credential`` adds."""
    name = next((each for each in BODY_KINDS if each in inputs), "")
    value = inputs.get(name)
    pairs = isinstance(value, dict) and name == "form"
    added = held if credential else None
    in_path = [Row(name=_("in the path"), value=MASK, origin=credential)] if added and added.in_path else []
    return Shown(
        method=str(inputs.get("method", "")),
        url=_fit(str(inputs.get("url", "")), MAX_TEXT),
        query=tuple([*_pairs(inputs.get("query")), *_signs(added.added_query if added else (), credential)][:MAX_ROWS]),
        headers=tuple(
            [
                *_signs(_titled(added.added_headers) if added else (), credential),
                *in_path,
                *_pairs(inputs.get("headers")),
            ][:MAX_ROWS]
        ),
        kind=body_words(name),
        rows=tuple(_pairs(value)[:MAX_ROWS]) if pairs else tuple(_parts(value)) if name == "multipart" else (),
        text="" if pairs or name in ("", "multipart") else _text(value),
    )


def _header(name: str, value: str, found: Unsent, hiding: Hiding) -> str:
    if value and value == found.key:
        return _("another one in each run")
    return _fit(hiding.header(name, value))


def body_words(name: str) -> str:
    """Return what kind of body an input of an HTTP step holds, in words."""
    return {
        "body": _("JSON"),
        "form": _("Form fields"),
        "multipart": _("Multipart"),
        "raw": _("Text"),
        "file": _("A file"),
    }.get(name, "")


def _body(held: HeldRequest, hiding: Hiding) -> tuple[str, tuple[Row, ...], str]:
    """Return a body as kind, rows and text."""
    if not held.body:
        return "", (), ""
    size = _("%(count)s bytes") % {"count": f"{len(held.body):,}"}
    if len(held.body) > MAX_BODY:
        return size, (), ""
    name, value = body_of(held)
    match name:
        case "form":
            rows = [Row(name=_fit(each), value=_fit(_masked(hiding, each, text))) for each, text in value]
            return body_words(name), tuple(rows[:MAX_ROWS]), ""
        case "multipart":
            rows = [
                Row(name=_fit(each.name), value=_fit(_piece(hiding, each.name, each.filename, each.content)))
                for each in value
            ]
            return body_words(name), tuple(rows[:MAX_ROWS]), ""
        case "body":
            return body_words(name), (), _text(hiding.value("body", value))
        case "raw":
            return body_words(name), (), _fit(hiding.text(value), MAX_TEXT)
    return f"{body_words(name)}, {size}", (), ""


def _masked(hiding: Hiding, name: str, text: str) -> str:
    return MASK if hiding.is_secret(name, text) else text


def _piece(hiding: Hiding, name: str, filename: str, content: bytes) -> str:
    if not filename:
        return _masked(hiding, name, content.decode("utf-8", "replace"))
    return _("%(name)s, %(count)s bytes") % {"name": hiding.text(filename), "count": f"{len(content):,}"}


def _signs(names: tuple[str, ...], credential: str) -> Iterator[Row]:
    for name in names:
        yield Row(name=name, value=MASK, origin=credential)


def _titled(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return headers' names as people write them."""
    return tuple("-".join(part.capitalize() for part in name.split("-")) for name in names)


def _pairs(value: Any) -> list[Row]:
    if not isinstance(value, Mapping):
        return []
    return [
        Row(name=_fit(str(name)), value=_fit(str(text)))
        for name, texts in value.items()
        for text in (texts if isinstance(texts, list) else [texts])
    ]


def _parts(value: Any) -> Iterator[Row]:
    for part in value[:MAX_ROWS] if isinstance(value, list) else ():
        text = part.get("value")
        if text is None:
            size = len(str(part.get("base64", ""))) * 3 // 4
            text = _("%(name)s, %(count)s bytes") % {"name": part.get("filename", ""), "count": f"{size:,}"}
        yield Row(name=_fit(str(part.get("name", ""))), value=_fit(str(text)))


def _text(value: JSONValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return _fit(text, MAX_TEXT)


def _fit(text: str, most: int = MAX_VALUE) -> str:
    return fit(text, most)
