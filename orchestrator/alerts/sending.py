"""Sending one message: by mail, to a webhook or to Slack, under the rules that steps have for what they reach."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.registry import base_url_for, registry
from integrations.sdk.egress import AddressRefused
from integrations.sdk.errors import AuthError, InputError, IntegrationError, NotFound, OutcomeUnknown, RateLimited
from orchestrator.alerts import messages
from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.mail import mail_send
from orchestrator.alerts.refused import NotSent
from orchestrator.alerts.targets import Target
from orchestrator.egress import egress_policy
from orchestrator.vault.redaction import Redactor
from orchestrator.vault.services import ResolvedCredential

if TYPE_CHECKING:
    from integrations.sdk.http import HttpPool

SEND_SECONDS: Final = 15
_MOST_BYTES: Final = 64 * 1024
# Of a webhook's answers: it will not take the next one either.
_FINAL: Final = frozenset({400, 401, 403, 404, 405, 410, 411, 413, 414, 415, 422})
_JSON: Final = "application/json; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message with all that it takes to send it. ``target`` and ``credential`` by the channel's kind."""

    delivery_id: int
    kind: ChannelKind
    document: Mapping[str, Any]
    at: datetime
    is_test: bool
    egress_allow: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    target: Target | None = field(default=None, repr=False)
    credential: ResolvedCredential | None = field(default=None, repr=False)
    slack_channel: str = ""


async def send(outgoing: Outgoing, pool: HttpPool | None = None) -> None:
    """Send a message within SEND_SECONDS, over the pool that is given or one of its own. Raises NotSent."""
    try:
        async with asyncio.timeout(SEND_SECONDS + 5):
            if outgoing.kind is ChannelKind.EMAIL:
                await asyncio.to_thread(
                    mail_send, outgoing.document, outgoing.emails, message_id=f"alert-{outgoing.delivery_id}"
                )
            elif pool is not None:
                await _over_http(outgoing, pool)
            else:
                await _over_own_pool(outgoing)
    except TimeoutError:
        raise NotSent(_("There was no answer in time.")) from None
    except IntegrationError as error:
        raise _explained(error, outgoing) from None


async def _over_own_pool(outgoing: Outgoing) -> None:
    # Late: aiohttp is several megabytes, which a web process without this need not hold.
    from integrations.sdk.http import HttpPool

    pool = HttpPool(egress_policy())
    try:
        await _over_http(outgoing, pool)
    finally:
        await pool.aclose()


async def _over_http(outgoing: Outgoing, pool: HttpPool) -> None:
    if outgoing.kind is ChannelKind.SLACK and outgoing.credential is not None:
        await _by_slack_credential(outgoing, outgoing.credential, pool)
        return
    target = outgoing.target
    assert target is not None
    http = pool.client(
        egress_allow=outgoing.egress_allow,
        deadline=timezone.now() + timedelta(seconds=SEND_SECONDS),
        max_bytes=_MOST_BYTES,
        secrets=(target.url,),
    )
    if outgoing.kind is ChannelKind.SLACK:
        content = json.dumps({"text": messages.slack_text(outgoing.document)}).encode()
        headers = {"Content-Type": _JSON}
    else:
        content = body_of(outgoing)
        headers = signed_headers(target.key, f"alert_{outgoing.delivery_id}", timezone.now(), content)
    # Repeatable: a webhook knows a message by its id, and a second line in Slack does no harm.
    response = await http.post(target.url, content=content, headers=headers, follow_redirects=False, idempotent=True)
    if not 200 <= response.status_code < 300:
        status = response.status_code
        is_final = status in _FINAL or 300 <= status < 400
        words = (
            _("It was answered with status %(status)d. Enter the address that it leads to.")
            if 300 <= status < 400
            else _("It was answered with status %(status)d.")
        )
        retry_after = _seconds(response.headers.get("Retry-After"))
        raise NotSent(words % {"status": status}, permanent=is_final, retry_after=retry_after)


async def _by_slack_credential(outgoing: Outgoing, credential: ResolvedCredential, pool: HttpPool) -> None:
    # Late, as the registry is: a web process without this need not hold providers.
    from integrations.providers.slack.client import call

    provider = registry.provider("slack")
    if provider is None:
        raise NotSent(_("Slack's integration is not installed here."), permanent=True)
    root = base_url_for(provider, settings.ENV.base_urls)
    http = pool.client(
        base_url=root,
        authorize=provider.authorizer(credential.auth, credential.settings),
        auth_hosts=provider.credential_hosts(root),
        egress_allow=outgoing.egress_allow,
        deadline=timezone.now() + timedelta(seconds=SEND_SECONDS),
        max_bytes=_MOST_BYTES,
        secrets=credential.secrets,
    )
    text = messages.slack_text(outgoing.document)
    await call(http, "chat.postMessage", {"channel": outgoing.slack_channel, "text": text, "unfurl_links": False})


def body_of(outgoing: Outgoing) -> bytes:
    """Return a webhook's body: ``{"type": "alert" | "alert.test", "timestamp", "data": document + "summary"}``."""
    document = {
        "type": "alert.test" if outgoing.is_test else "alert",
        "timestamp": outgoing.at.isoformat(),
        "data": {"summary": messages.headline(outgoing.document), **outgoing.document},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")


def signed_headers(key: bytes, message_id: str, now: datetime, content: bytes) -> dict[str, str]:
    """Return the headers of Standard Webhooks: the id stays the same through all tries, the time is this try's.

    Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
    """
    seconds = str(int(now.timestamp()))
    signature = hmac.new(key, b".".join((message_id.encode(), seconds.encode(), content)), hashlib.sha256).digest()
    return {
        "Content-Type": _JSON,
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def _explained(error: IntegrationError, outgoing: Outgoing) -> NotSent:
    secrets = [outgoing.target.url] if outgoing.target else []
    secrets += outgoing.credential.secrets if outgoing.credential else []
    said = " ".join(part for part in (error.message, error.hint) if part)
    is_final = isinstance(error, AddressRefused | AuthError | InputError | NotFound) or not (
        error.retryable or isinstance(error, OutcomeUnknown)
    )
    retry_after = error.retry_after if isinstance(error, RateLimited) else None
    return NotSent(Redactor(secrets).text(said)[:400], permanent=is_final, retry_after=retry_after)


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else None
