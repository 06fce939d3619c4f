"""Live triggers by which nothing comes just now, and what a person can do: for the tenant's home page."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.registry import registry
from orchestrator.alerts.kinds import TROUBLES
from orchestrator.builder.spoken import words_of
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger
from runs.poll_rows import polls_failing
from runs.subscription_state import subscriptions_needing_a_person, told, trouble_of


@dataclass(frozen=True, kw_only=True)
class TriggerFailing:
    """A trigger that fails: of which workflow, why, and where it is seen to."""

    workflow: str
    url: str
    reason: str
    trigger_url: str


def triggers_failing(tenant: Tenant, most: int) -> list[TriggerFailing]:
    """Return the triggers that fail, at most so many of either kind; two queries."""
    found: list[TriggerFailing] = []
    for trigger, error in polls_failing(tenant, most):
        found.append(_failing(tenant, trigger, "poll", told(error)))
    for row in subscriptions_needing_a_person(tenant, timezone.now())[:most]:
        assert row.trigger is not None
        how, why, _since = trouble_of(row)
        found.append(_failing(tenant, row.trigger, how, why))
    return found


def _failing(tenant: Tenant, trigger: Trigger, how: str, why: str) -> TriggerFailing:
    found = registry.trigger(str((trigger.live_config or trigger.config).get("trigger")))
    name = words_of(found).name if found else trigger.key
    at = (tenant.slug, trigger.workflow_id)
    return TriggerFailing(
        workflow=trigger.workflow.name,
        url=reverse("workflow", args=at),
        reason=(_(TROUBLES[how]) % {"trigger": f"“{name}”", "why": why})[:400],
        trigger_url=reverse("workflow-trigger", args=[*at, trigger.key]),
    )
