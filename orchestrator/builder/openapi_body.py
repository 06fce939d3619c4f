"""The body of an operation of an OpenAPI description, as inputs of ``http.request``. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from orchestrator import jsongate
from orchestrator.builder.skeleton import Skeletons

_FORM: Final = "application/x-www-form-urlencoded"
_PARTS: Final = "multipart/form-data"
_JSON: Final = "application/json"
_MOST_KINDS: Final = 50
_MAX_KIND: Final = 200


def body_of(skeletons: Skeletons, described: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the inputs for a body with what it has to hold, and the names of what it may hold beside."""
    content = skeletons.resolved(described).get("content")
    if not isinstance(content, Mapping) or not content:
        return {}, []
    kind = min((each for each in islice(content, _MOST_KINDS) if len(each) <= _MAX_KIND), key=_rank, default="")
    if not kind:
        return {}, []
    media = skeletons.resolved(content[kind])
    schema, example = media.get("schema"), _example(skeletons, media)
    properties, required = skeletons.members(schema)
    optional = [name for name in properties if isinstance(name, str) and name not in required]
    plain = kind.partition(";")[0].strip().lower()
    if _is_json(plain):
        value = skeletons.value(schema, example)
        headers = {"headers": {"Content-Type": kind}} if plain != _JSON else {}
        return {"body": {} if value is None else value, **headers}, optional
    if plain == _FORM:
        made = skeletons.value(schema, example)
        fields = dict(_flat(made)) if isinstance(made, Mapping) else {}
        return {"form": fields} if fields else {}, optional
    if plain == _PARTS:
        parts = [_part(skeletons, name, properties.get(name)) for name in required]
        return {"multipart": parts} if parts else {}, optional
    if plain.startswith("text/") or "xml" in plain:
        return {"raw": example if isinstance(example, str) else "", "raw_type": kind}, []
    return {"headers": {"Content-Type": plain or "application/octet-stream"}}, []


def texts(value: Any) -> str | list[str]:
    """Return a value as a query or a form writes it."""
    if isinstance(value, list):
        return [_text(each) for each in value]
    return _text(value)


def _rank(kind: str) -> tuple[int, str]:
    plain = kind.partition(";")[0].strip().lower()
    order = (plain == _JSON, _is_json(plain), plain == _FORM, plain == _PARTS, plain.startswith("text/"), True)
    return order.index(True), plain


def _is_json(plain: str) -> bool:
    return plain == _JSON or plain.endswith("+json") or plain == "*/*"


def _example(skeletons: Skeletons, media: Mapping[str, Any]) -> Any:
    if media.get("example") is not None:
        return media["example"]
    examples = media.get("examples")
    first = next(iter(examples.values()), None) if isinstance(examples, Mapping) else None
    return skeletons.resolved(first).get("value")


def _part(skeletons: Skeletons, name: str, schema: Any) -> dict[str, Any]:
    found = skeletons.resolved(schema)
    is_file = found.get("format") in ("binary", "base64", "byte") or "contentMediaType" in found
    if is_file:
        return {"name": name, "filename": name, "base64": ""}
    value = skeletons.value(schema)
    return {"name": name, "value": value if isinstance(value, str) else _text(value)}


def _flat(made: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | list[str]]]:
    """Yield fields of a form, inner ones in brackets, as most APIs that take forms read them."""
    for name, value in made.items():
        key = f"{prefix}[{name}]" if prefix else str(name)
        if isinstance(value, Mapping):
            yield from _flat(value, key)
        elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
            yield from _flat({str(at): each for at, each in enumerate(value)}, key)
        else:
            yield key, texts(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else jsongate.dump_bytes(value).decode()
