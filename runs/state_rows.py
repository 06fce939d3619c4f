"""What actions keep for their run, workflow or credential: ``ctx.state``, as rows."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import F, QuerySet

from integrations.sdk.state import MAX_STATE_KEYS, Change, ScopeName, too_many_keys
from orchestrator.vault.models import Credential
from runs.models import StepState


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose value it is: a run's, a workflow's or a credential's."""

    tenant_id: int
    scope: ScopeName
    pk: int

    def rows(self) -> QuerySet[StepState]:
        return StepState.objects.for_tenant(self.tenant_id).filter(**{f"{self.scope}_id": self.pk})

    def row(self, key: str, change: Change, mark: str) -> StepState:
        return StepState(
            tenant_id=self.tenant_id, **{f"{self.scope}_id": self.pk}, key=key, value=change.text or "null", mark=mark
        )


def state_read(owner: Owner, key: str) -> tuple[str, int]:
    """Return a value's JSON and its revision, 0 where there is none."""
    return owner.rows().filter(key=key).values_list("value", "revision").first() or ("null", 0)


def state_write(owner: Owner, key: str, change: Change, *, mark: str) -> bool:
    """Change a value; return whether it was as the change wants it. Call it in a transaction.

    ``mark`` names this very change: one that is written again, because the answer of its commit was lost, is not taken
    for somebody else's. Raises Permanent for one key too many.
    """
    rows = owner.rows().filter(key=key)
    if change.text is None:
        found = rows if change.revision is None else rows.filter(revision=change.revision)
        return bool(found.delete()[0]) or change.revision is None or not rows.exists()
    found = rows if change.revision is None else rows.filter(revision=change.revision)
    if found.update(value=change.text, revision=F("revision") + 1, mark=mark):
        return True
    if change.revision:
        return rows.filter(mark=mark).exists()
    if not rows.exists():
        if owner.scope == "credential" and not _has_credential(owner):
            # Deleted meanwhile: its values would be nobody's.
            return True
        if owner.rows().count() >= MAX_STATE_KEYS:
            raise too_many_keys()
        StepState.objects.for_tenant(owner.tenant_id).bulk_create([owner.row(key, change, mark)], ignore_conflicts=True)
    if rows.filter(mark=mark).exists():
        return True
    # Somebody else's value came first.
    return change.revision is None and bool(rows.update(value=change.text, revision=F("revision") + 1, mark=mark))


def _has_credential(owner: Owner) -> bool:
    return Credential.objects.for_tenant(owner.tenant_id).filter(pk=owner.pk).exists()
