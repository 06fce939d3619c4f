"""Which columns hold sealed values: each app names its own, so that a rotation reaches them all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.apps import apps
from django.db import models

from orchestrator.tenants.scoping import TenantOwned

NO_TENANT: Final = 0


@dataclass(frozen=True, kw_only=True)
class SealedColumn:
    """A sealed column of a tenant-owned model, like ``vault.Credential``, or of one that is of people.

    What is of people is sealed for the tenant 0, which no tenant has. ``context`` is the first half of the place that a
    value is sealed for; the row's id is the other.
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
        return self._model()._default_manager.exclude(**{self.key_id: ""})

    def blobs(self) -> tuple[str, ...]:
        """Return the fields that a value is opened with."""
        return ("pk", "tenant_id", self.blob) if issubclass(self._model(), TenantOwned) else ("pk", self.blob)

    def tenant_of(self, row: Any) -> int:
        """Return the tenant that a row's value is sealed for."""
        return int(getattr(row, "tenant_id", NO_TENANT))

    def _model(self) -> type[models.Model]:
        return apps.get_model(self.model)


_columns: Final[dict[str, SealedColumn]] = {}


def register(column: SealedColumn) -> None:
    """Add a column; called from an app's ``ready``. Raises ValueError when another has its context."""
    known = _columns.setdefault(column.context, column)
    if known != column:
        raise ValueError(f"{column.model} and {known.model} both seal for {column.context!r}: rename one context.")


def columns() -> Iterable[SealedColumn]:
    """Return every registered column."""
    return tuple(_columns.values())
