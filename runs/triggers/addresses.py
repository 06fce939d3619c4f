"""What a webhook's or a form's address leads to: read once, and confirmed in each transaction that starts runs by it.

A process remembers addresses that lead to a live workflow, so that a request needs no query of its own. What it
remembers decides nothing: a run is inserted only where the rows are still the same, so switching off, publishing and
deleting act at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

from django.db import connection
from django.db.models import Q

from orchestrator.flow.names import TriggerType
from orchestrator.workflows.digests import address_digest
from orchestrator.workflows.models import Trigger

MOST_REMEMBERED: Final = 2_000
_COLUMNS: Final = (
    "address_digest", "pk", "tenant_id", "key", "config", "live_config", "workflow_id", "workflow__enabled",
    "workflow__published_version_id", "tenant__runs_per_minute", "type",
)  # fmt: skip

_CALLED: Final = (TriggerType.WEBHOOK.value, TriggerType.EVENT.value, TriggerType.FORM.value)
# What ``/h/`` leads to.
_HOOKS: Final = (TriggerType.WEBHOOK, TriggerType.EVENT)

Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Address:
    """What an address leads to. ``row`` is what the database said, as it said it: see ``rows_now``."""

    digest: str
    trigger_id: int
    tenant_id: int
    key: str
    config: Mapping[str, Any]
    workflow_id: int
    enabled: bool
    version_id: int | None
    tenant_limit: int | None
    type: TriggerType
    row: Row

    @property
    def is_published(self) -> bool:
        return self.version_id is not None

    @property
    def is_plain(self) -> bool:
        """Whether a request only has to be kept and accepted: its config asks for nothing but methods."""
        return (
            self.type is TriggerType.WEBHOOK
            and self.tenant_limit is None
            and all(
                name == "methods" or value is None or (name, value) == ("response", "accepted")
                for name, value in self.config.items()
            )
        )


def find_address(token: str, kinds: Collection[TriggerType] = _HOOKS) -> Address | None:
    """Return what the address of a trigger of one of these types leads to.

    Found by its hash, so that the time it takes tells nothing of it.
    """
    digest = address_digest(token)
    row = rows_now([digest]).get(digest)
    found = None if row is None else _address(row)
    return found if found is not None and found.type in kinds else None


def rows_now(digests: Collection[str]) -> dict[str, Row]:
    """Return the rows of triggers by the hash of their address, as the database has them; one query."""
    statement, parameters = _statement(len(digests))
    with connection.cursor() as cursor:
        cursor.execute(statement, [*digests, *parameters])
        return {row[0]: tuple(row) for row in cursor.fetchall()}


def _address(row: Row) -> Address:
    digest, trigger_id, tenant_id, key, config, live_config, workflow_id, enabled, version_id, tenant_limit, kind = row
    return Address(
        digest=digest,
        trigger_id=trigger_id,
        tenant_id=tenant_id,
        key=key,
        config=json.loads(config if live_config is None else live_config) or {},
        workflow_id=workflow_id,
        enabled=bool(enabled),
        version_id=None if live_config is None else version_id,
        tenant_limit=tenant_limit,
        type=TriggerType(kind),
        row=row,
    )


@cache
def _statement(count: int) -> tuple[str, tuple[Any, ...]]:
    """Return the query for ``count`` hashes, which come first, with its other parameters.

    Written by the ORM, but once: writing it costs more than running it.
    """
    places = [str(number) for number in range(count)]
    rows = Trigger.unscoped.order_by().filter(address_digest__in=places).filter(type__in=_CALLED)
    # One that is neither the draft's nor live is kept only to be gone back to.
    rows = rows.filter(Q(in_draft=True) | Q(live_config__isnull=False))
    statement, parameters = rows.values_list(*_COLUMNS).query.get_compiler(connection=connection).as_sql()
    if list(parameters[:count]) != places:
        raise AssertionError(f"The hashes do not come first in {statement}")
    return statement, tuple(parameters[count:])


class Known:
    """The addresses that one process remembers, bounded: plain ones of live workflows that are switched on."""

    def __init__(self) -> None:
        self._found: dict[str, Address] = {}

    def get(self, token: str) -> Address | None:
        return self._found.get(address_digest(token))

    def keep(self, address: Address) -> None:
        if address.enabled and address.is_published and address.is_plain:
            if len(self._found) >= MOST_REMEMBERED:
                self._found.clear()
            self._found[address.digest] = address

    def forget(self, address: Address) -> None:
        self._found.pop(address.digest, None)
