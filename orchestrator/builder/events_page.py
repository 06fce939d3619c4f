"""The developers' page of what goes wrong: the last week's failures by action and kind of error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from integrations.registry import registry
from integrations.sdk import Action
from orchestrator.builder.reference import action_url
from orchestrator.builder.spoken import words_of
from orchestrator.ids import moment_of
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.shell import page
from runs.failures import Failure, failures
from runs.pages.words import KIND_WORDS


@dataclass(frozen=True, kw_only=True)
class Row:
    """A group of failures, with what the registry knows of its action; ``url`` is empty for one that it lacks."""

    failure: Failure
    name: str
    url: str
    kind: str
    when: datetime
    run_url: str


@require_safe
@tenant_page()
def events(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show what failed, the most frequent first, each with its newest run."""
    found = failures(actor.tenant)
    context = {"found": found, "rows": [_row(actor, failure) for failure in found.groups]}
    return page(request, actor, "developers/events.html", context, nav="developers")


def _row(actor: Actor, failure: Failure) -> Row:
    action = registry.get(failure.action)
    return Row(
        failure=failure,
        name=_name(failure, action),
        url=action_url(actor.tenant, action) if action else "",
        kind=_(KIND_WORDS[failure.kind]) if failure.kind in KIND_WORDS else failure.kind or _("failed"),
        when=moment_of(failure.run_id),
        run_url=reverse("run", args=[actor.tenant.slug, failure.run_id]),
    )


def _name(failure: Failure, action: Action | None) -> str:
    if action is not None:
        return words_of(action).full
    return failure.action or _("The run as a whole")
