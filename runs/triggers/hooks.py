"""Webhooks, ``/h/<token>``: what each request is answered; a plain one never gets here, see ``shortcut``.

A plain view: no session, no cookies, no framework around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.csrf import csrf_exempt

from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.flow.names import TriggerType
from runs.triggers import accepting
from runs.triggers.addresses import Address, find_address
from runs.triggers.intake import Moved, Unavailable, intake
from runs.triggers.requests import BadRequest, request_body, trigger_document
from runs.triggers.samples import keep_sample

if TYPE_CHECKING:
    from runs.triggers.configured import Told

_UNPUBLISHED: Final = noop("This webhook is not published yet. The request was kept as a sample; no run was started.")
# Who changes a workflow more often than this while one request is answered has to be waited for.
_LOOKS: Final = 3


@csrf_exempt
def receive(request: HttpRequest, token: str) -> HttpResponse:
    """Answer a call of a webhook's address; what cannot be kept is refused, so that the sender tries again."""
    # A caller whose own cookie is no token of ours would be given one.
    request.META["CSRF_COOKIE_NEEDS_UPDATE"] = False
    try:
        return _answer(request, token)
    except BadRequest as error:
        return _response(error.status, accepting.refused(error.code, error.message), error.headers)
    except Invalid as error:
        return _error(413, error.code, error.message)
    except (Unavailable, OperationalError, InterfaceError):
        return _response(503, accepting.unavailable(), accepting.RETRY_AFTER)


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    for _look in range(_LOOKS):
        address = find_address(token)
        if address is None:
            return _error(404, "not_found", _("There is no webhook at this address."))
        try:
            if address.type is TriggerType.EVENT:
                return _accept_event(request, address)
            return _accept(request, address) if address.is_plain else _accept_configured(request, address)
        except Moved:
            continue
    raise Unavailable


def _refusal(request: HttpRequest, address: Address) -> HttpResponse | None:
    methods = accepting.methods_of(address)
    if request.method not in methods:
        response = _error(
            405, "method_not_allowed", _("This webhook takes %(methods)s.") % {"methods": ", ".join(methods)}
        )
        response["Allow"] = ", ".join(methods)
        return response
    if address.is_published and not address.enabled:
        return _error(409, "disabled", _("This workflow is switched off. Switch it on and send the request again."))
    return None


def _accept(request: HttpRequest, address: Address) -> HttpResponse:
    refusal = _refusal(request, address)
    if refusal is not None:
        return refusal
    document = trigger_document(request.META, key=address.key, body=lambda: request_body(request))
    if not address.is_published:
        keep_sample(address, document)
        return _response(200, jsongate.dumps({"status": "recorded", "reason": _(_UNPUBLISHED)}))
    delivery = request.META.get(accepting.DELIVERY)
    kept = intake.accept(accepting.arrival_of(address, accepting.written(document), delivery=delivery))
    accepting.known.keep(address)
    return _response(*accepting.accepted(kept))


def _accept_configured(request: HttpRequest, address: Address) -> HttpResponse:
    # Here, for the memory of processes that take plain requests alone.
    from runs.triggers import configured

    wanted = configured.config(address)
    echoed = configured.echo(request, wanted)
    if echoed is not None:
        return _told(address, echoed)
    refusal = _refusal(request, address)
    if refusal is not None:
        return refusal
    return _told(address, configured.accept(request, address, wanted, unpublished=_(_UNPUBLISHED)))


def _accept_event(request: HttpRequest, address: Address) -> HttpResponse:
    # Here, for the same reason: it needs the registry besides.
    from runs.triggers import events

    return _told(address, events.answer(request, address))


def _told(address: Address, told: Told) -> HttpResponse:
    if told.sample is not None:
        keep_sample(address, told.sample)
    response = _response(told.status, told.body, told.headers)
    response["Content-Type"] = told.content_type
    return response


def _error(status: int, code: str, message: str) -> HttpResponse:
    return _response(status, accepting.refused(code, message))


def _response(status: int, body: str, headers: Mapping[str, str] = MappingProxyType({})) -> HttpResponse:
    headers = {**accepting.HEADERS, **headers}
    return HttpResponse(body, status=status, content_type=accepting.CONTENT_TYPE, headers=headers)
