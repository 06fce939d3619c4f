"""Settings → General: the tenant's name, time zone, limits and reachable hosts; admins change them, others read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import available_timezones

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods

from orchestrator.errors import Invalid, Problem
from orchestrator.tenants import services
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE, require_operation
from orchestrator.tenants.shell import page

_LIMITS: Final = ("max_concurrent_runs", "runs_per_minute", "retention_days")
_MOST: Final = 1_000_000_000
_LONGEST: Final = 20_000
# Aliases of another zone, and zones without a place, which nobody lives in.
_NO_PLACES: Final = ("Etc/", "posix/", "right/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")
_WORDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "name": (noop("Name"), "text", noop("What people call it, in the menu and in messages.")),
    "time_zone": (noop("Time zone"), "choice", noop("Times on the pages are shown in it.")),
    "max_concurrent_runs": (
        noop("Runs at once"),
        "number",
        noop("How many runs of all workflows may be under way; more wait for their turn. Empty means any number."),
    ),
    "runs_per_minute": (
        noop("Runs a minute"),
        "number",
        noop("How many runs may be started in a minute, however they are; more are refused. Empty means any number."),
    ),
    "retention_days": (
        noop("Days that ended runs are kept"),
        "number",
        noop("A workflow may have its own. Empty means for ever."),
    ),
    "egress_allow": (
        noop("Hosts that steps may reach"),
        "area",
        noop("One a line, like api.example.com or *.example.com. Empty means every public host."),
    ),
}

_EMPTY: Final = {"egress_allow": noop("Every public host"), "retention_days": noop("For ever")}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of the form, with what was entered and what is wrong with it; ``words`` is the value as it is read."""

    name: str
    label: str
    kind: str
    help: str
    value: str
    words: str
    error: str = ""
    choices: tuple[str, ...] = ()


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page()
def general(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the tenant's settings, or change them."""
    if request.method != "POST":
        return _page(request, actor)
    require_operation(actor, "tenant.edit")
    try:
        entered = _entered(request.POST)
        changes = {name: value for name, value in entered.items() if value != getattr(actor.tenant, name)}
        if changes:
            services.tenant_update(actor=actor, changes=changes)
    except Invalid as error:
        return _page(request, actor, entered=request.POST, said=error.message, problems=error.problems, status=400)
    messages.success(request, _("Saved."))
    return redirect("settings", actor.tenant.slug)


def _page(
    request: HttpRequest,
    actor: Actor,
    *,
    entered: Mapping[str, str] | None = None,
    said: str = "",
    problems: tuple[Problem, ...] = (),
    status: int = 200,
) -> HttpResponse:
    fields = _fields(actor.tenant, entered, problems)
    context: dict[str, Any] = {
        "fields": fields,
        "invalid": [field for field in fields if field.error],
        "said": said,
        "may_edit": actor.may(MINIMUM_ROLE["tenant.edit"]),
        "may_require": actor.may(MINIMUM_ROLE["factor.require"]),
    }
    return page(request, actor, "settings/general.html", context, nav="settings", status=status)


def _fields(tenant: Tenant, entered: Mapping[str, str] | None, problems: tuple[Problem, ...]) -> list[Field]:
    """Return the form: what was entered if something was, else what is kept."""
    errors = {problem.path: problem.message for problem in reversed(problems)}
    kept = _kept(tenant)
    return [
        Field(
            name=name,
            label=_(label),
            kind=kind,
            help=_(help_),
            value=entered.get(name, kept[name])[:_LONGEST] if entered is not None else kept[name],
            words=kept[name] or _(_EMPTY.get(name, noop("No limit"))),
            error=errors.get(name, ""),
            choices=_zones(tenant.time_zone) if name == "time_zone" else (),
        )
        for name, (label, kind, help_) in _WORDS.items()
    ]


def _kept(tenant: Tenant) -> dict[str, str]:
    numbers = {name: getattr(tenant, name) for name in _LIMITS}
    return {
        "name": tenant.name,
        "time_zone": tenant.time_zone,
        "egress_allow": "\n".join(tenant.egress_allow or ()),
        **{name: "" if number is None else str(number) for name, number in numbers.items()},
    }


def _zones(kept: str) -> tuple[str, ...]:
    """Return the time zones that are offered, the kept one in any case: the form would change it else."""
    places = {name for name in available_timezones() if "/" in name and not name.startswith(_NO_PLACES)}
    return tuple(sorted(places | {"UTC", kept}))


def _entered(data: Mapping[str, str]) -> dict[str, Any]:
    """Return what was entered, by field. Raises Invalid naming every field with a number that is none."""
    found: dict[str, Any] = {name: data[name].strip()[:_LONGEST] for name in ("name", "time_zone") if name in data}
    if "egress_allow" in data:
        lines = [line.strip() for line in data["egress_allow"][:_LONGEST].splitlines()]
        found["egress_allow"] = list(dict.fromkeys(line for line in lines if line))
    problems = []
    for name in _LIMITS:
        text = data.get(name, "").strip()
        if text and not (text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) <= _MOST):
            problems.append(Problem(path=name, message=_("Enter a whole number from 1, or nothing."), code="number"))
        elif name in data:
            found[name] = int(text) if text else None
    if problems:
        raise Invalid(_("Nothing was saved."), problems=problems)
    return found
