"""Keeping what a trigger got as an example: a module of its own, which a process that takes webhooks alone can load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from orchestrator import jsongate
from orchestrator.workflows.models import Trigger
from runs.models import Sample

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

SAMPLES_KEPT: Final = 10
MAX_SAMPLE_BYTES: Final = 64 * 1024


def sample_keep(trigger: Trigger, document: Mapping[str, JSONValue]) -> None:
    """Keep what a trigger got and started nothing as an example; of each trigger the last few stay.

    Without its body where it has more than MAX_SAMPLE_BYTES of JSON. Whoever calls this has locked the workflow's row.
    """
    kept = dict(document)
    if len(jsongate.dumps(kept).encode()) > MAX_SAMPLE_BYTES:
        kept["body"] = f"(more than {MAX_SAMPLE_BYTES:,} bytes, left out of the sample)"
        kept["headers"], kept["query"] = {}, {}
    made = Sample(tenant_id=trigger.tenant_id, workflow_id=trigger.workflow_id, trigger_id=trigger.pk, document=kept)
    made.save(force_insert=True)
    found = Sample.objects.for_tenant(trigger.tenant_id).filter(trigger=trigger).order_by("-id")
    found.filter(pk__in=list(found.values_list("pk", flat=True)[SAMPLES_KEPT:])).delete()
