"""Settings → Alerts: where alerts go; admins change it, try it and see what arrived, others read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from orchestrator.alerts import services
from orchestrator.alerts.forms import form_of, values_of
from orchestrator.alerts.kinds import EVENT_WORDS, KIND_WORDS, ChannelKind, Event
from orchestrator.alerts.mail import is_configured
from orchestrator.alerts.messages import headline
from orchestrator.alerts.models import AlertChannel, AlertDelivery
from orchestrator.alerts.selectors import channel_list, delivery_list
from orchestrator.errors import Conflict, Invalid, Limited, ServiceError
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.shell import page

_DELIVERIES: Final = 10
# How each state of a message looks: the pill's class, its icon and its word.
_FACES: Final[Mapping[str, tuple[str, str, str]]] = {
    AlertDelivery.Status.PENDING.value: ("live", "clock", noop("On its way")),
    AlertDelivery.Status.SENT.value: ("ok", "check", noop("Arrived")),
    AlertDelivery.Status.FAILED.value: ("bad", "alert", noop("Did not arrive")),
    AlertDelivery.Status.SKIPPED.value: ("idle", "pause", noop("Not sent")),
}
_AGAIN: Final = ("bad", "clock", noop("Is tried again"))


@require_safe
@tenant_page(MINIMUM_ROLE["alert.read"])
def channels(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the channels with what became of the last message of each."""
    context = {
        "rows": [_row(channel) for channel in channel_list(actor.tenant)],
        "kinds": [(kind.value, _(words)) for kind, words in KIND_WORDS.items()],
        "may_edit": actor.may(MINIMUM_ROLE["alert.edit"]),
        **_operator(),
    }
    return page(request, actor, "settings/alerts.html", context, nav="settings")


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(MINIMUM_ROLE["alert.edit"])
def channel_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the form of a kind of channel, or make one; a webhook's answer is the only page that shows its secret."""
    asked = request.POST.get("kind") or request.GET.get("kind", "")
    if asked not in set(ChannelKind):
        return redirect("alerts", actor.tenant.slug)
    kind = ChannelKind(asked)
    if request.method != "POST":
        return _form_page(request, actor, kind)
    try:
        made, secret = services.channel_create(actor=actor, kind=kind, values=values_of(kind, request.POST))
    except (Invalid, Conflict) as error:
        return _form_page(request, actor, kind, entered=request.POST, refused=error)
    if secret:
        return _form_page(request, actor, kind, channel=made, secret=secret, status=201)
    messages.success(request, _("The channel is made. Send a test message to see that it arrives."))
    return redirect("alert-channel", actor.tenant.slug, made.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(MINIMUM_ROLE["alert.edit"])
def channel(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show a channel's settings and its last messages, or change the settings."""
    found = get_for_tenant_or_404(AlertChannel, actor.tenant, pk=pk)
    kind = ChannelKind(found.kind)
    if request.method != "POST":
        return _form_page(request, actor, kind, channel=found)
    try:
        services.channel_update(actor=actor, channel=found, changes=values_of(kind, request.POST))
    except (Invalid, Conflict) as error:
        return _form_page(request, actor, kind, channel=found, entered=request.POST, refused=error)
    messages.success(request, _("Saved."))
    return redirect("alert-channel", actor.tenant.slug, pk)


@require_POST
@tenant_page(MINIMUM_ROLE["alert.edit"])
def channel_try(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Send a test message, and say what came of it."""
    found = get_for_tenant_or_404(AlertChannel, actor.tenant, pk=pk)
    try:
        delivery = services.channel_test(actor=actor, channel=found)
    except Limited as error:
        messages.error(request, error.message)
    else:
        if delivery.status == AlertDelivery.Status.SENT:
            messages.success(request, _("The test message was taken. See whether it is there."))
        else:
            messages.error(request, _("The test message did not arrive: %(why)s") % {"why": delivery.error})
    return redirect("alert-channel", actor.tenant.slug, pk)


@require_POST
@tenant_page(MINIMUM_ROLE["alert.edit"])
def channel_secret(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Give a webhook another signing secret; this answer is the only page that shows it."""
    found = get_for_tenant_or_404(AlertChannel, actor.tenant, pk=pk)
    try:
        secret = services.channel_renew_secret(actor=actor, channel=found)
    except Conflict as error:
        messages.error(request, error.message)
        return redirect("alert-channel", actor.tenant.slug, pk)
    return _form_page(request, actor, ChannelKind(found.kind), channel=found.refresh(), secret=secret, status=201)


@require_POST
@tenant_page(MINIMUM_ROLE["alert.edit"])
def channel_remove(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Delete a channel."""
    found = get_for_tenant_or_404(AlertChannel, actor.tenant, pk=pk)
    services.channel_delete(actor=actor, channel=found)
    messages.success(request, _("Deleted “%(name)s”. Nothing is sent there any more.") % {"name": found.name})
    return redirect("alerts", actor.tenant.slug)


def _form_page(
    request: HttpRequest,
    actor: Actor,
    kind: ChannelKind,
    *,
    channel: AlertChannel | None = None,
    entered: QueryDict | None = None,
    refused: ServiceError | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    errors = {problem.path: problem.message for problem in reversed(refused.problems)} if refused else {}
    context = {
        "form": form_of(actor.tenant, kind, channel, entered, errors),
        "kind_words": _(KIND_WORDS[kind]),
        "channel": channel,
        "said": refused.message if refused else "",
        "secret": secret,
        "deliveries": [_delivery(each) for each in delivery_list(channel)[:_DELIVERIES]] if channel else [],
        **_operator(),
    }
    status = refused.status if refused else status
    return page(request, actor, "settings/alert_channel.html", context, nav="settings", status=status)


def _operator() -> dict[str, bool]:
    """Return what the operator has to set before messages are what they can be."""
    return {"has_mail": is_configured(), "has_links": bool(settings.BASE_URL)}


def _row(channel: Any) -> dict[str, Any]:
    events = [_(EVENT_WORDS[event][0]) for event in channel.heard]
    return {
        "channel": channel,
        "kind": _(KIND_WORDS[ChannelKind(channel.kind)]),
        "target": target_words(channel),
        "events": _("Everything") if len(events) == len(Event) else ", ".join(events),
        "face": _face(channel.last_status, channel.last_error) if channel.last_status else None,
        "lacks_mail": channel.kind == ChannelKind.EMAIL and not is_configured(),
    }


def target_words(channel: AlertChannel) -> str:
    """Return where a channel leads, as far as that is no secret."""
    if channel.kind == ChannelKind.EMAIL:
        return ", ".join(channel.emails)
    if channel.host:
        return channel.host
    name = channel.credential.name if channel.credential else _("a credential that was deleted")
    return f"{channel.slack_channel} ({name})"


def _face(status: str, error: str) -> dict[str, str]:
    is_again = status == AlertDelivery.Status.PENDING and error
    css, icon, word = _AGAIN if is_again else _FACES[status]
    return {"css": css, "icon": icon, "word": _(word), "error": error}


def _delivery(delivery: AlertDelivery) -> dict[str, Any]:
    return {
        "at": delivery.created_at,
        "headline": headline(delivery.document),
        "attempts": delivery.attempts,
        **_face(delivery.status, delivery.error),
    }
