"""``Idempotency-Key``: the same request twice gets the first answer again, another body under the key a 409."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from orchestrator.api.models import IdempotencyRecord
from orchestrator.errors import Conflict, Invalid
from orchestrator.tenants.access import Actor
from orchestrator.vault import crypto

HEADER: Final = "Idempotency-Key"
KEPT_FOR: Final = timedelta(hours=24)
MAX_KEY: Final = 255
# Codes of what is refused.
NO_KEY: Final = "idempotency_key_invalid"
REUSED: Final = "idempotency_key_reused"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered to a request, and kept for its key: a status below 400, and data that JSON can hold."""

    status: int
    data: Any


def answer_once(request: Request, actor: Actor, make: Callable[[], Response]) -> Response:
    """Return ``make()``'s answer, or the kept one when this key was answered before; as ``made_once`` does it."""
    key = request.headers.get(HEADER)
    if key is None:
        return make()

    def made() -> Answer:
        response = make()
        return Answer(status=response.status_code, data=response.data)

    answer = made_once(actor, path=request.path, key=key, body=request.data, make=made)
    return Response(answer.data, status=answer.status)


def made_once(actor: Actor, *, path: str, key: str, body: Any, make: Callable[[], Answer]) -> Answer:
    """Return ``make()``'s answer, or the kept one when this key was answered at this path before.

    The record and what ``make`` writes commit together: a crash between them leaves neither. Only answers below 400
    are kept: what ``make`` raises is raised. Raises Conflict (``REUSED``) when the key came with another body, Invalid
    (``NO_KEY``) when it is none.
    """
    if not 0 < len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise Invalid(
            _("%(header)s is not valid: send 1 to %(most)s ASCII characters.") % {"header": HEADER, "most": MAX_KEY},
            code=NO_KEY,
        )
    digest = _digest(body)
    kept = _find(actor, path, key)
    if kept is None:
        try:
            with transaction.atomic():
                # One that is too old to answer with still holds the key until it is pruned.
                _rows(actor, path, key).filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
                record = IdempotencyRecord(tenant=actor.tenant, user=actor.user, path=path, key=key, body_digest=digest)
                record.save(force_insert=True)
                answer = make()
                _keep(record, answer)
                return answer
        except IntegrityError:
            # Another request with this key committed first: its answer is ours too.
            kept = _find(actor, path, key)
            if kept is None:
                raise
    if kept.body_digest != digest:
        raise Conflict(
            _("This Idempotency-Key was used with another body. Send a new key for a new request."), code=REUSED
        )
    return _answer_of(kept)


def forget_old_answers() -> int:
    """Delete what is older than KEPT_FOR; return how many."""
    deleted, _ = IdempotencyRecord.unscoped.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
    return deleted


def _rows(actor: Actor, path: str, key: str) -> QuerySet[IdempotencyRecord]:
    """Return this person's record of the key: another's answer may hold what only they may see."""
    return IdempotencyRecord.objects.for_tenant(actor.tenant).filter(user=actor.user, path=path, key=key)


def _find(actor: Actor, path: str, key: str) -> IdempotencyRecord | None:
    return _rows(actor, path, key).filter(created_at__gte=timezone.now() - KEPT_FOR).first()


def _keep(record: IdempotencyRecord, answer: Answer) -> None:
    # As it was rendered the first time, so that the second answer is the same to the letter.
    text = json.dumps(answer.data, cls=JSONEncoder)
    sealed = crypto.seal(text.encode(), tenant_id=record.tenant_id, context=f"idempotency:{record.pk}")
    record.status = answer.status
    record.answer_sealed, record.answer_key_id = sealed.blob, sealed.key_id
    record.save(update_fields=["status", "answer_sealed", "answer_key_id"])


def _answer_of(record: IdempotencyRecord) -> Answer:
    plain = crypto.unseal(
        bytes(record.answer_sealed or b""), tenant_id=record.tenant_id, context=f"idempotency:{record.pk}"
    )
    return Answer(status=record.status, data=json.loads(plain))


def _digest(data: Any) -> str:
    """Return a keyed hash of the body: a plain one would let a dump's reader guess a short secret in it."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return salted_hmac("orchestrator.api.idempotency", canonical, algorithm=hashlib.sha256().name).hexdigest()
