"""``/c/<token>``: what a step waits for that another system calls when it is done."""

from __future__ import annotations

from typing import Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from orchestrator.errors import Invalid, NotFound, ServiceError
from runs.answers import TooEarly, callback_receive
from runs.asked import asked_at
from runs.triggers.requests import BadRequest, trigger_document
from runs.triggers.responses import error_answer, json_answer

ACTION: Final = "flow.callback"
# A step is reached within seconds of what it called, as a rule.
RETRY_SECONDS: Final = 2
_KEPT: Final = ("body", "headers", "query")


@csrf_exempt
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """Take a call for the step that the address is of; what is not taken says whether to send it again."""
    # A caller whose own cookie is no token of ours would be given one.
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
    if request.method != "POST":
        response = error_answer(405, "method_not_allowed", "This address takes POST.")
        response["Allow"] = "POST"
        return response
    try:
        return _answer(request, token)
    except BadRequest as error:
        return error_answer(error.status, error.code, error.message)
    except TooEarly as error:
        return error_answer(error.status, error.code, error.message, retry_after=RETRY_SECONDS)
    except Invalid as error:
        return error_answer(413, error.code, error.message)
    except NotFound:
        return _unknown()
    except ServiceError as error:
        return error_answer(error.status, error.code, error.message)
    except (OperationalError, InterfaceError):
        said = "The call could not be kept just now. Send it again in a moment."
        return error_answer(503, "unavailable", said, retry_after=5)


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    asked = asked_at(token, ACTION)
    if asked is None:
        return _unknown()
    document = trigger_document(request, key=asked.path)
    kept = {name: document[name] for name in _KEPT}
    if callback_receive(run=asked.run, path=asked.path, document=kept):
        return json_answer(202, {"status": "accepted"})
    said = "This address was called before. The first call counts, and this one changes nothing."
    return json_answer(200, {"status": "accepted", "reason": said})


def _unknown() -> HttpResponse:
    return error_answer(404, "not_found", "No step waits for a call at this address.")
