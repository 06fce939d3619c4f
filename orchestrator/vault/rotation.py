"""Moving sealed values to the first key: counted by key, re-wrapped in batches, resumable at any point.

A rotation only wraps data keys again, so it reads no secret. It keeps no state of its own: what is not yet under the
first key is what is left to do, so one that was killed goes on when it is started again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Count

from orchestrator.vault import crypto
from orchestrator.vault.sealed import SealedColumn, columns

BATCH: Final = 200


@dataclass(frozen=True, kw_only=True)
class KeyUse:
    """How many values of a column one key wraps; ``known``: VAULT_KEYS has it, ``first``: new values get it."""

    column: str
    key_id: str
    values: int
    known: bool
    first: bool


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What one batch did; ``failed`` names values that could not be opened, like ``credential:17 (Tampered)``."""

    column: str
    moved: int
    failed: tuple[str, ...] = ()


def key_use() -> list[KeyUse]:
    """Return the use of every key, those of VAULT_KEYS first in their order, also where nothing uses them."""
    ring = [crypto.key_id(key) for key in settings.VAULT_KEYS]
    return [use for column in columns() for use in _uses(column, ring)]


def _uses(column: SealedColumn, ring: list[str]) -> Iterator[KeyUse]:
    counts = dict(column.rows().order_by().values_list(column.key_id).annotate(Count("pk")))
    for key_id in [*ring, *sorted(counts.keys() - set(ring))]:
        yield KeyUse(
            column=column.context,
            key_id=key_id,
            values=counts.get(key_id, 0),
            known=key_id in ring,
            first=ring[:1] == [key_id],
        )


def rotate(*, batch: int = BATCH) -> Iterator[Progress]:
    """Move every value to the first key, a transaction a batch; yield what each did.

    A value that cannot be opened is left as it is and named: the others must not wait for it.
    """
    current = crypto.current_key_id()
    for column in columns():
        after = 0
        while True:
            progress, after = _move_batch(column, current, after, batch)
            if progress is None:
                break
            yield progress


@transaction.atomic
def _move_batch(column: SealedColumn, current: str, after: int, batch: int) -> tuple[Progress | None, int]:
    """Move the next rows above id ``after``; return what was done, None at the end, and the last id."""
    rows = column.rows().exclude(**{column.key_id: current}).filter(pk__gt=after).order_by("pk")
    # Locked: a new secret that is saved meanwhile must not be overwritten with the old one.
    found = list(rows.select_for_update().only(*column.blobs())[:batch])
    if not found:
        return None, after
    failed = []
    for row in found:
        try:
            blob, tenant_id = getattr(row, column.blob), column.tenant_of(row)
            sealed = crypto.rewrap(blob, tenant_id=tenant_id, context=column.place(row.pk))
        except crypto.VaultError as error:
            failed.append(f"{column.place(row.pk)} ({type(error).__name__})")
        else:
            column.rows().filter(pk=row.pk).update(**{column.blob: sealed.blob, column.key_id: sealed.key_id})
    return (
        Progress(column=column.context, moved=len(found) - len(failed), failed=tuple(failed)),
        found[-1].pk,
    )
