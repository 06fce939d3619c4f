"""The accept path of webhooks, ``/h/<token>``: one query, one insert shared with its neighbours, 202.

A plain view: no session, no cookies, no framework around it, since every microsecond of it counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.flow.definition import TriggerType
from orchestrator.types import JSONValue
from orchestrator.workflows.addresses import address_digest
from orchestrator.workflows.models import Trigger
from runs.models import Run
from runs.services import fill
from runs.triggers.intake import Unavailable, intake
from runs.triggers.requests import BadRequest, trigger_document
from runs.triggers.responses import error_answer as _error
from runs.triggers.responses import json_answer as _json

DEFAULT_METHODS: Final = ("POST",)
MAX_SAMPLE_BYTES: Final = 64 * 1024
MAX_DELIVERY_ID: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Address:
    """What an address leads to."""

    trigger_id: int
    tenant_id: int
    key: str
    config: Mapping[str, Any]
    workflow_id: int
    enabled: bool
    version_id: int | None

    @property
    def is_published(self) -> bool:
        return self.version_id is not None


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
        response = _error(503, "unavailable", "The request could not be kept just now. Send it again in a moment.")
        response["Retry-After"] = "5"
        return response


def _answer(request: HttpRequest, token: str) -> HttpResponse:
    address = find_address(token)
    if address is None:
        return _error(404, "not_found", "There is no webhook at this address.")
    methods = address.config.get("methods") or DEFAULT_METHODS
    if request.method not in methods:
        response = _error(405, "method_not_allowed", f"This webhook takes {', '.join(methods)}.")
        response["Allow"] = ", ".join(methods)
        return response
    if address.is_published and not address.enabled:
        return _error(409, "disabled", "This workflow is switched off. Switch it on and send the request again.")
    return _accept(request, address)


def find_address(token: str) -> Address | None:
    """Return what the address leads to; found by its hash, so that the time it takes tells nothing of it."""
    rows = Trigger.unscoped.filter(address_digest=address_digest(token), type=TriggerType.WEBHOOK)
    found = rows.values_list(
        "pk", "tenant_id", "key", "config", "live_config", "workflow_id", "workflow__enabled",
        "workflow__published_version_id",
    ).first()  # fmt: skip
    if found is None:
        return None
    trigger_id, tenant_id, key, config, live_config, workflow_id, enabled, version_id = found
    return Address(
        trigger_id=trigger_id,
        tenant_id=tenant_id,
        key=key,
        config=(config if live_config is None else live_config) or {},
        workflow_id=workflow_id,
        enabled=enabled,
        version_id=None if live_config is None else version_id,
    )


def _accept(request: HttpRequest, address: Address) -> HttpResponse:
    document = trigger_document(request, key=address.key)
    if address.version_id is None:
        keep_sample(address, document)
        reason = "This webhook is not published yet. The request was kept as a sample; no run was started."
        return _json(200, {"status": "recorded", "reason": reason})
    run = Run(
        tenant_id=address.tenant_id,
        workflow_id=address.workflow_id,
        version_id=address.version_id,
        trigger_type=TriggerType.WEBHOOK.value,
        trigger_key=address.key,
        dedupe_key=_dedupe_key(address, request.headers.get("Idempotency-Key")),
    )
    counted = intake.accept(run, fill(run, trigger=document))
    if counted.pk != run.pk:
        return _json(200, {"id": str(counted.pk), "status": counted.status})
    return _json(202, {"id": str(run.pk), "status": run.status})


def _dedupe_key(address: Address, delivery: str | None) -> str | None:
    """Return what makes a delivery the same as an earlier one of this trigger."""
    if not delivery:
        return None
    if len(delivery) > MAX_DELIVERY_ID:
        raise BadRequest(f"Idempotency-Key has more than {MAX_DELIVERY_ID:,} characters.", code="bad_key")
    return f"{address.key}:{hashlib.sha256(delivery.encode('utf-8', 'surrogateescape')).hexdigest()}"


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
