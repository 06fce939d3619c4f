"""Middleware of the whole product: a reference number for each request, security headers, language, errors as pages."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

from orchestrator.errorpages import error_response
from orchestrator.errors import ServiceError

GetResponse: TypeAlias = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# What is called by programs alone, and often.
_PROGRAMS: Final = ("/h/", "/c/", "/healthz", "/readyz", "/metrics")
# Without letters and digits that are taken for one another when read out over the telephone.
_ALPHABET: Final = b"23456789abcdefghjkmnpqrstuvwxyz"
_LETTERS: Final = bytes(_ALPHABET[byte % len(_ALPHABET)] for byte in range(256))


def new_reference() -> str:
    """Return a number that a person can read out and that finds the request's lines in the log."""
    # Not from the operating system: that would let go of the interpreter's lock, and the number is no secret.
    return random.randbytes(10).translate(_LETTERS).decode()  # noqa: S311


class RequestReference:
    """Give each request a reference number, on every line that it logs and in its ``X-Request-ID``."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        reference = new_reference()
        request.reference = reference  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(reference=reference):
            response = self.get_response(request)
        response.headers.setdefault("X-Request-ID", reference)
        return response


class SecurityHeaders:
    """Put the content security policy on every answer; a view that needs its own (API viewer, webhooks) sets it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class Language(LocaleMiddleware):
    """Speak a request's own language, by ``Accept-Language``, where there is more than one. Programs get none."""

    def __init__(self, get_response: GetResponse) -> None:
        if len(settings.LANGUAGES) < 2:
            raise MiddlewareNotUsed("There is one language.")
        super().__init__(get_response)
        self._answer = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(_PROGRAMS):
            return self._answer(request)
        try:
            return super().__call__(request)  # type: ignore[return-value]
        finally:
            # The thread's next request may be one that is not asked for its language.
            translation.deactivate()


class ServiceErrors:
    """Turn what a service refuses into a page that says why; the API turns its own into JSON."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, ServiceError):
            return None
        return error_response(request, exception.status, message=exception.message)
