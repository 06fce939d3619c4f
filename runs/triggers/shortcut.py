"""The short way of webhooks: a plain request of a known address is answered before the framework begins.

1. The first request of an address goes the long way, through every middleware to ``hooks``. When that accepts it, the
   address is known, and so are the headers that requests of the same host and scheme are answered with.
2. What is plain then costs no framework and no query of its own. Its address is confirmed in the transaction that
   inserts the run.
3. Everything else goes the long way, with its body as it came: what is unknown, large, refused, or has moved. So only
   what was kept is answered here, and what could not be kept.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import structlog

from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.middleware import new_reference
from runs.triggers import accepting
from runs.triggers.intake import Arrival, Moved, Unavailable, intake
from runs.triggers.requests import BadRequest, body_value, declared_length, trigger_document

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

PREFIX: Final = "/h/"
# A larger or deeper body is told apart from one that is too large or too deep on the long way.
MOST_BYTES: Final = 32 * 1024
MOST_BRACKETS: Final = jsongate.MAX_DEPTH - 4
_TYPES: Final = frozenset({"application/json", "application/x-www-form-urlencoded", "text/plain", ""})
_METHODS: Final = frozenset({"POST", "PUT", "PATCH", "GET", "DELETE"})
# Hosts and schemes whose headers are remembered; a browser may call by any name where ALLOWED_HOSTS has a *.
_MOST_DOORS: Final = 100
_REFERENCE: Final = "X-Request-ID"
_STATUS: Final = {200: "200 OK", 202: "202 Accepted", 500: "500 Internal Server Error", 503: "503 Service Unavailable"}

Headers: TypeAlias = list[tuple[str, str]]
Door: TypeAlias = tuple[str | None, ...]


class Shortcut:
    """Stands before the application and answers what is plain."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._headers: dict[Door, Headers] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(PREFIX):
            return self._application(environ, start_response)
        door = _door(environ)
        headers = self._headers.get(door)
        if headers is None:
            return self._application(environ, self._learning(door, start_response))
        arrival = _arrival(environ)
        answer = None if arrival is None else _answer(arrival)
        if answer is None:
            return self._application(environ, start_response)
        status, body, more, reference = answer
        start_response(_STATUS[status], [*headers, *more, ("Content-Length", str(len(body))), (_REFERENCE, reference)])
        return [body]

    def _learning(self, door: Door, start_response: StartResponse) -> StartResponse:
        """Return a ``start_response`` that keeps the headers of what was accepted."""

        def start(status: str, headers: Headers, *rest: Any) -> Callable[[bytes], object]:
            if status.startswith("202 "):
                if len(self._headers) >= _MOST_DOORS:
                    self._headers.clear()
                self._headers[door] = [pair for pair in headers if pair[0] not in ("Content-Length", _REFERENCE)]
            return start_response(status, headers, *rest)

        return start


def _door(environ: WSGIEnvironment) -> Door:
    """Return what decides whether a request is let in, and by which headers it is answered."""
    get = environ.get
    return get("HTTP_HOST"), get("HTTP_X_FORWARDED_PROTO"), get("wsgi.url_scheme"), get("SERVER_PORT")


def _arrival(environ: WSGIEnvironment) -> Arrival | None:
    """Return the run that a plain request starts; None for any other, whose body can still be read."""
    address = accepting.known.get(environ["PATH_INFO"][len(PREFIX) :])
    if address is None:
        return None
    method, length = environ["REQUEST_METHOD"], declared_length(environ)
    declared = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    is_plain = method in _METHODS and method in accepting.methods_of(address)
    if not is_plain or length > MOST_BYTES or declared not in _TYPES:
        return None
    data = _read(environ["wsgi.input"], length)
    environ["wsgi.input"] = io.BytesIO(data)
    if len(data) < length or data.count(b"[") + data.count(b"{") > MOST_BRACKETS:
        return None
    try:
        document = trigger_document(environ, key=address.key, body=lambda: body_value(declared, data))
        delivery = environ.get(accepting.DELIVERY)
        return accepting.arrival_of(address, jsongate.dumps_checked(document), delivery=delivery)
    except (BadRequest, Invalid):
        return None


def _answer(arrival: Arrival) -> tuple[int, bytes, Headers, str] | None:
    """Return status, body, further headers and reference once the run is kept; None when its address has moved."""
    reference = new_reference()
    try:
        status, text = accepting.accepted(intake.accept(arrival))
    except Moved:
        if arrival.address is not None:
            accepting.known.forget(arrival.address)
        return None
    except Unavailable:
        return 503, accepting.unavailable().encode(), [*accepting.RETRY_AFTER.items()], reference
    except Exception:
        with structlog.contextvars.bound_contextvars(reference=reference):
            log.exception("A webhook's run could not be kept")
        return 500, accepting.failed().encode(), [], reference
    return status, text.encode(), [], reference


def _read(stream: Any, length: int) -> bytes:
    """Read ``length`` bytes, or what there is; a read may give less than was asked for."""
    data: bytes = stream.read(length) if length else b""
    while 0 < len(data) < length and (more := stream.read(length - len(data))):
        data += more
    return data
