"""Webhooks, ``/h/<token>``: what each request is answered; a plain one never gets here, see ``shortcut``.

A plain view: no session, no cookies, no framework around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.workflows.models import Trigger
from runs.triggers import accepting
from runs.triggers.addresses import Address, find_address
from runs.triggers.intake import Moved, Unavailable, intake
from runs.triggers.requests import BadRequest, request_body, trigger_document

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

MAX_SAMPLE_BYTES: Final = 64 * 1024
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
        return _error(error.status, error.code, error.message)
    except Invalid as error:
        return _error(413, error.code, error.message)
    except (Unavailable, OperationalError, InterfaceError):
        return _response(503, accepting.unavailable(), accepting.RETRY_AFTER)


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    for _ in range(_LOOKS):
        address = find_address(token)
        if address is None:
            return _error(404, "not_found", "There is no webhook at this address.")
        refusal = _refusal(request, address)
        if refusal is not None:
            return refusal
        try:
            return _accept(request, address)
        except Moved:
            continue
    raise Unavailable


def _refusal(request: HttpRequest, address: Address) -> HttpResponse | None:
    methods = accepting.methods_of(address)
    if request.method not in methods:
        response = _error(405, "method_not_allowed", f"This webhook takes {', '.join(methods)}.")
        response["Allow"] = ", ".join(methods)
        return response
    if address.is_published and not address.enabled:
        return _error(409, "disabled", "This workflow is switched off. Switch it on and send the request again.")
    return None


def _accept(request: HttpRequest, address: Address) -> HttpResponse:
    document = trigger_document(request.META, key=address.key, body=lambda: request_body(request))
    if not address.is_published:
        keep_sample(address, document)
        reason = "This webhook is not published yet. The request was kept as a sample; no run was started."
        return _response(200, jsongate.dumps({"status": "recorded", "reason": reason}))
    delivery = request.META.get(accepting.DELIVERY)
    kept = intake.accept(accepting.arrival_of(address, accepting.written(document), delivery=delivery))
    accepting.known.keep(address)
    return _response(*accepting.accepted(kept))


@transaction.atomic
def keep_sample(address: Address, document: Mapping[str, JSONValue]) -> None:
    """Keep a request that started nothing, for the person who builds the workflow to look at."""
    trigger = Trigger.objects.for_tenant(address.tenant_id).select_for_update().filter(pk=address.trigger_id).first()
    if trigger is None:
        return
    sample = dict(document)
    if len(jsongate.dumps(sample).encode()) > MAX_SAMPLE_BYTES:
        sample["body"] = f"(more than {MAX_SAMPLE_BYTES:,} bytes, left out of the sample)"
        sample["headers"], sample["query"] = {}, {}
    Trigger.objects.for_tenant(address.tenant_id).filter(pk=trigger.pk).update(
        state={**trigger.state, "sample": sample}
    )


def _error(status: int, code: str, message: str) -> HttpResponse:
    return _response(status, accepting.refused(code, message))


def _response(status: int, body: str, headers: Mapping[str, str] = MappingProxyType({})) -> HttpResponse:
    headers = {**accepting.HEADERS, **headers}
    return HttpResponse(body, status=status, content_type=accepting.CONTENT_TYPE, headers=headers)
