"""Requests to a webhook that started nothing, kept as examples for who builds the workflow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import transaction

from orchestrator.workflows.models import Trigger, Workflow
from runs.sample_rows import sample_keep
from runs.triggers.addresses import Address

if TYPE_CHECKING:
    from orchestrator.types import JSONValue


@transaction.atomic
def keep_sample(address: Address, document: Mapping[str, JSONValue]) -> None:
    """Keep a request as an example, as ``sample_rows.sample_keep`` does."""
    # The workflow before its trigger, as a publish does: the other way round, both would wait for ever.
    workflows = Workflow.objects.for_tenant(address.tenant_id).filter(pk=address.workflow_id)
    workflows.select_for_update(no_key=True).values_list("pk").first()
    rows = Trigger.objects.for_tenant(address.tenant_id).filter(pk=address.trigger_id)
    trigger = rows.only("workflow_id", "tenant_id").first()
    if trigger is None:
        return
    sample_keep(trigger, document)
