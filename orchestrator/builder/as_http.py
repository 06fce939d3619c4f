"""A request that was not sent, read as the inputs of ``http.request``, and as it can be shown. Pure.

What is secret of it is left out of the inputs and masked where it is shown: what the vault holds, and what has a
secret's name or form, unless the step itself says it in the open.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx

from integrations.sdk.client import USER_AGENT
from integrations.sdk.exchange import scrubbed
from integrations.sdk.holding import HeldRequest
from orchestrator import jsongate
from orchestrator.builder.curl import is_secret_header, is_secret_query
from orchestrator.builder.multipart import Piece, pieces_of
from orchestrator.builder.unsent import Unsent
from orchestrator.types import JSONValue
from orchestrator.vault.redaction import MASK

# A step's inputs are read by people: what is longer comes from data, by an expression.
MAX_BODY: Final = 64 * 1024
BODY_KINDS: Final = ("body", "form", "multipart", "raw", "file")
# Texts this short are the same by chance.
_TELLING: Final = 3
_MANY_DIGITS: Final = 30
# What the client of an HTTP step writes by itself, or a run of its own.
_OWN: Final = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "traceparent", "idempotency-key"}
)
# What it writes where a step says nothing else.
_USUAL: Final = {"user-agent": USER_AGENT, "accept": "*/*"}
_JSON: Final = re.compile(r"[\w.+-]+/(?:[\w.-]+\+)?json\s*(?:;|$)", re.I)
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(kw_only=True)
class AsHTTP:
    """The inputs of an HTTP step that sends the same request.

    ``left_out`` names what held a secret, ``kept`` the inputs of the step whose expressions stand in it. ``is_large``
    says that the body is too large to be written into a step.
    """

    inputs: dict[str, JSONValue] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    is_large: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether the HTTP step would send the same."""
        return not self.left_out and not self.is_large


def as_http(held: HeldRequest, found: Unsent) -> AsHTTP:
    """Return a held request as the inputs of an HTTP step."""
    return _Reader(found).read(held)


class Hiding:
    """Tells what is secret of a request, and masks it."""

    def __init__(self, found: Unsent) -> None:
        self._clean = found.clean
        self._said = set(_texts(found.inputs))

    def is_secret(self, name: str, value: Any) -> bool:
        """Whether a value is secret: by what it is, or by its name or form."""
        if self._clean.clean(value) is not value:
            return True
        if isinstance(value, str) and value in self._said:
            return False
        return bool(value) and scrubbed({name: value}) != {name: value}

    def text(self, value: str) -> str:
        """Return a text without what is secret in it."""
        cleaned = self._clean.text(value)
        return cleaned if cleaned in self._said else str(scrubbed(cleaned))

    def value(self, name: str, value: JSONValue) -> JSONValue:
        """Return a JSON value with every secret in it masked."""
        match value:
            case dict():
                return {self.text(key): self.value(key, item) for key, item in value.items()}
            case list():
                return [self.value(name, item) for item in value]
        if not self.is_secret(name, value):
            return value
        masked = self.text(value) if isinstance(value, str) else MASK
        return masked if masked != value else MASK

    def header(self, name: str, value: str) -> str:
        """Return a header's value as it can be shown."""
        return MASK if self.hides_header(name, value) else value

    def hides_header(self, name: str, value: str) -> bool:
        return self.is_secret(name, value) or (is_secret_header(name) and value not in self._said)

    def hides_query(self, name: str, value: str) -> bool:
        return self.is_secret(name, value) or (is_secret_query(name) and value not in self._said)


def body_of(held: HeldRequest) -> tuple[str, Any]:
    """Return the input of an HTTP step that a body fits, and what it holds: pairs, parts, JSON, a text or bytes."""
    kind = next((value for name, value in held.headers if name.lower() == "content-type"), "")
    text = _as_text(held.body)
    if kind.partition(";")[0].strip().lower() == _FORM and text is not None and _is_form(text):
        return "form", parse_qsl(text, keep_blank_values=True)
    if (pieces := pieces_of(kind, held.body)) is not None:
        return "multipart", pieces
    if _JSON.match(kind) and (found := _as_json(held.body)) is not None:
        return "body", found
    return ("file", held.body) if text is None else ("raw", text)


def _is_form(text: str) -> bool:
    return all("=" in part for part in text.split("&"))


class _Reader:
    """Reads one request; what it leaves out and what it keeps is noted on the way."""

    def __init__(self, found: Unsent) -> None:
        self._hiding, self._made, self._key = Hiding(found), AsHTTP(), found.key
        self._by_value: dict[str, dict[str, str]] = {}
        for each in found.written:
            self._by_value.setdefault(_spelled(each.value), {})[each.text] = each.name

    def read(self, held: HeldRequest) -> AsHTTP:
        made, headers = self._made, self._headers(held)
        made.inputs = {"method": held.method, **self._address(held.url)}
        made.inputs |= self._body(held, headers)
        if headers:
            made.inputs["headers"] = {name: self._written(name, value) for name, value in headers.items()}
        return made

    def _headers(self, held: HeldRequest) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in held.headers:
            lower = name.lower()
            if lower in _OWN or lower in held.added_headers or _USUAL.get(lower) == value or self._is_key(value):
                continue
            if self._hiding.hides_header(name, value):
                self._leave_out(name)
            else:
                found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    def _address(self, url: httpx.URL) -> dict[str, JSONValue]:
        query = url.query.decode("ascii")
        is_whole = not _is_form(query)
        # Such a query would not come back as it is, so it stays where it is.
        bare = str(url if is_whole else url.copy_with(query=None))
        if self._hiding.text(bare) != bare:
            self._leave_out("url")
            bare = self._hiding.text(bare)
        pairs = {} if is_whole else self._pairs(parse_qsl(query, keep_blank_values=True), self._hiding.hides_query)
        return {"url": bare, **({"query": pairs} if pairs else {})}

    def _pairs(self, pairs: list[tuple[str, str]], hides: Callable[[str, str], bool]) -> dict[str, JSONValue]:
        """Return names and values; one that comes several times has a list."""
        found: dict[str, JSONValue] = {}
        for name, value in pairs:
            if hides(name, value):
                self._leave_out(name)
                continue
            item, before = self._written(name, value), found.get(name)
            if before is None:
                found[name] = item
            else:
                found[name] = [*before, item] if isinstance(before, list) else [before, item]
        return found

    def _body(self, held: HeldRequest, headers: dict[str, str]) -> dict[str, JSONValue]:
        """Return the body under the input that fits it; a header that this input sends by itself is taken out."""
        if not held.body:
            return {}
        if len(held.body) > MAX_BODY:
            self._made.is_large = True
            return {}
        kind, value = body_of(held)
        declared = next((name for name in headers if name.lower() == "content-type"), "")
        if kind in ("form", "multipart") or (kind == "body" and headers[declared].lower() == "application/json"):
            del headers[declared]
        match kind:
            case "form":
                return {"form": self._pairs(value, self._hiding.is_secret)}
            case "multipart":
                return {"multipart": [part for piece in value for part in self._part(piece)]}
            case "body":
                return {"body": self._json("body", value)}
        looked_at = held.body.decode("latin-1") if kind == "file" else value
        if self._hiding.is_secret("body", looked_at):
            self._leave_out("body")
            return {}
        if kind == "file":
            return {"file": {"base64": base64.b64encode(value).decode()}}
        return {"raw": self._written("body", value)}

    def _part(self, piece: Piece) -> Iterator[JSONValue]:
        text = _as_text(piece.content)
        looked_at = piece.content.decode("latin-1") if text is None else text
        if self._hiding.is_secret(piece.name, looked_at):
            self._leave_out(piece.name)
            return
        part: dict[str, JSONValue] = {"name": piece.name}
        part |= {name: value for name, value in (("filename", piece.filename), ("content_type", piece.type)) if value}
        if text is not None and not piece.filename:
            yield {**part, "value": self._written(piece.name, text)}
        else:
            yield {**part, "base64": base64.b64encode(piece.content).decode()}

    def _json(self, name: str, value: JSONValue) -> JSONValue:
        """Return a JSON value without secrets, with the step's expressions where they gave what stands there."""
        if isinstance(value, dict | list) and value and (text := self._expression(name, value)):
            return text
        if isinstance(value, dict):
            return {key: self._json(key, item) for key, item in value.items() if not self._leaves_out(key, item)}
        if isinstance(value, list):
            return [self._json(name, item) for item in value if not self._leaves_out(name, item)]
        if isinstance(value, str):
            return self._written(name, value, is_json=True)
        return self._expression(name, value) or value

    def _leaves_out(self, name: str, value: JSONValue) -> bool:
        is_secret = self._hiding.text(name) != name
        is_secret = is_secret or (not isinstance(value, dict | list) and self._hiding.is_secret(name, value))
        if is_secret:
            self._leave_out(self._hiding.text(name))
        return is_secret

    def _leave_out(self, name: str) -> None:
        if name not in self._made.left_out:
            self._made.left_out.append(name)

    def _written(self, name: str, text: str, *, is_json: bool = False) -> str:
        """Return a text as a step has it: the expression that gave it, else itself, and data is no expression.

        Where it ``is_json``, a number is another thing than its digits.
        """
        if self._is_key(text):
            return "{{ run.id }}"
        found = self._expression(name, text)
        if not found and not is_json:
            found = self._expression(name, _number(text))
        return found or text.replace("{{", '{{ "{{" }}')

    def _is_key(self, text: str) -> bool:
        """Whether a text is the key that makes the call safe to repeat: another one in each run."""
        return bool(text) and text == self._key

    def _expression(self, name: str, value: JSONValue) -> str:
        """Return the step's text that gave a value, empty where none did for sure."""
        if value is None or isinstance(value, bool) or value in ("", [], {}):
            return ""
        texts = self._by_value.get(_spelled(value), {})
        same_name = {text: field for text, field in texts.items() if _plain(field) == _plain(name)}
        chosen = same_name or (texts if len(str(value)) >= _TELLING else {})
        if len(chosen) != 1:
            return ""
        ((text, field_name),) = chosen.items()
        if field_name not in self._made.kept:
            self._made.kept.append(field_name)
        return text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _spelled(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _number(text: str) -> JSONValue:
    """Return the number that a text is the digits of, None for any other text."""
    try:
        value = json.loads(text) if len(text) < _MANY_DIGITS else None
    except ValueError:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _as_json(body: bytes) -> JSONValue:
    """Return a body's JSON, None where it is none that a step can hold: null alone is sent as a text."""
    try:
        return jsongate.loads(body)
    except jsongate.BadJSON:
        return None


def _as_text(body: bytes) -> str | None:
    """Return a body as text, None where it is none that can be stored."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
