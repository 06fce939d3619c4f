"""A cURL command, as documentation shows it, read as the inputs of ``http.request``. Pure; nothing is run.

What signs the request in is left out: a secret belongs in a credential, never in a step.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlsplit, urlunsplit

from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.types import JSONValue

MAX_COMMAND: Final = 100_000
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
# Options that take a value, by what is done with it; the empty word: read over, with its value.
_TAKES: Final = {
    "-X": "method", "--request": "method",
    "-H": "header", "--header": "header",
    "-d": "data", "--data": "data", "--data-ascii": "data", "--data-binary": "data", "--data-raw": "data",
    "--data-urlencode": "encoded", "--json": "json",
    "-F": "part", "--form": "part", "--form-string": "part",
    "-A": "agent", "--user-agent": "agent", "-e": "referer", "--referer": "referer",
    "-u": "secret", "--user": "secret", "-b": "secret", "--cookie": "secret", "--oauth2-bearer": "secret",
    "-E": "secret", "--cert": "secret", "--key": "secret",
    "--url": "url",
    "-o": "", "--output": "", "-m": "", "--max-time": "", "--connect-timeout": "", "--retry": "", "-x": "",
    "--proxy": "", "-w": "", "--write-out": "", "-c": "", "--cookie-jar": "", "--cacert": "", "--resolve": "",
}  # fmt: skip
_SECRET_HEADERS: Final = re.compile(
    r".*(?:authorization|cookie|(?:api|auth|access|subscription|private)[-_]?key|token|secret|password).*",
    re.IGNORECASE,
)
_SECRET_QUERY: Final = re.compile(r".*(?:api|access|auth)[-_]?(?:key|token)|client[-_]?secret|password", re.IGNORECASE)
# Names that may mean another thing as well: of these only what looks like a key is one.
_MAYBE_SECRET_QUERY: Final = re.compile(r"key|token|sig|signature", re.IGNORECASE)
_LIKE_A_KEY: Final = re.compile(r"[\w.~+/=-]{16,}")
# Lines that go on: a backslash in a shell, a caret in Windows's.
_GOES_ON: Final = re.compile(r"[\\^][ \t]*\r?\n")


class NotCurl(ValueError):
    """A text that is no cURL command, with what to do in words."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The inputs of ``http.request``; ``left_out`` names what held a secret."""

    inputs: dict[str, JSONValue]
    left_out: tuple[str, ...]


@dataclass
class _Command:
    url: str = ""
    method: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    parts: list[dict[str, JSONValue]] = field(default_factory=list)
    in_query: bool = False
    is_head: bool = False
    secrets: list[str] = field(default_factory=list)


def is_secret_header(name: str) -> bool:
    """Whether a header of this name signs a request in."""
    return _SECRET_HEADERS.fullmatch(name) is not None


def is_secret_query(name: str) -> bool:
    """Whether a member of a query of this name signs a request in, whatever its value."""
    return _SECRET_QUERY.fullmatch(name) is not None


def is_curl(text: str) -> bool:
    """Whether a text is meant as a cURL command."""
    return re.match(r"\s*(?:\$\s+)?curl(?:\.exe)?\s", text) is not None


def parse(text: str) -> Request:
    """Return the request that a command makes. Raises NotCurl."""
    if not is_curl(text):
        raise NotCurl(_("This is not a cURL command: it begins with curl and an address."))
    if len(text) > MAX_COMMAND:
        raise NotCurl(_("The command is too long: at most %(most)d characters are read.") % {"most": MAX_COMMAND})
    try:
        words = shlex.split(_GOES_ON.sub(" ", text.replace("$'", "'")))
    except ValueError:
        raise NotCurl(_("A quotation mark is opened in the command and never closed. Copy all of it.")) from None
    command = _Command()
    for name, value in _options(words[words.index(next(w for w in words if w.startswith("curl"))) + 1 :]):
        _take(command, name, value)
    if not command.url:
        raise NotCurl(_("The command has no address. Copy all of it."))
    return Request(inputs=_inputs(command), left_out=tuple(dict.fromkeys(command.secrets)))


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option with its value, and each bare word as ``--url``."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            yield "--url", word
        elif word.startswith("--"):
            name, has_value, value = word.partition("=")
            yield name, value if has_value else (next(rest, "") if name in _TAKES else "")
        else:
            yield from _short(word, rest)


def _short(word: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of a word like ``-sSXPOST``: the first that takes a value takes what is left."""
    for place, letter in enumerate(word[1:], 2):
        name = f"-{letter}"
        if name in _TAKES:
            yield name, word[place:] or next(rest, "")
            return
        yield name, ""


def _take(command: _Command, name: str, value: str) -> None:
    match _TAKES.get(name, name):
        case "method":
            command.method = value.upper()
        case "url":
            command.url = command.url or value
        case "header":
            _take_header(command, value)
        case "agent":
            command.headers["User-Agent"] = value
        case "referer":
            command.headers["Referer"] = value
        case "secret":
            command.secrets.append(name)
        case "data":
            _no_file(value.startswith("@") and name != "--data-raw")
            command.data.append(value)
        case "encoded":
            key, has_key, content = value.partition("=")
            _no_file("@" in (key if has_key else value))
            command.data.append(f"{key}={quote_plus(content)}" if has_key else quote_plus(value))
        case "json":
            _no_file(value.startswith("@"))
            command.data.append(value)
            command.headers.setdefault("Content-Type", "application/json")
        case "part":
            _take_part(command, value)
        case "-G" | "--get":
            command.in_query = True
        case "-I" | "--head":
            command.is_head = True


def _no_file(is_file: bool) -> None:
    if is_file:
        raise NotCurl(_("The command sends a file of its own machine (@…). Write the content in its place."))


def _take_header(command: _Command, line: str) -> None:
    name, has_value, value = line.partition(":")
    name, value = name.strip(), value.strip()
    if not has_value or not name:
        return
    if is_secret_header(name):
        command.secrets.append(name)
    else:
        command.headers[name] = value


def _take_part(command: _Command, text: str) -> None:
    name, _sign, value = text.partition("=")
    _no_file(value[:1] in ("@", "<"))
    if name:
        command.parts.append({"name": name, "value": value.partition(";type=")[0]})


def _inputs(command: _Command) -> dict[str, JSONValue]:
    url = command.url if "://" in command.url else f"https://{command.url}"
    try:
        split = urlsplit(url)
        has_password = "@" in split.netloc
    except ValueError:
        raise NotCurl(_("The address in the command is none: %(url)s") % {"url": url[:200]}) from None
    if has_password:
        command.secrets.append(_("the password in the address"))
        split = split._replace(netloc=split.netloc.rpartition("@")[2])
    query = _pairs("&".join([split.query, *(command.data if command.in_query else ())]).strip("&"))
    for name in [name for name, value in (query or {}).items() if _is_secret(name, value)]:
        query = {kept: value for kept, value in (query or {}).items() if kept != name}
        command.secrets.append(name)
    inputs: dict[str, JSONValue] = {"url": urlunsplit(split._replace(query="" if query is not None else split.query))}
    if query:
        inputs["query"] = query
    sends = bool(command.parts or (command.data and not command.in_query))
    method = command.method or ("HEAD" if command.is_head else "POST" if sends else "GET")
    if method not in _METHODS:
        raise NotCurl(_("The method %(method)s cannot be sent.") % {"method": method[:20]})
    inputs["method"] = method
    headers = dict(command.headers)
    if command.parts:
        inputs["multipart"] = list(command.parts)
    elif sends:
        inputs |= _body("&".join(command.data), headers)
    if headers:
        inputs["headers"] = dict(headers)
    return inputs


def _body(data: str, headers: dict[str, str]) -> dict[str, JSONValue]:
    """Return the body under the input that fits it; a header that this input sends by itself is taken out."""
    declared = next((name for name in headers if name.lower() == "content-type"), "")
    kind = headers.get(declared, "").lower()
    if "json" in kind or (not kind and data.lstrip()[:1] in ("{", "[")):
        try:
            found: dict[str, JSONValue] = {"body": jsongate.loads(data.encode())}
        except (jsongate.BadJSON, UnicodeError):
            return {"raw": data}
        if kind in ("application/json", "application/json; charset=utf-8"):
            headers.pop(declared)
        return found
    pairs = _pairs(data) if not kind or "x-www-form-urlencoded" in kind else None
    if pairs:
        headers.pop(declared, None)
        return {"form": pairs}
    if not kind:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    return {"raw": data}


def _is_secret(name: str, value: JSONValue) -> bool:
    """Whether a member of a query signs the request in."""
    if is_secret_query(name):
        return True
    return bool(_MAYBE_SECRET_QUERY.fullmatch(name) and isinstance(value, str) and _LIKE_A_KEY.fullmatch(value))


def _pairs(text: str) -> dict[str, Any] | None:
    """Return a query as names and values, None for one that would not come back as it is."""
    if not text:
        return {}
    if any("=" not in part for part in text.split("&")):
        return None
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found
