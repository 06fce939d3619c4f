"""Requests to a trigger of an integration: checked and read by its own functions, and each event made a run.

1. The functions are installed code that is trusted, but not to be quick: they get two seconds on threads of their own.
2. What is not signed as declared is refused with 401. While the provider is just being told, it is asked to send
   again (503): it may sign with a secret that it gave us a moment ago.
3. A genuine request that the function cannot read is refused with 422, so a provider that sends again until somebody
   agrees does so, and it is kept as a sample; the trigger's panel and the list of what needs a person say so until one
   is read again. It was never accepted, so nothing that was accepted is lost; and no run begins with half an event.
4. One request may hold several events: they are kept together, each as a run, and told apart when they come again.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from pydantic import ValidationError

from integrations.registry import registry
from integrations.sdk.auth import AuthView
from integrations.sdk.errors import AuthError, InputError, IntegrationError
from integrations.sdk.polling import Item
from integrations.sdk.webhook import MAX_EVENTS, Hmac, WebhookContext, WebhookReply, WebhookRequest, WebhookTrigger
from orchestrator import jsongate
from orchestrator.flow.events import config_of
from orchestrator.flow.webhooks import Signature
from orchestrator.types import JSONValue
from orchestrator.vault.crypto import VaultError
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.services import CredentialUnavailable, resolve_credential
from runs.models import Subscription
from runs.poll_rows import dedupe_key
from runs.states import SubscriptionStatus
from runs.subscription_secrets import opened
from runs.triggers import accepting, replies, rules
from runs.triggers.addresses import Address
from runs.triggers.configured import Told
from runs.triggers.intake import Arrival, Kept, Unavailable, intake
from runs.triggers.requests import BadRequest, body_bytes, query_of, request_body, trigger_document
from runs.triggers.signatures import BadSignature, delivery_of, verify

log = logging.getLogger(__name__)

SECONDS: Final = 2.0
AT_ONCE: Final = 4
MAX_MESSAGE: Final = 500
_TEXT: Final = "text/plain; charset=utf-8"
_NOTHING_NEW: Final = noop("Nothing in this request is what the trigger looks for.")
T = TypeVar("T")


class Unread(Exception):
    """A genuine request that the trigger's function cannot read; the message is for a person."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, kw_only=True)
class Read:
    """What a request says: the answer to a handshake, or what is new in it, and what its sender calls it."""

    reply: WebhookReply | None = None
    items: Sequence[Item] = ()
    delivery: str | None = None


def answer(request: HttpRequest, address: Address) -> Told:
    """Return the answer to a request. Raises BadRequest, Invalid, Moved, Unavailable."""
    trigger, inputs = _declared(address)
    _refuse_method(request, trigger)
    if not address.is_published or not address.enabled:
        raise BadRequest(
            _("This workflow is not live: publish it and switch it on, and send the request again."),
            code="disabled",
            status=409,
        )
    row = _subscription(address)
    secret = _secret(trigger, row)
    # Some providers send the secret itself, in a header.
    clean, body = Redactor((secret,)), body_bytes(request)
    context = WebhookContext(inputs=inputs, secret=secret, state=row.state.get("state"))
    try:
        read = _bounded(lambda: _read(trigger, context, request, body))
    except BadSignature as error:
        if row.status == SubscriptionStatus.PENDING:
            raise rules.Unverifiable(
                _("The provider is just being told of this trigger. Send it again later.")
            ) from None
        raise rules.Unsigned(error, "Signature") from None
    except Unread as error:
        message = clean.text(error.message)[:MAX_MESSAGE]
        _note(row, {"at": timezone.now().isoformat(), "message": message})
        return _unread(request, address, body, message, clean)
    if row.unread is not None and not read.reply:
        _note(row, None)
    return _replied(read.reply) if read.reply is not None else _started(request, address, read, clean)


def _declared(address: Address) -> tuple[WebhookTrigger, Any]:
    """Return what the trigger's config names, and its inputs."""
    try:
        config = config_of(address.config)
        trigger = registry.webhook(config.trigger)
        if trigger is not None:
            return trigger, trigger.validate_inputs(config.inputs)
    except (ValidationError, InputError):
        pass
    raise rules.Unverifiable(
        _("Nothing here can read this request: the trigger's integration or its settings are wrong.")
    )


def _refuse_method(request: HttpRequest, trigger: WebhookTrigger) -> None:
    if request.method not in trigger.methods:
        taken = ", ".join(trigger.methods)
        raise BadRequest(
            _("This webhook takes %(methods)s.") % {"methods": taken},
            code="method_not_allowed",
            status=405,
            headers={"Allow": taken},
        )


def _subscription(address: Address) -> Subscription:
    """Return the row that says with which secret requests are signed now."""
    rows = Subscription.objects.for_tenant(address.tenant_id).filter(trigger=address.trigger_id)
    row = rows.exclude(status=SubscriptionStatus.ENDING).order_by("-pk").first()
    if row is None:
        raise rules.Unverifiable(_("This trigger has just been published. Send the request again in a moment."))
    return row


def _secret(trigger: WebhookTrigger, row: Subscription) -> str:
    """Return what a request is to be signed with. Raises Unverifiable where nobody can tell."""
    try:
        if not trigger.has_their_secret:
            return opened(row).secret
        credential = resolve_credential(
            tenant_id=row.tenant_id, credential_id=row.credential_id, name=row.credential_name
        )
        trigger.check_auth(credential.auth)
        return AuthView(credential.auth).bearer
    except (VaultError, CredentialUnavailable, AuthError):
        raise rules.Unverifiable from None


def _read(trigger: WebhookTrigger, context: WebhookContext[Any], request: HttpRequest, body: bytes) -> Read:
    """Check a request and read it, on a thread without a database. Raises BadSignature, Unread, BadRequest."""
    asked = WebhookRequest(
        method=str(request.method),
        headers={name.lower(): value for name, value in request.headers.items()},
        query=query_of(request.META),
        body=body,
    )
    return read_request(trigger, context, asked, request.META, now=time.time())


def read_request(
    trigger: WebhookTrigger,
    context: WebhookContext[Any],
    asked: WebhookRequest,
    environ: Mapping[str, Any],
    *,
    now: float,
    is_checked: bool = True,
) -> Read:
    """Return what a request says that came at ``now``, once it is checked. Raises BadSignature and Unread.

    ``environ`` has its headers as WSGI has them. Without ``is_checked`` it is read whoever sent it.
    """
    shake = trigger.handshake
    first = _asked(trigger, partial(shake, context, asked)) if shake and trigger.handshake_first else None
    if first is not None:
        return Read(reply=first)
    if is_checked:
        _verify(trigger, context, asked, environ, now)
    reply = _asked(trigger, partial(shake, context, asked)) if shake and not trigger.handshake_first else None
    if reply is not None:
        return Read(reply=reply)
    items = _asked(trigger, lambda: trigger.events(context, asked))
    if len(items) > MAX_EVENTS:
        raise Unread(f"It holds {len(items):,} events, more than the {MAX_EVENTS} that are taken at once.")
    delivery = _asked(trigger, lambda: trigger.delivery_of(asked))
    if delivery is None and isinstance(trigger.verify, str):
        delivery = delivery_of(trigger.verify, environ=environ, body=_json_or_none(asked))
    return Read(items=items, delivery=delivery)


def _asked(trigger: WebhookTrigger, ask: Callable[[], T]) -> T:
    """Return what a function of the integration says. Raises Unread for whatever it raises."""
    try:
        return ask()
    except IntegrationError as error:
        raise Unread(f"{error.message} {error.hint}".strip()) from None
    except Exception as error:
        # Where, not what: an exception's own text may hold anything.
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("A request to %s could not be read: %s\n%s", trigger.key, type(error).__name__, frames)
        raise Unread(f"The integration {trigger.key} has a defect ({type(error).__name__}).") from None


def _verify(
    trigger: WebhookTrigger,
    context: WebhookContext[Any],
    asked: WebhookRequest,
    environ: Mapping[str, Any],
    now: float,
) -> None:
    """Refuse a request that is not signed as declared. Raises BadSignature."""
    wanted = trigger.verify
    if callable(wanted):
        try:
            genuine = wanted(context, asked) is True
        except Exception as error:
            log.error("A request to %s could not be checked: %s", trigger.key, type(error).__name__)
            genuine = False
        if not genuine:
            raise BadSignature(_("The request is not signed as its provider signs."))
    elif wanted != "none":
        own = {"preset": "hmac", **asdict(wanted)} if isinstance(wanted, Hmac) else {"preset": wanted}
        signature = Signature(credential=trigger.key, **own)
        verify(signature, {"api_key": context.secret}, environ=environ, body=asked.body, now=now)


def _json_or_none(asked: WebhookRequest) -> Any:
    try:
        return asked.json()
    except InputError:
        return None


def _bounded(work: Callable[[], T]) -> T:
    """Return what ``work`` returns within the time there is. Raises what it raises, and Unavailable when it is late."""
    future = _threads(os.getpid()).submit(work)
    try:
        return future.result(SECONDS)
    except TimeoutError:
        future.cancel()
        raise Unavailable from None


@lru_cache(maxsize=1)
def _threads(pid: int) -> ThreadPoolExecutor:
    """Return the threads of this process: none are there before it was forked."""
    return ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="events")


def _replied(reply: WebhookReply) -> Told:
    """Return the answer to a handshake, of which a browser could run nothing."""
    sent = {name: value for name, value in reply.headers.items() if replies.may_be_sent(name, value)}
    content_type = next((sent.pop(name) for name in list(sent) if name.lower() == "content-type"), "")
    is_text = isinstance(reply.body, str)
    return Told(
        status=reply.status,
        body=str(reply.body) if is_text else jsongate.dumps(reply.body),
        content_type=content_type or (_TEXT if is_text else accepting.CONTENT_TYPE),
        headers=sent,
    )


def _started(request: HttpRequest, address: Address, read: Read, clean: Redactor) -> Told:
    """Keep a run for each event; all are looked at before the first is kept."""
    if not read.items:
        return Told(body=jsongate.dumps({"status": "ignored", "reason": _(_NOTHING_NEW)}))
    arrivals = [_arrival(request, address, read, index, clean) for index in range(len(read.items))]
    rules.check_rate(address, None)
    kept = intake.accept_all(arrivals)
    first = next((each for each in kept if each.is_new), kept[0])
    status, body = accepting.accepted(first)
    if len(kept) > 1:
        body = _all_of(kept)
    return Told(status=status, body=body)


def _all_of(kept: Sequence[Kept]) -> str:
    runs: list[JSONValue] = [{"id": str(each.run_id), "status": each.status} for each in kept]
    return jsongate.dumps({"runs": runs})


def _arrival(request: HttpRequest, address: Address, read: Read, index: int, clean: Redactor) -> Arrival:
    item = read.items[index]
    document = trigger_document(request.META, key=address.key, body=lambda: item.data, kind=address.type.value)
    delivery = f"{read.delivery}:{index}" if read.delivery and index else read.delivery
    arrival = accepting.arrival_of(address, accepting.written(clean.clean(document)), delivery=delivery)
    if item.id:
        arrival.dedupe_key = dedupe_key(address.key, item.id)
    return arrival


def _unread(request: HttpRequest, address: Address, body: bytes, message: str, clean: Redactor) -> Told:
    def came() -> JSONValue:
        try:
            return request_body(request, body)
        except BadRequest:
            return body.decode("utf-8", "replace")

    sample = trigger_document(request.META, key=address.key, body=came, kind=address.type.value)
    said = _("The request is genuine, but its trigger cannot read it: %(why)s") % {"why": message}
    return Told(status=422, body=accepting.refused("unreadable", said), sample=clean.clean(sample))


def _note(row: Subscription, unread: Mapping[str, str] | None) -> None:
    Subscription.objects.for_tenant(row.tenant_id).filter(pk=row.pk).update(unread=unread)
