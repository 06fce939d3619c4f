"""The tenant's home page: how today went, what needs this person, and the workflows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from orchestrator.alerts.kinds import Event
from orchestrator.alerts.models import Alert
from orchestrator.alerts.selectors import channels_failing, unheard
from orchestrator.builder.trigger_needs import triggers_failing
from orchestrator.builder.workflow_rows import BY_LAST_RUN, rows_of, rows_without_runs
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.tenants.shell import page
from orchestrator.tenants.views import LAST_TENANT
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.selectors import credentials_needing_a_person
from orchestrator.vault.sign_ins import sign_in_ready
from orchestrator.words import ago, clock
from orchestrator.workflows.examples import examples
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import returned_versions
from runs import overview
from runs.overview import Today
from runs.questions import Question, questions_for

log = logging.getLogger(__name__)

HOME_ROWS: Final = 8
# Of each kind of what needs a person.
MOST_NEEDS: Final = 10
_NUMBERS: Final = (
    noop("Two"), noop("Three"), noop("Four"), noop("Five"), noop("Six"), noop("Seven"), noop("Eight"), noop("Nine"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that waits for a person, and the one button that does the next thing."""

    status: str
    word: str
    name: str
    url: str
    reason: str
    button: str
    button_url: str


@require_safe
@tenant_page()
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how today went, what needs a person, and the workflows; without the runs where those cannot be read."""
    if request.session.get(LAST_TENANT) != actor.tenant.slug:
        request.session[LAST_TENANT] = actor.tenant.slug
    with timezone.override(actor.tenant.time_zone):
        try:
            context = _with_runs(actor)
        except DatabaseError:
            log.exception("The runs of a tenant cannot be read.")
            context = _without_runs(actor)
        context["greeting"] = _greeting()
    context["count"] = Workflow.objects.for_tenant(actor.tenant).count()
    context["first_name"] = actor.user.first_name or actor.user.get_username() if actor.user else actor.label
    if not context["count"]:
        context["examples"] = [(each["slug"], each["name"], each["description"]) for each in examples("")]
    return page(request, actor, "home/home.html", context, nav="home")


def _with_runs(actor: Actor) -> dict[str, Any]:
    tenant = actor.tenant
    needs = [*_returned(tenant), *_failing(tenant), *_triggers(tenant), *_unheard(tenant)]
    needs += [*_credentials(actor), *_questions(actor), *_alerts(actor)]
    latest = overview.with_last_run(tenant, Workflow.objects.for_tenant(tenant)).order_by(*BY_LAST_RUN)
    rows = rows_of(tenant, list(latest.values_list("pk", flat=True)[:HOME_ROWS]))
    sentence = _sentence(overview.today(tenant), len(needs), bool(rows))
    return {"needs": needs, "rows": rows, "sentence": sentence}


def _without_runs(actor: Actor) -> dict[str, Any]:
    sentence = _("Run history is not reachable. Runs themselves are not lost; try again in a moment.")
    rows = rows_without_runs(actor.tenant, HOME_ROWS)
    return {"needs": _credentials(actor), "rows": rows, "sentence": sentence, "unreachable": True}


def _returned(tenant: Tenant) -> list[Need]:
    """Return what is said of versions that went back by themselves; it is said until another one is live."""
    words = _("Version %(number)d went back to version %(live)d by itself: %(failed)d of %(runs)d runs failed.")
    found = []
    for version in returned_versions(tenant)[:MOST_NEEDS]:
        at, live = (tenant.slug, version.workflow_id), version.replaced.number if version.replaced else None
        found.append(
            Need(
                status="attention",
                word=_("Went back"),
                name=version.workflow.name,
                url=reverse("workflow", args=at),
                reason=words % {"number": version.number, "live": live, **(version.return_counts or {})},
                button=_("See what changed"),
                button_url=reverse("workflow-versions-compare", args=[*at, live, version.number]),
            )
        )
    return found


def _failing(tenant: Tenant) -> list[Need]:
    return [
        Need(
            status="failed",
            word=_("Failing"),
            name=found.workflow_name,
            url=reverse("workflow", args=[tenant.slug, found.workflow_id]),
            reason=_failing_words(found),
            button=_("See the run"),
            button_url=reverse("run", args=[tenant.slug, found.run_id]),
        )
        for found in overview.failing(tenant)[:MOST_NEEDS]
    ]


def _failing_words(found: overview.Failing) -> str:
    count = f"{found.count}+" if found.count >= overview.FAILURES_COUNTED else str(found.count)
    stopped = ngettext("%(count)s run stopped", "%(count)s runs stopped", found.count) % {"count": count}
    place = _("at “%(step)s”: %(message)s") if found.step else "%(message)s"
    return f"{stopped} {place % {'step': found.step, 'message': found.message}}"[:400]


def _triggers(tenant: Tenant) -> list[Need]:
    return [
        Need(
            status="failed",
            word=_("Trigger fails"),
            name=found.workflow,
            url=found.url,
            reason=found.reason,
            button=_("See the trigger"),
            button_url=found.trigger_url,
        )
        for found in triggers_failing(tenant, MOST_NEEDS)
    ]


def _credentials(actor: Actor) -> list[Need]:
    found = credentials_needing_a_person(actor.tenant)[:MOST_NEEDS]
    return [_credential(actor, credential) for credential in found]


def _credential(actor: Actor, credential: Credential) -> Need:
    url, may_edit = reverse("credential", args=[actor.tenant.slug, credential.pk]), actor.may(Role.EDITOR)
    reason = credential.health_message or (
        _("The provider refuses it.") if credential.health == Health.RECONNECT else _("It ends soon.")
    )
    # What is connected by signing in has its button there.
    connects = sign_in_ready(credential)
    return Need(
        status=credential.health,
        word="",
        name=credential.name,
        url=url,
        reason=reason,
        button=_("See it") if not may_edit else _("Connect") if connects else _("Enter a new one"),
        button_url=f"{url}?edit=1" if may_edit and not connects else url,
    )


def _questions(actor: Actor) -> list[Need]:
    return [_question(actor, question) for question in questions_for(actor, MOST_NEEDS)]


def _question(actor: Actor, question: Question) -> Need:
    run, row = question.asked.run, question.asked.row
    asked = _("asked %(when)s") % {"when": ago(row.finished_at or row.started_at)} if row else ""
    is_approval = question.asked.kind == "approval"
    what = question.message if is_approval else _("Did “%(step)s” happen?") % {"step": question.asked.place.name}
    return Need(
        status="waiting",
        word="",
        name=run.workflow.name,
        url=reverse("workflow", args=[actor.tenant.slug, run.workflow_id]),
        reason=", ".join(part for part in (what, asked) if part),
        button=_("Answer"),
        button_url=question.link or reverse("run", args=[actor.tenant.slug, run.pk]),
    )


def _unheard(tenant: Tenant) -> list[Need]:
    """Return the workflows that are silent, or missed times of their schedule."""
    return [_silent(tenant, alert) for alert in unheard(tenant, limit=MOST_NEEDS) if alert.workflow]


def _silent(tenant: Tenant, alert: Alert) -> Need:
    assert alert.workflow is not None
    at, since = [tenant.slug, alert.workflow_id], clock(alert.last_at) if alert.last_at else ""
    if alert.event == Event.SILENT:
        word, reason = _("Silent"), _("No run has succeeded since %(at)s.") % {"at": since}
        button, url = _("See its runs"), f"{reverse('run-list', args=[tenant.slug])}?workflow={alert.workflow_id}"
    else:
        missed = int(alert.detail["missed"]) + int(alert.detail["left_out"])
        words = ngettext(
            "%(count)d time of its schedule made no run, %(at)s.",
            "%(count)d times of its schedule made no run, %(at)s.",
            missed,
        )
        word, reason = _("Missed"), words % {"count": missed, "at": since}
        button, url = _("See the schedule"), reverse("workflow-trigger", args=[*at, alert.detail["key"]])
    return Need(
        status="attention",
        word=word,
        name=alert.workflow.name,
        url=reverse("workflow", args=at),
        reason=reason,
        button=button,
        button_url=url,
    )


def _alerts(actor: Actor) -> list[Need]:
    """Return the channels of alerts that do not reach anybody, for who may mend them."""
    if not actor.may(MINIMUM_ROLE["alert.edit"]):
        return []
    return [
        Need(
            status="attention",
            word=_("Not told"),
            name=channel.name,
            url=(url := reverse("alert-channel", args=[actor.tenant.slug, channel.pk])),
            reason=_("The last alert did not arrive: %(why)s") % {"why": channel.last_error},
            button=_("Mend it"),
            button_url=url,
        )
        for channel in channels_failing(actor.tenant)[:MOST_NEEDS]
    ]


def _greeting() -> str:
    hour = timezone.localtime().hour
    parts = ((5, noop("Good evening")), (12, noop("Good morning")), (18, noop("Good afternoon")))
    return _(next((words for limit, words in parts if hour < limit), noop("Good evening")))


def _sentence(today: Today, needs: int, any_workflow: bool) -> str:
    """Return the day in one sentence, and how much waits for a person."""
    if not any_workflow:
        return _("Nothing runs yet. Start with a request, or look at an example.")
    return f"{_today_words(today)} {_needs_words(needs)}"


def _today_words(today: Today) -> str:
    values = {"succeeded": f"{today.succeeded:,}", "total": f"{today.total:,}"}
    if not today.total:
        return _("No runs yet today.")
    if not today.is_all:
        return _("Of the last %(total)s runs, %(succeeded)s succeeded.") % values
    return _("%(succeeded)s of %(total)s runs succeeded today.") % values


def _needs_words(needs: int) -> str:
    if not needs:
        return _("Nothing needs you.")
    if needs == 1:
        return _("One thing needs you.")
    return _("%(count)s things need you.") % {"count": _(_NUMBERS[needs - 2]) if needs < 10 else needs}
