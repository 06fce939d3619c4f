"""What both doors of a webhook share: from a known address and a request's document to a run, and what is answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.ids import new_id
from runs.triggers.addresses import Address, Known
from runs.triggers.intake import Arrival, Kept
from runs.triggers.requests import BadRequest
from runs.values import large

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

DEFAULT_METHODS: Final = ("POST",)
MAX_DELIVERY_ID: Final = 1_000
# Where a WSGI server puts the header by which a sender names a delivery.
DELIVERY: Final = "HTTP_IDEMPOTENCY_KEY"
CONTENT_TYPE: Final = "application/json"
# A third party decides what its browser asks for here: nothing that we answer may become a page with rights.
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "no-store",
}
RETRY_AFTER: Final = {"Retry-After": "5"}

# The addresses of this process. What is known here is confirmed in the transaction that starts a run.
known: Final = Known()


def methods_of(address: Address) -> Sequence[str]:
    """Return the methods that an address takes."""
    found = address.config.get("methods")
    # A draft's may be anything.
    return [method for method in found if isinstance(method, str)] if isinstance(found, list) else DEFAULT_METHODS


def arrival_of(address: Address, document: str, *, delivery: str | None) -> Arrival:
    """Return the run to insert for a request, whose trigger document is given as JSON. Raises BadRequest, Invalid."""
    if address.version_id is None:
        raise ValueError("An address that is not published starts nothing")
    run_id = new_id()
    try:
        payload = large(document, tenant_id=address.tenant_id, run_id=run_id)
    except jsongate.BadJSON as error:
        raise too_large(error) from error
    return Arrival(
        run_id=run_id,
        tenant_id=address.tenant_id,
        workflow_id=address.workflow_id,
        version_id=address.version_id,
        trigger_type=address.type.value,
        trigger_key=address.key,
        trigger=None if payload else document,
        payload=payload,
        dedupe_key=_dedupe_key(address, delivery),
        address=address,
    )


def accepted(kept: Kept, *, reason: str = "") -> tuple[int, str]:
    """Return status and body for a run that is kept; ``reason`` is why nothing else is answered."""
    said = {"reason": reason} if reason else {}
    return 202 if kept.is_new else 200, jsongate.dumps_checked({"id": str(kept.run_id), "status": kept.status, **said})


def refused(code: str, message: str) -> str:
    """Return the body of a refusal."""
    return jsongate.dumps({"error": {"code": code, "message": message, "problems": []}})


def unavailable() -> str:
    """Return the body for what could not be kept, whose status is 503."""
    return refused("unavailable", _("The request could not be kept just now. Send it again in a moment."))


def failed() -> str:
    """Return the body for a fault of ours, whose status is 500."""
    return refused("internal", _("The fault is ours: the request was not kept. Send it again in a moment."))


def too_large(error: jsongate.BadJSON) -> Invalid:
    return Invalid(_("The run's trigger cannot be kept: %(error)s.") % {"error": error}, code="too_large")


def written(document: Mapping[str, JSONValue]) -> str:
    """Return a trigger document as JSON. Raises Invalid for one that is too deep or too large."""
    try:
        return jsongate.dumps(jsongate.check(document))
    except jsongate.BadJSON as error:
        raise too_large(error) from error


def _dedupe_key(address: Address, delivery: str | None) -> str | None:
    """Return what makes a delivery the same as an earlier one of this trigger."""
    if not delivery:
        return None
    if len(delivery) > MAX_DELIVERY_ID:
        raise BadRequest(
            _("Idempotency-Key has more than %(most)s characters.") % {"most": f"{MAX_DELIVERY_ID:,}"},
            code="bad_key",
        )
    return f"{address.key}:{hashlib.sha256(delivery.encode('utf-8', 'surrogateescape')).hexdigest()}"
