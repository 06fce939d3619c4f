"""Rows that are inserted without the ORM are the rows that the ORM would have made."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from orchestrator.ids import new_id
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.inserts import ROWS_A_STATEMENT, Inserter, _written_out
from runs.models import Payload, Run
from runs.states import RunStatus
from tests.runs.ground import make_workflow

pytestmark = pytest.mark.django_db

GIVEN = ("tenant_id", "workflow_id", "version_id", "trigger_type", "trigger")


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant)


def row(workflow: Workflow, trigger: Any = None) -> tuple[Any, ...]:
    return (workflow.tenant_id, workflow.pk, workflow.published_version_id, "webhook", trigger)


@pytest.mark.parametrize("count", [0, 1, 2, ROWS_A_STATEMENT, ROWS_A_STATEMENT + 1, 3 * ROWS_A_STATEMENT])
def test_any_number_of_rows_is_inserted_in_order(count: int, workflow: Workflow) -> None:
    Inserter(Run, GIVEN).insert([row(workflow, str(number)) for number in range(count)])
    assert [run.trigger for run in Run.unscoped.order_by("id")] == list(range(count))


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_row_does_not_bring_has_the_models_default(count: int, workflow: Workflow) -> None:
    """So a column that the model gets later is in it: nothing but the given ones is named here."""
    before = timezone.now()
    Inserter(Run, GIVEN).insert([row(workflow, '{"a": 1}')] * count)
    expected = Run(
        tenant_id=workflow.tenant_id,
        workflow_id=workflow.pk,
        version_id=workflow.published_version_id,
        trigger_type="webhook",
        trigger={"a": 1},
    )
    found = list(Run.unscoped.all())
    assert len({run.pk for run in found}) == count
    made = {"id", "wake_at", "created_at"}
    for run in found:
        assert run.wake_at is not None
        assert before <= run.wake_at <= timezone.now()
        for field in Run._meta.concrete_fields:
            if field.attname not in made:
                assert getattr(run, field.attname) == getattr(expected, field.attname), field.attname


@pytest.mark.parametrize("text", ["", "it's", "%s ? :a", "\\N\t\n\r\\", "ü😀", 'a "b"', "\x7f"])
@pytest.mark.parametrize("count", [1, 2])
def test_texts_arrive_as_they_are(text: str, count: int, workflow: Workflow) -> None:
    given = (*GIVEN[:-1], "trigger_key", "dedupe_key")
    Inserter(Run, given).insert([(*row(workflow)[:-1], text, f"{text}{number}") for number in range(count)])
    assert [(run.trigger_key, run.dedupe_key) for run in Run.unscoped.order_by("id")] == [
        (text, f"{text}{number}") for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_bytes_and_moments_arrive_as_they_are(count: int, workflow: Workflow) -> None:
    moment = timezone.now()
    runs = Inserter(Run, (*GIVEN, "id", "created_at"))
    ids = [new_id() for _ in range(count)]
    runs.insert([(*row(workflow), pk, runs.prepared("created_at", moment)) for pk in ids])
    assert {run.created_at for run in Run.unscoped.all()} == {moment}
    payloads = Inserter(Payload, ("tenant_id", "run_id", "size", "data"))
    data = bytes(range(256))
    payloads.insert([(workflow.tenant_id, pk, 256, payloads.prepared("data", data)) for pk in ids])
    assert [bytes(payload.data) for payload in Payload.unscoped.all()] == [data] * count


@pytest.mark.parametrize("count", [1, 2])
def test_what_the_database_refuses_is_djangos_own_error(count: int, workflow: Workflow) -> None:
    runs = Inserter(Run, (*GIVEN, "status"))
    with pytest.raises(DatabaseError), transaction.atomic():
        runs.insert([(*row(workflow), "nonsense")] * count)
    assert Run.unscoped.count() == 0


@pytest.mark.parametrize("count", [1, 2])
def test_a_row_of_another_tenants_workflow_is_refused(count: int, workflow: Workflow, other_tenant: Tenant) -> None:
    theirs = (other_tenant.pk, *row(workflow)[1:])
    with pytest.raises(DatabaseError, match="tenant_guard"), transaction.atomic():
        Inserter(Run, GIVEN).insert([theirs] * count)


def test_a_column_that_the_model_has_not_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match=r"Run has no columns \['nonsense'\]"):
        Inserter(Run, ("nonsense",))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "NULL"), (True, "TRUE"), (0, "0"), (-5, "-5"), ("", "''"), ("live", "'live'"),
        ("it's", ""), ("100%", ""), ("a?", ""), ("ü", ""), (1.5, ""), (b"x", ""), ("a\n", ""),
    ],
)  # fmt: skip
def test_only_what_needs_no_quoting_is_written_into_a_statement(value: Any, written: str) -> None:
    assert _written_out(value) == written


def test_a_default_of_an_enumeration_is_its_value(workflow: Workflow) -> None:
    assert type(Inserter(Run, GIVEN)._constants["status"]) is str
    assert Inserter(Run, GIVEN)._constants["status"] == RunStatus.QUEUED.value
