import pytest

from orchestrator.tenants.models import Membership, Tenant
from orchestrator.tenants.scoping import UnscopedQuery


def test_a_tenant_owned_table_is_not_queried_without_a_tenant(db: None) -> None:
    with pytest.raises(UnscopedQuery):
        Membership.objects.all()
    with pytest.raises(UnscopedQuery):
        Membership.objects.filter(role="owner")
    with pytest.raises(UnscopedQuery):
        Membership.objects.for_tenant(None)


def test_a_tenant_sees_its_own_rows_only(tenant: Tenant, other_tenant: Tenant, owner: object, stranger: object) -> None:
    assert [m.user for m in Membership.objects.for_tenant(tenant)] == [owner]
    assert [m.user for m in Membership.objects.for_tenant(other_tenant)] == [stranger]
