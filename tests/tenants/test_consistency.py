"""The database refuses rows across tenants: on the suite's database, and on PostgreSQL where one answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction

from orchestrator.ids import new_id
from orchestrator.tenants import consistency
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.scoping import TenantOwned
from orchestrator.vault.models import Credential
from orchestrator.workflows.models import Step, Workflow, WorkflowVersion
from runs.models import Payload, Run

OWNED = [model for model in apps.get_models() if issubclass(model, TenantOwned)]


def workflow(tenant: Tenant) -> Workflow:
    return Workflow.unscoped.create(tenant=tenant, name="w", slug=f"w-{new_id()}")


def credential(tenant: Tenant) -> Credential:
    return Credential.unscoped.create(
        tenant=tenant, name=f"c{new_id()}", provider="http", auth_type="basic", sealed=b"", key_id=""
    )


def version(tenant: Tenant, of: Workflow) -> WorkflowVersion:
    return WorkflowVersion.unscoped.create(tenant=tenant, workflow=of, number=1, definition={}, checksum="x")


def run(tenant: Tenant, of: Workflow, **more: Any) -> Run:
    return Run.unscoped.create(tenant=tenant, workflow=of, version=version(tenant, of), trigger_type="manual", **more)


def refused(message: str) -> Any:
    return pytest.raises(IntegrityError, match=f"tenant_guard: .*{message}")


def test_every_foreign_key_between_tenant_owned_tables_is_guarded() -> None:
    guarded = {(g.table, r.column): r.target for g in consistency.guarded_tables() for r in g.references}
    expected = {
        (model._meta.db_table, field.column): field.related_model._meta.db_table
        for model in OWNED
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey) and issubclass(field.related_model, TenantOwned)  # type: ignore[arg-type]
    }
    assert guarded == expected
    assert guarded["workflows_step", "credential_id"] == "vault_credential"


def test_no_tenant_owned_table_has_a_many_to_many_that_nothing_guards() -> None:
    assert [model for model in OWNED if model._meta.local_many_to_many] == []


def test_a_row_that_points_to_another_tenant_is_refused_at_the_insert(tenant: Tenant, other_tenant: Tenant) -> None:
    theirs = workflow(other_tenant)
    with refused("workflows_step.workflow_id points to a row of another tenant"), transaction.atomic():
        Step.unscoped.create(tenant=tenant, workflow=theirs, key="a", action="x.y")
    with refused("runs_run.workflow_id"), transaction.atomic():
        Run.unscoped.bulk_create(
            [Run(tenant=tenant, workflow=theirs, version=version(other_tenant, theirs), trigger_type="manual")]
        )
    with refused("runs_payload.run_id"), transaction.atomic():
        Payload.unscoped.create(tenant=tenant, run=run(other_tenant, workflow(other_tenant)), size=1, data=b"x")


@pytest.mark.parametrize("how", ["save", "update", "bulk"])
def test_a_row_cannot_be_pointed_to_another_tenant_later(tenant: Tenant, other_tenant: Tenant, how: str) -> None:
    step = Step.unscoped.create(tenant=tenant, workflow=workflow(tenant), key="a", action="x.y")
    step.credential = credential(other_tenant)
    with refused("workflows_step.credential_id"), transaction.atomic():
        if how == "save":
            step.save()
        elif how == "update":
            Step.unscoped.filter(pk=step.pk).update(credential=step.credential)
        else:
            Step.unscoped.bulk_update([step], ["credential"])


def test_a_row_stays_in_its_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    row = workflow(tenant)
    with refused("a row of workflows_workflow cannot move to another tenant"), transaction.atomic():
        Workflow.unscoped.filter(pk=row.pk).update(tenant=other_tenant)


def test_rows_of_one_tenant_and_empty_references_are_taken(tenant: Tenant) -> None:
    own = workflow(tenant)
    parent = Step.unscoped.create(tenant=tenant, workflow=own, key="a", action="flow.if", credential=credential(tenant))
    child = Step.unscoped.create(tenant=tenant, workflow=own, key="b", action="x.y", parent=parent, lane="then")
    Step.unscoped.filter(pk=child.pk).update(credential=None, lane="else")
    own.published_version = version(tenant, own)
    own.save()
    assert run(tenant, workflow(tenant), parent=None).pk
    assert consistency.mismatches() == []


def names() -> set[str]:
    with connection.cursor() as cursor:
        return set(consistency._DIALECTS[connection.vendor].installed(cursor))


def test_installing_again_changes_nothing(db: None, django_assert_max_num_queries: Any) -> None:
    before = names()
    assert len(before) >= len(OWNED)
    with django_assert_max_num_queries(3):
        consistency.install()
    assert names() == before


def test_a_lost_changed_or_foreign_trigger_is_put_right(tenant: Tenant, other_tenant: Tenant) -> None:
    dialect = consistency._DIALECTS[connection.vendor]
    before = names()
    with connection.cursor() as cursor:
        for name, found in dialect.installed(cursor).items():
            cursor.execute(dialect.removal(name, found.table))
    assert names() == set()
    theirs = workflow(other_tenant)
    lost = Step.unscoped.create(tenant=tenant, workflow=theirs, key="a", action="x.y")
    assert consistency.mismatches() == [("workflows_step", "workflow_id", 1)]
    lost.delete()
    consistency.install()
    assert names() == before
    with refused("workflows_step.workflow_id"), transaction.atomic():
        Step.unscoped.create(tenant=tenant, workflow=theirs, key="a", action="x.y")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite remakes tables")
@pytest.mark.django_db(transaction=True)
def test_a_migration_that_remakes_a_table_gets_through_and_keeps_the_guards() -> None:
    before = names()
    consistency.remove_before_migrations(using="default", plan=[])
    assert names() == before, "nothing to migrate, so nothing to take away"
    consistency.remove_before_migrations(using="default", plan=["a migration"])
    with connection.schema_editor() as editor:
        editor._remake_table(Workflow)
    consistency.install_after_migrations(using="default")
    assert names() == before


def postgres_answers() -> bool:
    try:
        socket.create_connection(("127.0.0.1", 5432), timeout=1).close()
    except OSError:
        return False
    return True


def test_all_of_this_holds_on_postgresql() -> None:
    if "TEST_DATABASE_URL" in os.environ:
        pytest.skip("the suite's own database was chosen with TEST_DATABASE_URL")
    if not postgres_answers():
        pytest.skip("no PostgreSQL at 127.0.0.1:5432")
    url = f"postgresql://postgres@127.0.0.1:5432/guard_{os.getpid()}"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--create-db", __file__],
        env={**os.environ, "TEST_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert " passed, 2 skipped" in done.stdout
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
