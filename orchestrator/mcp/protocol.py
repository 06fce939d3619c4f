"""JSON-RPC 2.0 as the Model Context Protocol speaks it: what a message is, and what is answered to one. Pure.

Source: modelcontextprotocol.io, revisions 2025-03-26 and 2025-06-18 (base protocol, lifecycle, streamable HTTP).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.types import JSONValue

# Newest last. A client that does not say speaks the first.
VERSIONS: Final = ("2025-03-26", "2025-06-18")
# The first revision has batches; the second took them out.
WITH_BATCHES: Final = frozenset({"2025-03-26"})
MAX_BATCH: Final = 20

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
# Of the range that servers may use as they like.
UNAUTHORIZED: Final = -32001
FORBIDDEN: Final = -32003
CONFLICT: Final = -32009

Id = str | int | float | None


class RpcError(Exception):
    """A request that is answered with an error; ``status`` is HTTP's where the request came alone."""

    def __init__(self, code: int, message: str, *, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request, or a notification, whose ``wants_answer`` is False. Answers to requests of ours are none of both."""

    id: Id
    method: str
    params: Mapping[str, Any]
    wants_answer: bool = True


def read_message(message: JSONValue) -> Call | None:
    """Return the request or notification of a message, None for a response. Raises RpcError for anything else."""
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'A message is an object with "jsonrpc": "2.0".', status=400)
    method = message.get("method")
    if method is None and ("result" in message or "error" in message):
        return None
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "A request has a method, which is a text.", status=400)
    if "id" not in message:
        return Call(id=None, method=method, params=_params(message), wants_answer=False)
    if not is_id(message["id"]):
        raise RpcError(INVALID_REQUEST, "A request's id is a text or a number.", status=400)
    return Call(id=message["id"], method=method, params=_params(message))  # type: ignore[arg-type]


def is_id(value: JSONValue) -> bool:
    """Whether a value may be the id of a request."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def id_of(message: JSONValue) -> Id:
    """Return the id that an error about a message is answered with, null where it has none that can be used."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if is_id(found) else None  # type: ignore[return-value]


def result(id_: Id, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "result": dict(value)}


def failure(id_: Id, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": error.code, "message": error.message}}


def version_for(asked: Any) -> str:
    """Return the revision that is spoken with a client: its own where that is known, else the newest."""
    return asked if isinstance(asked, str) and asked in VERSIONS else VERSIONS[-1]


def _params(message: Mapping[str, Any]) -> Mapping[str, Any]:
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params is an object.")
    return params
