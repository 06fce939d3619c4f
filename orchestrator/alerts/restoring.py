"""After a backup was restored: what was on record as still to be told has most likely been told since it was made.

Whoever heard of it must not hear of it again as if it were news. What goes on being wrong stands on the pages, and what
becomes wrong from now on is told as ever.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from orchestrator.alerts.composing import alerts_take_as_told
from orchestrator.alerts.kinds import Event
from orchestrator.alerts.models import Alert, AlertChannel, AlertDelivery
from orchestrator.tenants.models import Tenant


@transaction.atomic
def alerts_settle(*, tenant: Tenant, now: datetime) -> int:
    """Leave a tenant's messages unsent, and take what stands as told; return how many messages. Safe to repeat."""
    rows = AlertDelivery.objects.for_tenant(tenant).filter(status=AlertDelivery.Status.PENDING)
    left = rows.update(
        status=AlertDelivery.Status.SKIPPED,
        next_try_at=None,
        claimed_until=None,
        finished_at=now,
        error=_("Not sent: the database was restored from a backup, and this was most likely sent before."),
    )
    channels = AlertChannel.objects.for_tenant(tenant).filter(is_on=True).defer("sealed")
    alerts_take_as_told(tenant=tenant, channels=list(channels), now=now)
    # What succeeded since is not on record either: whoever seems silent now is watched anew.
    Alert.objects.for_tenant(tenant).filter(event=Event.SILENT, firing=False).update(last_at=now)
    return left
