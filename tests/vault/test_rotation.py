from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import models
from pytest_django import Settings

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import crypto, rotation, services
from orchestrator.vault.models import Credential
from orchestrator.vault.sealed import SealedColumn, columns, register
from orchestrator.workflows.models import Trigger, Workflow

OLD, NEW = b"o" * 32, b"n" * 32
OLD_ID, NEW_ID = crypto.key_id(OLD), crypto.key_id(NEW)


@pytest.fixture
def sealed_rows(tenant: Tenant, editor: User, settings: Settings) -> Callable[[], dict[str, str]]:
    """Make five credentials and a trigger's address under the old key; return how to read them all."""
    settings.VAULT_KEYS = (OLD,)
    actor = actor_for_user(editor, tenant.slug)
    for number in range(5):
        services.credential_create(
            actor=actor,
            name=f"c{number}",
            provider="http",
            auth_type="api_key",
            secret={"api_key": f"secret-{number}"},
        )
    workflow = Workflow.unscoped.create(tenant=tenant, name="w", slug="w")
    trigger = Trigger(tenant=tenant, workflow=workflow, key="hook", type="webhook")
    sealed = crypto.seal(b"the-address", tenant_id=tenant.pk, context=f"trigger:{trigger.pk}")
    trigger.address_sealed, trigger.address_key_id = sealed.blob, sealed.key_id
    trigger.save()
    Trigger.unscoped.create(tenant=tenant, workflow=workflow, key="manual", type="manual")

    def read() -> dict[str, str]:
        found = {
            name: services.resolve_credential(tenant_id=tenant.pk, name=name).auth["api_key"]
            for name in Credential.objects.for_tenant(tenant).values_list("name", flat=True)
        }
        row = Trigger.objects.for_tenant(tenant).get(key="hook")
        assert row.address_sealed is not None
        plain = crypto.unseal(row.address_sealed, tenant_id=tenant.pk, context=f"trigger:{row.pk}")
        return {**found, "hook": plain.decode()}

    return read


def uses() -> dict[tuple[str, str], int]:
    return {(use.column, use.key_id): use.values for use in rotation.key_use() if use.values}


def test_a_rotation_moves_every_sealed_value_to_the_first_key(
    sealed_rows: Callable[[], dict[str, str]], settings: Settings
) -> None:
    before = sealed_rows()
    settings.VAULT_KEYS = (NEW, OLD)
    assert uses() == {("credential", OLD_ID): 5, ("trigger", OLD_ID): 1}
    assert sum(progress.moved for progress in rotation.rotate(batch=2)) == 6
    assert uses() == {("credential", NEW_ID): 5, ("trigger", NEW_ID): 1}
    settings.VAULT_KEYS = (NEW,)
    assert sealed_rows() == before
    assert list(rotation.rotate()) == []


def test_a_rotation_that_was_stopped_goes_on_where_it_was(
    sealed_rows: Callable[[], dict[str, str]], settings: Settings
) -> None:
    before = sealed_rows()
    settings.VAULT_KEYS = (NEW, OLD)
    assert next(rotation.rotate(batch=2)).moved == 2
    assert uses() == {("credential", OLD_ID): 3, ("credential", NEW_ID): 2, ("trigger", OLD_ID): 1}
    assert sealed_rows() == before, "half-done, everything still opens"
    assert sum(progress.moved for progress in rotation.rotate(batch=2)) == 4
    assert uses() == {("credential", NEW_ID): 5, ("trigger", NEW_ID): 1}


def test_a_value_that_cannot_be_opened_is_named_and_holds_up_no_other(
    sealed_rows: Callable[[], dict[str, str]], settings: Settings
) -> None:
    one, two = Credential.unscoped.order_by("pk")[:2]
    Credential.unscoped.filter(pk=two.pk).update(sealed=one.sealed)
    settings.VAULT_KEYS = (NEW, OLD)
    done = list(rotation.rotate(batch=2))
    assert sum(progress.moved for progress in done) == 5
    assert [name for progress in done for name in progress.failed] == [f"credential:{two.pk} (Tampered)"]


def test_the_use_of_keys_shows_the_unknown_and_the_unused(
    sealed_rows: Callable[[], dict[str, str]], settings: Settings
) -> None:
    settings.VAULT_KEYS = (NEW,)
    found = [use for use in rotation.key_use() if use.column == "credential"]
    assert [(u.key_id, u.values, u.known, u.first) for u in found] == [
        (NEW_ID, 0, True, True),
        (OLD_ID, 5, False, False),
    ]


def test_every_sealed_column_of_the_product_is_registered() -> None:
    # A binary column beside a key id holds something sealed; one that no rotation reaches is lost with its key.
    registered = {(column.model, column.blob) for column in columns()}
    found = {
        (model._meta.label, field.name)
        for model in apps.get_models()
        if any("key_id" in f.name for f in model._meta.local_fields)
        for field in model._meta.local_fields
        if isinstance(field, models.BinaryField)
    }
    assert registered == found


def test_two_columns_cannot_share_a_context() -> None:
    with pytest.raises(ValueError, match="both seal for 'credential'"):
        register(SealedColumn(model="x.Y", blob="a", key_id="b", context="credential"))
