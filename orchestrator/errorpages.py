"""Error answers in four parts: what failed, why, whether trying again helps, what to do; with a reference number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.tenants.shell import is_fragment, private, theme_of


@dataclass(frozen=True, kw_only=True)
class ErrorWords:
    """The parts of an error message that follow from its HTTP status; ``why`` is used where nothing better is known."""

    code: str
    title: str
    why: str
    again: str
    todo: str


WORDS: Final[Mapping[int, ErrorWords]] = {
    400: ErrorWords(
        code="invalid",
        title=noop("The request could not be understood"),
        why=noop("Something in it is missing or has the wrong form."),
        again=noop("Sending the same again will not help."),
        todo=noop("Go back, correct it and send it again."),
    ),
    403: ErrorWords(
        code="forbidden",
        title=noop("You may not do this"),
        why=noop("Your role in this tenant does not include it."),
        again=noop("Trying again will not help."),
        todo=noop("Ask an owner or admin of the tenant for the role."),
    ),
    404: ErrorWords(
        code="not_found",
        title=noop("There is nothing at this address"),
        why=noop("It was deleted, it never existed, or it belongs to a tenant that you are not a member of."),
        again=noop("Trying again will not help."),
        todo=noop("Check the address, or start from the home page."),
    ),
    405: ErrorWords(
        code="method_not_allowed",
        title=noop("This address does not take that kind of request"),
        why=noop("It was called in a way that no page of ours does."),
        again=noop("Trying again will not help."),
        todo=noop("Start from the home page."),
    ),
    409: ErrorWords(
        code="conflict",
        title=noop("This cannot be done now"),
        why=noop("Somebody else changed it first, or it is in a status that does not allow it."),
        again=noop("Trying again helps once you have seen its present status."),
        todo=noop("Go back, reload the page and decide again."),
    ),
    500: ErrorWords(
        code="internal",
        title=noop("This page could not be made"),
        why=noop("The fault is ours, not in what you did. What you had saved is still there; runs go on."),
        again=noop("Trying again may help."),
        todo=noop("If it happens again, give your operator the reference number: the log has the cause under it."),
    ),
}
CSRF: Final = ErrorWords(
    code="forbidden",
    title=noop("This form is no longer valid"),
    why=noop("Its protection against forged requests has run out, or your browser blocks cookies of this site."),
    again=noop("Sending the same page again will not help."),
    todo=noop("Go back, reload the page and send the form again. You may have to sign in first."),
)


def error_response(
    request: HttpRequest, status: int, *, message: str = "", words: ErrorWords | None = None
) -> HttpResponse:
    """Return an error as a page, as JSON under ``/api/``, or as a header and a line of text for htmx.

    ``message`` is a person's own reason (a ServiceError's); without one the reason of the status is given.
    """
    words = words or WORDS.get(status) or WORDS[500 if status >= 500 else 400]
    reason = message or _(words.why)
    if request.path.startswith("/api/"):
        body = {"error": {"code": words.code, "message": reason, "problems": []}}
        return JsonResponse(body, status=status)
    if is_fragment(request):
        answer = HttpResponse(reason, status=status, content_type="text/plain; charset=utf-8")
        answer.headers["X-Error"] = quote(reason[:500])
        return private(answer)
    return private(HttpResponse(_rendered(request, status, reason, words), status=status))


def _rendered(request: HttpRequest, status: int, reason: str, words: ErrorWords) -> str:
    # Without the request's context processors: an error page must not need the database.
    context: dict[str, Any] = {
        "status": status,
        "title": _(words.title),
        "reason": reason,
        "again": _(words.again),
        "todo": _(words.todo),
        "reference": getattr(request, "reference", ""),
        "theme": theme_of(request),
        "home": _home(request.path),
    }
    return render_to_string("errors/error.html", context)


def _home(path: str) -> str:
    """Return the home page of the tenant that the address names, which the visitor may or may not belong to."""
    parts = path.split("/")
    return f"/w/{quote(parts[2])}/" if len(parts) > 3 and parts[1] == "w" and path != f"/w/{parts[2]}/" else "/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400; Django's ``handler400``."""
    return error_response(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403; Django's ``handler403``."""
    return error_response(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404; Django's ``handler404``."""
    return error_response(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500; Django's ``handler500``."""
    return error_response(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is missing or wrong; the setting ``CSRF_FAILURE_VIEW``."""
    return error_response(request, 403, words=CSRF)
