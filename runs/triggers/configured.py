"""A webhook whose config asks for more than to be kept: signed, filtered, told apart, limited, answered otherwise.

Loaded when the first such address is called: a process that takes plain requests alone needs neither vault nor models
of configs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpRequest
from pydantic import ValidationError

from orchestrator import jsongate
from orchestrator.flow.webhooks import WebhookConfig, config_of
from orchestrator.types import JSONValue
from runs.triggers import accepting, replies, rules
from runs.triggers.addresses import Address
from runs.triggers.intake import intake
from runs.triggers.requests import body_bytes, raw_body, request_body, trigger_document


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is answered; a request that starts nothing is kept as a sample where there is a ``sample`` of it."""

    status: int = 200
    body: str
    content_type: str = accepting.CONTENT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    sample: Mapping[str, JSONValue] | None = None


def config(address: Address) -> WebhookConfig:
    """Return what an address asks for. A draft's that is wrong asks for nothing: it starts nothing either."""
    try:
        return config_of(address.config)
    except ValidationError:
        if address.is_published:
            raise rules.Unverifiable from None
        return WebhookConfig()


def echo(request: HttpRequest, wanted: WebhookConfig) -> Told | None:
    """Return the answer to a sender that first asks for a word of its own back."""
    word = rules.echo(wanted, request.META)
    return None if word is None else Told(body=word, content_type="text/plain; charset=utf-8")


def accept(request: HttpRequest, address: Address, wanted: WebhookConfig, *, unpublished: str) -> Told:
    """Return the answer to a request of a method that is taken. Raises BadRequest, Invalid, Moved, Unavailable."""
    data = body_bytes(request) if wanted.signature or wanted.raw else None
    rules.check_signature(address, wanted, request.META, data or b"")
    document = trigger_document(request.META, key=address.key, body=lambda: request_body(request, data))
    if wanted.raw:
        document["raw"] = raw_body(wanted.raw, data or b"")
    shaken = rules.handshake(wanted, document)
    if shaken is not None:
        return Told(body=jsongate.dumps(shaken))
    if not address.is_published:
        return Told(body=jsongate.dumps({"status": "recorded", "reason": unpublished}), sample=document)
    reason = rules.ignored(address, wanted, document)
    if reason:
        return Told(body=jsongate.dumps({"status": "ignored", "reason": reason}), sample=document)
    delivery = rules.delivery(address, wanted, request.META, document)
    rules.check_rate(address, wanted.rate_limit)
    kept = intake.accept(accepting.arrival_of(address, accepting.written(document), delivery=delivery))
    answer = replies.answer(address, wanted, document, kept)
    return Told(status=answer.status, body=answer.body, content_type=answer.content_type, headers=answer.headers)
