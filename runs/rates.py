"""How many runs a minute may be started: of a whole tenant, and of one webhook.

Counted on the rows, so that any number of processes agree and nothing has to be kept beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Count, Min, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Limited
from orchestrator.ids import first_id_at, moment_of
from orchestrator.tenants.models import Tenant
from runs.models import Run

WINDOW: Final = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What is left of a limit: ``remaining`` runs may be started now, one more in ``reset`` seconds."""

    limit: int
    remaining: int
    reset: int


def rate_of(tenant: Tenant | int, limit: int, *, workflow: int | None = None, trigger_key: str | None = None) -> Rate:
    """Return what is left of ``limit`` runs a minute, of the tenant's or of one trigger's; one query."""
    now = timezone.now()
    newest = _newest(tenant, workflow, trigger_key).filter(pk__gte=first_id_at(now - WINDOW)).values("pk")[:limit]
    found = newest.aggregate(count=Count("pk"), first=Min("pk"))
    if not found["count"]:
        return Rate(limit=limit, remaining=limit, reset=0)
    # The oldest of those that count is the first to count no more.
    free = (moment_of(found["first"]) + WINDOW - now).total_seconds()
    return Rate(limit=limit, remaining=limit - found["count"], reset=max(1, math.ceil(free)))


def check_tenant_rate(tenant: Tenant) -> None:
    """Refuse a run more than the tenant may start in a minute, by hand or by the API. Raises Limited."""
    if tenant.runs_per_minute is None:
        return
    rate = rate_of(tenant, tenant.runs_per_minute)
    if rate.remaining <= 0:
        said = _("%(tenant)s starts at most %(most)d runs a minute. Try again in %(wait)d seconds.")
        message = said % {"tenant": tenant.name, "most": rate.limit, "wait": rate.reset}
        raise Limited(message, limit=rate.limit, retry_after=rate.reset)


def _newest(tenant: Tenant | int, workflow: int | None, trigger_key: str | None) -> QuerySet[Run]:
    rows = Run.objects.for_tenant(tenant).order_by("-pk")
    return rows if workflow is None else rows.filter(workflow=workflow, trigger_key=trigger_key or "")
