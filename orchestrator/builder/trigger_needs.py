"""Live triggers by which nothing comes just now, and what a person can do: for the tenant's home page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from integrations.registry import registry
from orchestrator.builder.subscribed import told
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger
from runs.models import Subscription
from runs.poll_rows import polls_failing
from runs.subscription_state import subscriptions_needing_a_person


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
        found.append(_failing(tenant, trigger, _("%(trigger)s cannot be asked: %(why)s"), told(error)))
    for row in subscriptions_needing_a_person(tenant, timezone.now())[:most]:
        found.extend(_unsubscribed(tenant, row))
    return found


def _unsubscribed(tenant: Tenant, row: Subscription) -> Iterator[TriggerFailing]:
    if row.trigger is None:
        return
    if row.error is not None:
        yield _failing(tenant, row.trigger, _("%(trigger)s is not subscribed: %(why)s"), told(row.error))
    elif row.unread is not None:
        words = _("%(trigger)s cannot read what comes: %(why)s")
        yield _failing(tenant, row.trigger, words, str(row.unread.get("message")))
    elif row.credential_name and row.credential_id is None:
        words = _("%(trigger)s lost its credential %(why)s. Choose another, and publish.")
        yield _failing(tenant, row.trigger, words, row.credential_name)
    else:
        yield _failing(tenant, row.trigger, _("The subscription of %(trigger)s has ended.%(why)s"), "")


def _failing(tenant: Tenant, trigger: Trigger, words: str, why: str) -> TriggerFailing:
    declared = registry.trigger(str((trigger.live_config or trigger.config).get("trigger")))
    at = (tenant.slug, trigger.workflow_id)
    return TriggerFailing(
        workflow=trigger.workflow.name,
        url=reverse("workflow", args=at),
        reason=(words % {"trigger": f"“{declared.name if declared else trigger.key}”", "why": why})[:400],
        trigger_url=reverse("workflow-trigger", args=[*at, trigger.key]),
    )
