"""The WSGI application that granian serves."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.utils.http import parse_header_parameters

from orchestrator.absent import AT_SETUP, without

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")


class Request(WSGIRequest):
    """A request in UTF-8, whatever charset it declares.

    Django reads the query in the declared charset before any of its handlers: with one that is not for texts, or with
    too many fields, nothing could answer but a server error.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        declared = meta.get("CONTENT_TYPE", "")
        try:
            self.content_type, self.content_params = parse_header_parameters(declared)
        except ValueError:
            # A parameter in an encoding that nobody knows. Whoever parses it again must not fail either.
            self.content_type, self.content_params = declared.partition(";")[0].strip().lower(), {}
            meta["CONTENT_TYPE"] = self.content_type


class Handler(WSGIHandler):
    request_class = Request


def with_length(
    application: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]], *, most: int
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    """Give requests that are sent in chunks the length that they have: Django takes one without for empty.

    Of a longer one than ``most`` bytes one more is read, so that whoever looks at the length refuses it.
    """

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_TRANSFER_ENCODING" in environ and not environ.get("CONTENT_LENGTH"):
            body = _read(environ["wsgi.input"], most + 1)
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        return application(environ, start_response)

    return serve


def _read(stream: Any, most: int) -> bytes:
    """Read to the end, or ``most`` bytes; a read may give less than was asked for."""
    parts: list[bytes] = []
    while most > 0 and (part := stream.read(most)):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def _application() -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    with without(*AT_SETUP):
        django.setup(set_prefix=False)
    from django.conf import settings

    from runs.triggers.shortcut import Shortcut

    application = with_length(Shortcut(Handler()), most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    # What is loaded stays: the collector need not look through it again and again.
    gc.collect()
    gc.freeze()
    return application


application = _application()
