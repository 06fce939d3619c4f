"""An OpenAPI 3 description, read as the requests that it describes: inputs of ``http.request``. Pure.

Nothing is fetched and nothing kept: what a person looks through is packed into the page that shows it. What signs a
request in is left out, as a secret belongs in a credential.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.builder import openapi_body, yaml_text
from orchestrator.builder.curl import is_secret_header, is_secret_query
from orchestrator.builder.openapi_body import texts
from orchestrator.builder.skeleton import Skeletons
from orchestrator.types import JSONValue

MAX_YAML: Final = 4 * 1024 * 1024
MAX_OPERATIONS: Final = 3_000
MAX_INPUTS: Final = 8_000
# Of what a page carries along: unpacked, and as text.
MAX_UNPACKED: Final = 8 * 1024 * 1024
MAX_PACKED: Final = 2 * 1024 * 1024
_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options")
_HOLE: Final = re.compile(r"\{([^{}]{1,100})\}")
# By OpenAPI's own rule these say nothing as parameters.
_NO_PARAMETERS: Final = frozenset({"accept", "content-type", "authorization"})
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]+")
_NOT_KEPT: Final = re.compile(r"[\x00\ud800-\udfff]")
_MAX_WORDS: Final = 160
_MAX_NAMES: Final = 20
# Characters of a name or an address that are looked at: a few lines of references repeat one for each operation.
_MAX_NAME: Final = 300
_MAX_ADDRESS: Final = 4_000


class NotOpenAPI(ValueError):
    """A text that is no description that is read here, with what to do in words."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One request: ``holes`` are the places in its URL to fill in, ``optional`` names what was left out.

    ``left_out`` names what held a secret, ``signed_in`` says in words what it is signed in by, one of them, and
    ``is_partial`` that a part of it is described elsewhere.
    """

    method: str
    path: str
    words: str
    find: str
    inputs: dict[str, JSONValue]
    holes: list[str]
    optional: list[str]
    left_out: list[str]
    signed_in: list[str]
    is_partial: bool


def read(data: bytes) -> list[Operation]:
    """Return the operations of a description. Raises NotOpenAPI."""
    document = _document(data)
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        told = _("This is Swagger 2, and only OpenAPI 3 is read: convert it, many tools do.")
        other = _("This is no OpenAPI 3 description: it does not begin with openapi and a version like 3.0.3 or 3.1.0.")
        raise NotOpenAPI(told if "swagger" in document else other)
    if not isinstance(document.get("paths"), Mapping) or not document["paths"]:
        raise NotOpenAPI(_("The description has no paths: there is no request in it."))
    found = _Reader(document).operations()
    if not found:
        raise NotOpenAPI(_("None of the description's paths has an operation that can be read."))
    return found


def pack(operations: Sequence[Operation]) -> str:
    """Return operations as a text for a page to carry along. Raises NotOpenAPI for more than a page can carry."""
    data = jsongate.dump_bytes([asdict(each) for each in operations])
    packed = base64.b64encode(zlib.compress(data)).decode() if len(data) <= MAX_UNPACKED else ""
    if not packed or len(packed) > MAX_PACKED:
        raise NotOpenAPI(_("The description has more than a page can carry. Take out the paths that you do not need."))
    return packed


def unpack(text: str) -> list[Operation]:
    """Return what ``pack`` gave. Raises NotOpenAPI for anything else."""
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text[:MAX_PACKED], validate=True), MAX_UNPACKED)
        if not stream.eof:
            raise ValueError
        rows = jsongate.loads(data, max_bytes=MAX_UNPACKED)
        return [_operation(row) for row in rows] if isinstance(rows, list) else []
    except (ValueError, TypeError, zlib.error):
        raise NotOpenAPI(_("The description did not come back whole. Choose the file again.")) from None


def _operation(row: Any) -> Operation:
    made = Operation(**row)
    names = (
        *made.holes,
        *made.optional,
        *made.left_out,
        *made.signed_in,
        made.method,
        made.path,
        made.words,
        made.find,
    )
    if not isinstance(made.inputs, dict) or not all(isinstance(name, str) for name in names):
        raise ValueError
    return made


def matching(operations: Sequence[Operation], query: str) -> list[int]:
    """Return the places of the operations that have every word of a query, those that are called so first."""
    wanted = query.lower().split()
    found = [at for at, each in enumerate(operations) if all(word in each.find for word in wanted)]
    whole = " ".join(wanted)
    return sorted(found, key=lambda at: whole not in operations[at].words.lower()) if whole else found


def _document(data: bytes) -> Mapping[str, Any]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotOpenAPI(_("The file is no text in UTF-8.")) from None
    try:
        found = jsongate.loads(text) if text.lstrip()[:1] == "{" else _yaml(text)
    except jsongate.BadJSON as error:
        raise NotOpenAPI(_("The description cannot be read as JSON: %(why)s.") % {"why": error}) from None
    except yaml_text.BadYAML as error:
        raise NotOpenAPI(_("The description cannot be read as YAML: %(why)s.") % {"why": error}) from None
    if not isinstance(found, Mapping):
        raise NotOpenAPI(_("This is no OpenAPI description: it is neither a JSON object nor YAML of that shape."))
    return found


def _yaml(text: str) -> Any:
    if len(text) > MAX_YAML:
        most = _("A description in YAML may have %(most)d MB at most, one in JSON more: take that.")
        raise NotOpenAPI(most % {"most": MAX_YAML // 2**20})
    return yaml_text.loads(text)


class _Reader:
    """Reads the operations of one description; whatever has not the shape that it should have says nothing."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document, self._skeletons = document, Skeletons(document)

    def operations(self) -> list[Operation]:
        found: list[Operation] = []
        for path, item in self._document["paths"].items():
            item = self._skeletons.resolved(item)
            for method in _METHODS:
                if isinstance(path, str) and isinstance(described := item.get(method), Mapping):
                    if len(found) == MAX_OPERATIONS:
                        raise NotOpenAPI(
                            _("The description has more than %(most)s operations. Take out what you do not need.")
                            % {"most": f"{MAX_OPERATIONS:,}"}
                        )
                    self._skeletons.renew()
                    found.append(self._read(path, method.upper(), item, described))
        return found

    def _read(self, path: str, method: str, item: Mapping[str, Any], described: Mapping[str, Any]) -> Operation:
        path = path[:_MAX_ADDRESS]
        url = _clean(self._server(item, described) + path, _MAX_ADDRESS)
        inputs: dict[str, JSONValue] = {"method": method, "url": url}
        optional: list[str] = []
        left_out: list[str] = []
        for parameter in self._parameters(item, described):
            self._take(parameter, inputs, optional, left_out)
        made, more = openapi_body.body_of(self._skeletons, described.get("requestBody"))
        headers = made.pop("headers", {})
        inputs |= made
        if headers:
            inputs["headers"] = {**inputs.get("headers", {}), **headers}  # type: ignore[dict-item]
        inputs = {name: _cleaned(value) for name, value in inputs.items()}
        is_small = len(jsongate.dump_bytes(inputs)) <= MAX_INPUTS
        if not is_small:
            inputs = {"method": method, "url": url}
        name, summary = _name(described.get("operationId")), described.get("summary") or described.get("description")
        words = _clean(summary if isinstance(summary, str) else name, _MAX_WORDS)
        tags = described.get("tags")
        tagged = " ".join(_name(each) for each in (tags[:_MAX_NAMES] if isinstance(tags, list) else ()))
        find = _clean(f"{method} {path} {words} {name} {tagged}".lower(), 600)
        return Operation(
            method=method,
            path=_clean(path, 500),
            words=words,
            find=find,
            inputs=inputs,
            holes=list(dict.fromkeys(_HOLE.findall(url)))[:_MAX_NAMES],
            optional=[_clean(each, 60) for each in (*optional, *more)][:_MAX_NAMES],
            left_out=[_clean(each, 60) for each in left_out][:_MAX_NAMES],
            signed_in=self._signed_in(described),
            is_partial=self._skeletons.has_remote or self._skeletons.is_spent or not is_small,
        )

    def _parameters(self, *holders: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the parameters, an operation's own in place of its path's."""
        found: dict[tuple[Any, Any], Mapping[str, Any]] = {}
        for holder in holders:
            listed = holder.get("parameters")
            for each in listed[:200] if isinstance(listed, list) else ():
                parameter = self._skeletons.resolved(each)
                name, place = parameter.get("name"), parameter.get("in")
                if isinstance(name, str) and isinstance(place, str) and len(name) <= _MAX_NAME:
                    found[name, place] = parameter
        yield from found.values()

    def _take(
        self, parameter: Mapping[str, Any], inputs: dict[str, Any], optional: list[str], left_out: list[str]
    ) -> None:
        name, place = parameter["name"], parameter["in"]
        into = {"query": "query", "header": "headers"}.get(place)
        if into is None or (place == "header" and name.lower() in _NO_PARAMETERS):
            return
        if (is_secret_header if place == "header" else is_secret_query)(name):
            left_out.append(name)
        elif parameter.get("required") is not True:
            optional.append(name)
        else:
            known = parameter.get("example")
            value = texts(self._skeletons.value(parameter.get("schema"), known))
            inputs.setdefault(into, {})[name] = value if place == "query" or isinstance(value, str) else ",".join(value)

    def _signed_in(self, described: Mapping[str, Any]) -> list[str]:
        """Return in words by what an operation may be signed in."""
        wanted = described.get("security", self._document.get("security"))
        listed = wanted[:_MAX_NAMES] if isinstance(wanted, list) else []
        of_each = (islice(each, _MAX_NAMES) for each in listed if isinstance(each, Mapping))
        names = dict.fromkeys(name for each in of_each for name in each)
        schemes = self._skeletons.resolved({"$ref": "#/components/securitySchemes"})
        said = (_signed_in_by(self._skeletons.resolved(schemes.get(name))) for name in list(names)[:_MAX_NAMES])
        return [words for words in dict.fromkeys(said) if words]

    def _server(self, *holders: Mapping[str, Any]) -> str:
        """Return the address in front of the paths, without a slash at its end; empty where none is whole."""
        for holder in (*reversed(holders), self._document):
            servers = holder.get("servers")
            first = self._skeletons.resolved(servers[0]) if isinstance(servers, list) and servers else {}
            if isinstance(url := first.get("url"), str):
                variables = first.get("variables")
                return _filled(url[:_MAX_ADDRESS], variables if isinstance(variables, Mapping) else {}).rstrip("/")
        return ""


def _signed_in_by(scheme: Mapping[str, Any]) -> str:
    """Return a security scheme in words, nothing for one that no credential is of."""
    kind, name, way = (scheme.get(word) for word in ("type", "name", "scheme"))
    if kind == "apiKey" and isinstance(name, str):
        return _("an API key as %(name)s") % {"name": _clean(name, 60)}
    if kind in ("oauth2", "openIdConnect"):
        return _("a sign-in (OAuth 2)")
    if kind == "http" and isinstance(way, str):
        return {"bearer": _("a bearer token"), "basic": _("a user name and password")}.get(way.lower(), "")
    return ""


def _name(value: Any) -> str:
    return value[:_MAX_NAME] if isinstance(value, str) else ""


def _filled(url: str, variables: Mapping[str, Any]) -> str:
    """Return a server's address with its variables at their defaults."""

    def default(hole: re.Match[str]) -> str:
        variable = variables.get(hole[1])
        found = variable.get("default") if isinstance(variable, Mapping) else None
        return found[:_MAX_NAME] if isinstance(found, str) else hole[0]

    return _HOLE.sub(default, url)


def _clean(text: str, most: int) -> str:
    return _plain(" ".join(_UNFIT.sub(" ", text[: 4 * most]).split())[:most])


def _cleaned(value: Any) -> Any:
    """Return a value whose texts a database takes and no run evaluates; it is small already."""
    if isinstance(value, str):
        return _plain(_NOT_KEPT.sub("", value))
    if isinstance(value, Mapping):
        return {_cleaned(str(name)): _cleaned(each) for name, each in value.items()}
    return [_cleaned(each) for each in value] if isinstance(value, list) else value


def _plain(text: str) -> str:
    """Return a text that is no expression: a description is not written by who builds the workflow."""
    while "{{" in text:
        text = text.replace("{{", "{ {")
    return text
