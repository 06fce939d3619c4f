"""What a driver keeps between runs: parsed versions, and what it needs to know of a tenant."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.flow.definition import WorkflowDefinition
from orchestrator.tenants.models import Tenant
from orchestrator.types import JSONValue
from orchestrator.workflows.models import Variable, WorkflowVersion
from runs.rows import read

VERSIONS_KEPT: Final = 500
TENANTS_KEPT: Final = 2_000
# A variable or an egress list that somebody changes is in force for the runs that start this much later.
TENANT_SECONDS: Final = 1.0
# By hand: the first run after a pause waits for these, and the ORM would take longer than the rest of its claim.
_TENANT: Final = f"SELECT slug, egress_allow FROM {Tenant._meta.db_table} WHERE id = %s"  # noqa: S608
_VARIABLES: Final = f"SELECT key, value FROM {Variable._meta.db_table} WHERE tenant_id = %s"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A version, ready to run. ``number`` is None for a draft."""

    definition: WorkflowDefinition
    bindings: Mapping[str, int]
    number: int | None


@dataclass(frozen=True, kw_only=True)
class TenantFacts:
    slug: str
    egress_allow: tuple[str, ...]
    variables: Mapping[str, JSONValue]
    read_at: float


class Plans:
    """Published versions by id, parsed once: they never change. What it has is given without a query."""

    def __init__(self) -> None:
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self._tenants: OrderedDict[int, TenantFacts] = OrderedDict()

    def kept(self, version_id: int) -> Plan | None:
        """Return a version that was read before."""
        return self._plans.get(version_id)

    def read(self, version_id: int, tenant_id: int) -> Plan:
        """Return a version from the database. Raises pydantic's ValidationError for a document that is not one."""
        version = WorkflowVersion.objects.for_tenant(tenant_id).get(pk=version_id)
        plan = Plan(
            definition=WorkflowDefinition.model_validate(version.definition),
            bindings=dict(version.bindings),
            number=version.number,
        )
        # A draft's credentials may be bound again, so it is read for each run.
        if plan.number is not None:
            self._plans[version_id] = plan
            _keep_newest(self._plans, VERSIONS_KEPT)
        return plan

    def kept_tenant(self, tenant_id: int) -> TenantFacts | None:
        """Return what was read of a tenant within the last second."""
        facts = self._tenants.get(tenant_id)
        return facts if facts is not None and time.monotonic() - facts.read_at < TENANT_SECONDS else None

    def read_tenant(self, tenant_id: int) -> TenantFacts:
        """Return what runs of a tenant need to know of it. Raises Tenant.DoesNotExist."""
        found = read(Tenant, ("slug", "egress_allow"), _TENANT, [tenant_id])
        if not found:
            raise Tenant.DoesNotExist
        variables = {row["key"]: row["value"] for row in read(Variable, ("key", "value"), _VARIABLES, [tenant_id])}
        egress = tuple(found[0]["egress_allow"] or ())
        facts = TenantFacts(slug=found[0]["slug"], egress_allow=egress, variables=variables, read_at=time.monotonic())
        self._tenants[tenant_id] = facts
        _keep_newest(self._tenants, TENANTS_KEPT)
        return facts


def _keep_newest(cache: OrderedDict[int, Plan] | OrderedDict[int, TenantFacts], size: int) -> None:
    while len(cache) > size:
        cache.popitem(last=False)
