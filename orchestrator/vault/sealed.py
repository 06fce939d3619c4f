"""Which columns hold sealed values: each app names its own, so that a rotation reaches them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps

from orchestrator.tenants.scoping import TenantOwned


@dataclass(frozen=True, kw_only=True)
class SealedColumn:
    """A sealed column of a tenant-owned model, like ``vault.Credential``.

    ``context`` is the first half of the place that a value is sealed for; the row's id is the other.
    """

    model: str
    blob: str
    key_id: str
    context: str

    def place(self, row_id: int) -> str:
        """Return the context that the row's value is sealed with, like ``credential:17``."""
        return f"{self.context}:{row_id}"

    def rows(self) -> Any:
        """Return every tenant's rows that hold a value."""
        model = apps.get_model(self.model)
        assert issubclass(model, TenantOwned)
        return model.unscoped.exclude(**{self.key_id: ""})


_columns: Final[dict[str, SealedColumn]] = {}


def register(column: SealedColumn) -> None:
    """Add a column; called from an app's ``ready``. Raises ValueError when another has its context."""
    known = _columns.setdefault(column.context, column)
    if known != column:
        raise ValueError(f"{column.model} and {known.model} both seal for {column.context!r}: rename one context.")


def columns() -> Iterable[SealedColumn]:
    """Return every registered column."""
    return tuple(_columns.values())
