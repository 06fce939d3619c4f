"""``POST /mcp``: the Model Context Protocol over HTTP, for assistants that call a tenant's workflows as tools.

Each message is answered with JSON, at once or after the usual patience with a run: there are no streams and no
sessions, since a web thread is worth more than that, and a run can be looked at again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from orchestrator import jsongate
from orchestrator.api.idempotency import HEADER
from orchestrator.errors import Conflict, Invalid
from orchestrator.mcp import protocol as rpc
from orchestrator.mcp.protocol import Call, RpcError
from orchestrator.mcp.tools import GET_RUN, PATIENCE_SECONDS, call_tool, tool_documents
from orchestrator.tenants.access import Actor, actor_for_token
from orchestrator.tenants.models import Scope
from orchestrator.types import JSONValue

TOOLS_A_PAGE: Final = 100
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
_INSTRUCTIONS: Final = (
    "Each tool runs a workflow and gives its output. A run that takes longer gives its id: look again with get_run."
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asks, until when it is answered at the latest, and the Idempotency-Key that came with it."""

    actor: Actor
    deadline: float
    key: str | None = None


@csrf_exempt
def receive(request: HttpRequest) -> HttpResponse:
    """Answer a message, or a batch of them where the client's revision has batches."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        _check_http(request)
        asked = Asked(actor=_actor(request), deadline=deadline, key=request.headers.get(HEADER))
        return _answer(asked, _body(request), _spoken(request))
    except RpcError as error:
        response = _json(rpc.failure(None, error), status=error.status)
        if error.status == 401:
            response["WWW-Authenticate"] = 'Bearer realm="mcp"'
        if error.status == 405:
            response["Allow"] = "POST"
        return response


def _check_http(request: HttpRequest) -> None:
    """Refuse what is no POST of JSON that takes JSON, and what a page of another origin sends. Raises RpcError."""
    origin = request.headers.get("Origin")
    if origin is not None and not _is_own(request, origin):
        raise RpcError(rpc.FORBIDDEN, "Pages of other origins may not call this.", status=403)
    if request.method != "POST":
        raise RpcError(rpc.INVALID_REQUEST, "Send messages by POST: there is no stream to listen to.", status=405)
    if request.content_type != "application/json":
        raise RpcError(rpc.INVALID_REQUEST, "Send JSON, with `Content-Type: application/json`.", status=415)
    if not request.accepts("application/json"):
        raise RpcError(rpc.INVALID_REQUEST, "Only JSON is answered; accept `application/json`.", status=406)


def _is_own(request: HttpRequest, origin: str) -> bool:
    """Whether an origin is this product's: another one's page could be made to call it by a name of its own."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    own = urlsplit(settings.BASE_URL or request.build_absolute_uri("/"))
    return (parts.scheme, parts.netloc) == (own.scheme, own.netloc)


def _actor(request: HttpRequest) -> Actor:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    actor = actor_for_token(token.strip()) if scheme.lower() == "bearer" else None
    if actor is None:
        message = "No valid token was sent. Send `Authorization: Bearer <token>`, with a token of the tenant."
        raise RpcError(rpc.UNAUTHORIZED, message, status=401)
    return actor


def _spoken(request: HttpRequest) -> str:
    """Return the revision that a client says it speaks; one that says nothing speaks the first. Raises RpcError."""
    said = request.headers.get("MCP-Protocol-Version")
    if said is None:
        return rpc.VERSIONS[0]
    if said not in rpc.VERSIONS:
        known = " and ".join(rpc.VERSIONS)
        raise RpcError(rpc.INVALID_REQUEST, f"MCP-Protocol-Version is {said!r:.40}; {known} are spoken.", status=400)
    return said


def _body(request: HttpRequest) -> JSONValue:
    try:
        return jsongate.loads(request.body)
    except RequestDataTooBig:
        message = f"The body has more than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes."
        raise RpcError(rpc.INVALID_REQUEST, message, status=413) from None
    except UnreadablePostError:
        raise RpcError(rpc.PARSE_ERROR, "The body did not arrive whole.", status=400) from None
    except jsongate.BadJSON as error:
        raise RpcError(rpc.PARSE_ERROR, f"The body is {error}.", status=400) from None


def _answer(asked: Asked, body: JSONValue, spoken: str) -> HttpResponse:
    if not isinstance(body, list):
        found, status = _one(asked, body)
        return HttpResponse(status=202, headers=_HEADERS) if found is None else _json(found, status=status)
    if spoken not in rpc.WITH_BATCHES:
        raise RpcError(rpc.INVALID_REQUEST, f"Revision {spoken} has no batches: send one message.", status=400)
    if not 0 < len(body) <= rpc.MAX_BATCH:
        raise RpcError(rpc.INVALID_REQUEST, f"A batch has 1 to {rpc.MAX_BATCH} messages.", status=400)
    if asked.key is not None:
        raise RpcError(rpc.INVALID_REQUEST, f"{HEADER} goes with one message: send the calls one by one.", status=400)
    # They share the patience: the last of them is answered as soon as the first alone would be.
    answers = [answer for message in body if (answer := _one(asked, message, in_batch=True)[0]) is not None]
    return _json(answers, status=200) if answers else HttpResponse(status=202, headers=_HEADERS)


def _one(asked: Asked, message: JSONValue, *, in_batch: bool = False) -> tuple[dict[str, Any] | None, int]:
    """Return the answer to one message, None where it wants none, and HTTP's status for it alone."""
    try:
        call = rpc.read_message(message)
        if call is None or not call.wants_answer:
            return None, 202
        if in_batch and call.method == "initialize":
            raise RpcError(rpc.INVALID_REQUEST, "initialize comes alone, not in a batch.")
        method = _METHODS.get(call.method)
        if method is None:
            raise RpcError(rpc.METHOD_NOT_FOUND, f"There is no method {call.method!r:.80}.")
        return rpc.result(call.id, method(asked, call)), 200
    except RpcError as error:
        is_notification = isinstance(message, dict) and "id" not in message and isinstance(message.get("method"), str)
        if is_notification:
            # Nobody waits to hear what was wrong with it.
            return None, 202
        return rpc.failure(rpc.id_of(message), error), error.status


def _initialize(asked: Asked, call: Call) -> Mapping[str, Any]:
    title = f"Orchestrator: {asked.actor.tenant.name}"
    return {
        "protocolVersion": rpc.version_for(call.params.get("protocolVersion")),
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "orchestrator", "title": title, "version": _version()},
        "instructions": _INSTRUCTIONS,
    }


def _ping(asked: Asked, call: Call) -> Mapping[str, Any]:
    return {}


def _tools_list(asked: Asked, call: Call) -> Mapping[str, Any]:
    cursor = call.params.get("cursor", "0")
    if not (isinstance(cursor, str) and cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise RpcError(rpc.INVALID_PARAMS, "cursor is none of ours: start again without it.")
    tools, start = tool_documents(asked.actor.tenant), int(cursor)
    end = start + TOOLS_A_PAGE
    return {"tools": tools[start:end], **({"nextCursor": str(end)} if end < len(tools) else {})}


def _tools_call(asked: Asked, call: Call) -> Mapping[str, Any]:
    name, arguments = call.params.get("name"), call.params.get("arguments")
    if not isinstance(name, str):
        raise RpcError(rpc.INVALID_PARAMS, "name is a text: the tool's.")
    if arguments is not None and not isinstance(arguments, dict):
        raise RpcError(rpc.INVALID_PARAMS, "arguments is an object.")
    if name != GET_RUN and Scope.RUN not in asked.actor.scopes:
        raise RpcError(rpc.FORBIDDEN, "This token lacks the scope `run`. Make a token that has it.", status=403)
    try:
        found = call_tool(asked.actor, name, arguments or {}, deadline=asked.deadline, key=asked.key)
    except Conflict as error:
        raise RpcError(rpc.CONFLICT, error.message, status=409) from None
    except Invalid as error:
        raise RpcError(rpc.INVALID_PARAMS, error.message, status=400) from None
    if found is None:
        raise RpcError(rpc.INVALID_PARAMS, f"There is no tool {name!r:.80}. List them again.")
    return found


_METHODS: Final[Mapping[str, Callable[[Asked, Call], Mapping[str, Any]]]] = {
    "initialize": _initialize,
    "ping": _ping,
    "tools/list": _tools_list,
    "tools/call": _tools_call,
}


def _version() -> str:
    try:
        return version("orchestrator")
    except PackageNotFoundError:
        return "0"


def _json(value: Any, *, status: int) -> HttpResponse:
    return HttpResponse(jsongate.dumps(value), status=status, content_type="application/json", headers=_HEADERS)
