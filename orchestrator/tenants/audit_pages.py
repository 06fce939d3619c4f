"""Settings → Audit log: what people and tokens changed, narrowed by the address, and as a file; for admins."""

from __future__ import annotations

from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.audit_log import Narrow, audit_export, audit_offers, audit_page, day_start
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.shell import page, private

_FILTERS: Final = ("who", "what", "from", "to")
_TYPES: Final = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}


@require_safe
@tenant_page(MINIMUM_ROLE["audit.read"])
def audit_log(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the events, newest first, 50 a page; ``who``, ``what``, ``from`` and ``to`` are in the address."""
    entered = {name: request.GET.get(name, "").strip()[:200] for name in _FILTERS}
    with timezone.override(actor.tenant.time_zone):
        narrow, wrong = _narrow(entered)
    shown = audit_page(actor.tenant, narrow, older=_id(request, "older"), newer=_id(request, "newer"))
    url = reverse("audit-log", args=[actor.tenant.slug])
    kept = {name: value for name, value in entered.items() if value}
    who, what = audit_offers(actor.tenant)
    context: dict[str, Any] = {
        "events": shown.events,
        "entered": entered,
        "since": entered["from"],
        "until": entered["to"],
        "wrong": wrong,
        "narrowed": bool(kept),
        "url": url,
        "older": f"{url}?{urlencode({**kept, 'older': shown.older})}" if shown.older is not None else "",
        "newer": f"{url}?{urlencode({**kept, 'newer': shown.newer})}" if shown.newer is not None else "",
        "offers": {"who": who, "what": what},
    }
    return page(request, actor, "settings/audit.html", context, nav="settings")


@require_POST
@tenant_page(MINIMUM_ROLE["audit.read"])
def audit_file(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Return the narrowed events as a file to keep."""
    form = request.POST.get("format", "")
    if form not in _TYPES:
        raise Invalid(_("This kind of file is not offered. Choose CSV or NDJSON."))
    entered = {name: request.POST.get(name, "").strip()[:200] for name in _FILTERS}
    with timezone.override(actor.tenant.time_zone):
        narrow, wrong = _narrow(entered)
        name = f"audit-{actor.tenant.slug}-{timezone.localtime():%Y%m%d-%H%M%S}.{form}"
    if wrong:
        raise Invalid(" ".join(wrong.values()))
    response = StreamingHttpResponse(audit_export(actor=actor, narrow=narrow, form=form), content_type=_TYPES[form])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return private(response)


def _narrow(entered: dict[str, str]) -> tuple[Narrow, dict[str, str]]:
    """Return what is asked for, and what is wrong with a date by its field; a wrong one narrows nothing."""
    days: dict[str, date | None] = {}
    wrong = {}
    for name in ("from", "to"):
        try:
            days[name] = date.fromisoformat(entered[name]) if entered[name] else None
        except ValueError:
            days[name] = None
            wrong[name] = _("Write the day like 2026-12-31.")
    who, what = (entered[name].replace("\x00", "") for name in ("who", "what"))
    since, until = days["from"], days["to"]
    return Narrow(who=who, what=what, since=day_start(since), until=day_start(until, days_after=1)), wrong


def _id(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None
    return number if number is not None and number < 2**63 else None
