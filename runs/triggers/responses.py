"""What programs are answered at public addresses: JSON that no browser takes for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.http import HttpResponse

from orchestrator import jsongate
from orchestrator.types import JSONValue

# A third party decides what its browser asks for here: nothing that we answer may become a page with rights.
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
}


def json_answer(status: int, body: Mapping[str, JSONValue]) -> HttpResponse:
    """Return an answer."""
    return HttpResponse(jsongate.dumps(dict(body)), status=status, content_type="application/json", headers=HEADERS)


def error_answer(status: int, code: str, message: str, *, retry_after: int | None = None) -> HttpResponse:
    """Return why a request was not taken; ``retry_after`` is in seconds."""
    response = json_answer(status, {"error": {"code": code, "message": message, "problems": []}})
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response
