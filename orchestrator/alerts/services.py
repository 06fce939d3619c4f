"""Changes to a tenant's alert channels, and trying one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.alerts import messages
from orchestrator.alerts.checking import checked, refused
from orchestrator.alerts.deliveries import CLAIM, Claim, delivery_note, outgoing_of
from orchestrator.alerts.kinds import ChannelKind, Event
from orchestrator.alerts.models import AlertChannel, AlertDelivery, events_there_are
from orchestrator.alerts.refused import NotSent
from orchestrator.alerts.sending import send
from orchestrator.alerts.targets import Target, new_secret, target_open, target_seal
from orchestrator.errors import Conflict, Limited, NotFound, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.vault.crypto import UnknownKey, VaultError
from orchestrator.vault.sharing import require_use

MOST_CHANNELS: Final = 50
# A test goes to whoever the channel names: nobody is to be flooded by pressing a button.
MOST_TESTS: Final = 20
_HOUR: Final = timedelta(hours=1)
_NEEDED: Final[Mapping[ChannelKind, str]] = {ChannelKind.EMAIL: "emails", ChannelKind.WEBHOOK: "url"}


@transaction.atomic
def channel_create(*, actor: Actor, kind: ChannelKind, values: Mapping[str, Any]) -> tuple[AlertChannel, str]:
    """Make a channel; return it with a webhook's signing secret, which is shown once, else with an empty text.

    ``values`` by kind: ``name, events``, ``workflows`` (ids as texts, None for all), ``quiet_minutes``, ``is_on``;
    ``emails``; ``url``; for Slack ``url``, or ``credential`` (its name) and ``slack_channel``. Raises Invalid.
    """
    require_operation(actor, "alert.edit")
    found = checked(actor.tenant, kind, {"events": list(Event), **values})
    needed = [name for name in ("name", _NEEDED.get(kind, "name")) if name not in found]
    if needed:
        raise refused([Problem(path=needed[0], message=_("This is needed."), code="missing")])
    if AlertChannel.objects.for_tenant(actor.tenant).count() >= MOST_CHANNELS:
        message = _("A tenant has at most %(most)d channels. Delete one first.") % {"most": MOST_CHANNELS}
        raise refused([Problem(path="name", message=message, code="too_many")])
    channel = AlertChannel(tenant=actor.tenant, kind=kind)
    secret = new_secret() if kind is ChannelKind.WEBHOOK else ""
    _write(actor, channel, found, secret)
    _save(channel, insert=True)
    detail = {"kind": kind.value, "events": list(channel.events)}
    audit.record(actor=actor, action="alert_channel.created", target=channel, detail=detail)
    return channel, secret


@transaction.atomic
def channel_update(*, actor: Actor, channel: AlertChannel, changes: Mapping[str, Any]) -> AlertChannel:
    """Change a channel's settings, those that are given; what is the same is no change. Raises Invalid."""
    require_operation(actor, "alert.edit")
    channel = _locked(actor, channel)
    found = checked(actor.tenant, ChannelKind(channel.kind), changes)
    before = {name: getattr(channel, name, None) for name in found}
    if "events" in before:
        before["events"] = [event.value for event in channel.heard]
    changed = sorted(name for name, value in found.items() if name == "url" or before[name] != value)
    if not changed:
        return channel
    _write(actor, channel, found, _kept_secret(channel) if "url" in found else "")
    channel.updated_at = timezone.now()
    _save(channel)
    audit.record(actor=actor, action="alert_channel.changed", target=channel, detail={"changed": list(changed)})
    return channel


@transaction.atomic
def channel_delete(*, actor: Actor, channel: AlertChannel) -> None:
    """Delete a channel with the messages that are still on their way to it."""
    require_operation(actor, "alert.edit")
    audit.record(actor=actor, action="alert_channel.deleted", target=channel)
    AlertChannel.objects.for_tenant(actor.tenant).filter(pk=channel.pk).delete()


@transaction.atomic
def channel_renew_secret(*, actor: Actor, channel: AlertChannel) -> str:
    """Give a webhook another signing secret, which counts at once, and return it. Raises Conflict."""
    require_operation(actor, "alert.edit")
    channel = _locked(actor, channel)
    if channel.kind != ChannelKind.WEBHOOK:
        raise Conflict(_("Only the messages of a webhook are signed."), code="no_secret")
    secret = new_secret()
    try:
        url = target_open(channel).url
    except VaultError:
        raise Conflict(_("Its address cannot be opened: enter it again first."), code="unreadable") from None
    _seal(channel, Target(url=url, secret=secret))
    _save(channel)
    audit.record(actor=actor, action="alert_channel.secret_renewed", target=channel)
    return secret


def channel_test(*, actor: Actor, channel: AlertChannel) -> AlertDelivery:
    """Send a test message now and return it with what came of it. Blocks for some seconds. Raises Limited.

    It is tried once; it is not in a transaction, since it is sent here.
    """
    require_operation(actor, "alert.edit")
    delivery = _test_begin(actor, channel)
    outgoing = outgoing_of(delivery, renews=True)
    failure: NotSent | None = None
    if isinstance(outgoing, NotSent):
        failure = outgoing
    else:
        try:
            asyncio.run(send(outgoing))
        except NotSent as error:
            failure = error
        except Exception as error:
            failure = NotSent(_("It could not be sent (%(error)s).") % {"error": type(error).__name__})
    if failure is not None:
        failure.permanent = True
    claim = Claim(tenant_id=delivery.tenant_id, delivery_id=delivery.pk, attempt=1)
    delivery_note(claim=claim, failure=failure)
    return delivery.refresh()


@transaction.atomic
def _test_begin(actor: Actor, channel: AlertChannel) -> AlertDelivery:
    channel = _locked(actor, channel)
    now = timezone.now()
    of_late = AlertDelivery.objects.for_tenant(actor.tenant).filter(is_test=True, created_at__gt=now - _HOUR)
    if of_late.count() >= MOST_TESTS:
        message = _("%(most)d test messages an hour are sent. Try again later.") % {"most": MOST_TESTS}
        raise Limited(message, limit=MOST_TESTS, retry_after=int(_HOUR.total_seconds()))
    audit.record(actor=actor, action="alert_channel.tested", target=channel)
    # Claimed from the start: it is sent here, and by a worker only if this process ends over it.
    made = AlertDelivery.unscoped.create(
        tenant=actor.tenant,
        channel=channel,
        document=messages.test_document(tenant_names(actor.tenant), alerts_url(actor.tenant)),
        is_test=True,
        attempts=1,
        next_try_at=now,
        claimed_until=now + CLAIM,
    )
    return AlertDelivery.objects.for_tenant(actor.tenant).select_related("channel", "tenant").get(pk=made.pk)


def tenant_names(tenant: Tenant) -> dict[str, str]:
    """Return how messages name a tenant."""
    return {"slug": tenant.slug, "name": tenant.name}


def alerts_url(tenant: Tenant) -> str:
    """Return the address of the tenant's page of alerts, whole where BASE_URL is set."""
    return f"{settings.BASE_URL or ''}/w/{tenant.slug}/settings/alerts/"


def _write(actor: Actor, channel: AlertChannel, found: Mapping[str, Any], secret: str) -> None:
    """Set what was checked; the caller saves the row. Raises Invalid for a Slack channel that leads nowhere."""
    if found.get("credential") is not None and found["credential"].pk != channel.credential_id:
        require_use(actor, (found["credential"],))
    for name, value in found.items():
        if name != "url":
            setattr(channel, name, value)
    if "events" in found:
        channel.events_known = events_there_are()
    if "url" in found:
        _seal(channel, Target(url=found["url"], secret=secret))
        channel.credential, channel.slack_channel = None, ""
    elif found.get("credential") is not None:
        channel.sealed, channel.key_id, channel.host = None, "", ""
    if channel.kind == ChannelKind.SLACK and channel.sealed is None:
        _check_slack(channel)


def _check_slack(channel: AlertChannel) -> None:
    if channel.credential is None:
        message = _("Enter the address of a Slack webhook, or choose a credential and a channel.")
        raise refused([Problem(path="url", message=message, code="missing")])
    if not channel.slack_channel:
        message = _("Enter a channel like #alerts, or its id.")
        raise refused([Problem(path="slack_channel", message=message, code="missing")])


def _seal(channel: AlertChannel, target: Target) -> None:
    try:
        target_seal(channel, target)
    except UnknownKey:
        raise Conflict(
            _("It cannot be saved right now: the vault has no key. An operator has to set VAULT_KEYS; then try again."),
            code="no_key",
        ) from None
    parts = urlsplit(target.url)
    channel.host = f"{parts.scheme}://{parts.netloc}"[:255]


def _kept_secret(channel: AlertChannel) -> str:
    """Return the signing secret of a webhook whose address changes; a new one where the old one does not open."""
    if channel.kind != ChannelKind.WEBHOOK:
        return ""
    try:
        return target_open(channel).secret
    except VaultError:
        return new_secret()


def _locked(actor: Actor, channel: AlertChannel) -> AlertChannel:
    rows = AlertChannel.objects.for_tenant(actor.tenant).select_for_update(of=("self",)).filter(pk=channel.pk)
    found = rows.select_related("tenant").first()
    if found is None:
        raise NotFound(_("There is no such alert channel in this tenant."))
    return found


def _save(channel: AlertChannel, *, insert: bool = False) -> None:
    try:
        with transaction.atomic():
            channel.save(force_insert=insert)
    except IntegrityError:
        message = _("Another channel has this name; choose a different one.")
        raise refused([Problem(path="name", message=message, code="taken")]) from None
