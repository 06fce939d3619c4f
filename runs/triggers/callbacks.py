"""``/c/<token>``: what a step waits for that another system calls when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from orchestrator import jsongate
from orchestrator.errors import Invalid, NotFound, ServiceError
from runs.answers import TooEarly, callback_receive
from runs.asked import asked_at
from runs.triggers import accepting
from runs.triggers.requests import BadRequest, request_body, trigger_document

ACTION: Final = "flow.callback"
# A step is reached within seconds of what it called, as a rule.
EARLY: Final = {"Retry-After": "2"}
_KEPT: Final = ("body", "headers", "query")


@csrf_exempt
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """Take a call for the step that the address is of; what is not taken says whether to send it again."""
    # A caller whose own cookie is no token of ours would be given one.
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
    if request.method != "POST":
        return _refused(405, "method_not_allowed", _("This address takes POST."), {"Allow": "POST"})
    try:
        return _answer(request, token)
    except BadRequest as error:
        return _refused(error.status, error.code, error.message)
    except TooEarly as error:
        return _refused(error.status, error.code, error.message, EARLY)
    except Invalid as error:
        return _refused(413, error.code, error.message)
    except NotFound:
        return _unknown()
    except ServiceError as error:
        return _refused(error.status, error.code, error.message)
    except (OperationalError, InterfaceError):
        said = _("The call could not be kept just now. Send it again in a moment.")
        return _refused(503, "unavailable", said, accepting.RETRY_AFTER)


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    asked = asked_at(token, ACTION)
    if asked is None:
        return _unknown()
    document = trigger_document(request.META, key=asked.path, body=lambda: request_body(request))
    kept = {name: document[name] for name in _KEPT}
    if callback_receive(run=asked.run, path=asked.path, document=kept):
        return _response(202, jsongate.dumps({"status": "accepted"}))
    said = _("This address was called before. The first call counts, and this one changes nothing.")
    return _response(200, jsongate.dumps({"status": "accepted", "reason": said}))


def _unknown() -> HttpResponse:
    return _refused(404, "not_found", _("No step waits for a call at this address."))


def _refused(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    return _response(status, accepting.refused(code, message), headers)


def _response(status: int, body: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    headers = {**accepting.HEADERS, **(headers or {})}
    return HttpResponse(body, status=status, content_type=accepting.CONTENT_TYPE, headers=headers)
