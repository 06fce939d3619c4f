"""Which credentials the triggers of a draft name, and another name in place of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from orchestrator import jsongate
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Trigger, Workflow

_NAME = "credential"


def named_in(config: Any) -> str:
    """Return the name of the credential that a trigger's config holds, its own or its signature's; empty for none."""
    for part in (config, config.get("signature") if isinstance(config, Mapping) else None):
        name = part.get(_NAME) if isinstance(part, Mapping) else None
        if isinstance(name, str) and name:
            return name
    return ""


def triggers_with_credentials(tenant: Tenant | int, name: str | None = None) -> QuerySet[Trigger]:
    """Return the draft's triggers that may name a credential, or that of this name: ``named_in`` says if they do."""
    rows = Trigger.objects.for_tenant(tenant).filter(in_draft=True, config__contains=f'"{_NAME}"')
    return rows if name is None else rows.filter(config__contains=jsongate.dumps(name))


def give_another(trigger: Trigger, other: str) -> None:
    """Let a draft's trigger name another credential, and save it."""
    config = trigger.config
    signature = config.get("signature")
    if isinstance(signature, Mapping) and signature.get(_NAME):
        trigger.config = {**config, "signature": {**signature, _NAME: other}}
    else:
        trigger.config = {**config, _NAME: other}
    trigger.save(update_fields=["config"])


def lock_naming(tenant: Tenant, name: str) -> None:
    """Lock the workflows whose triggers name a credential, in one order; before the credential, as a save does."""
    ids = {row.workflow_id for row in triggers_with_credentials(tenant, name).only("workflow_id")}
    if ids:
        list(Workflow.objects.for_tenant(tenant).filter(pk__in=ids).order_by("pk").select_for_update(of=("self",)))


def renamed(tenant: Tenant, before: str, after: str) -> None:
    """Let drafts follow the new name of a credential that their triggers name."""
    for trigger in triggers_with_credentials(tenant, before):
        if named_in(trigger.config) == before:
            give_another(trigger, after)
