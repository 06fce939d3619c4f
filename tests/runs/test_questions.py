"""What waits for a person, on the home page: for whom by role and name, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from runs.answers import run_resolve
from runs.links import link_url
from runs.models import Run, StepRun
from runs.questions import Question, questions_for
from tests.runs.ground import make_workflow, step
from tests.runs.loops_ground import Rows, new_run
from tests.runs.test_answers import approve, callback, lost, parked

pytestmark = pytest.mark.django_db(transaction=True)


def asked(user: User, slug: str = "acme") -> list[Question]:
    return questions_for(actor_for_user(user, slug), 10)


def messages(user: User) -> list[str]:
    return [question.message for question in asked(user)]


def test_an_approval_without_names_waits_for_whoever_may_answer(
    tenant: Tenant, viewer: User, operator: User, editor: User
) -> None:
    run = parked(tenant, approve(message="  Refund order 17?\n\nNow."))
    assert messages(viewer) == []
    for user in (operator, editor):
        (question,) = asked(user)
        assert (question.asked.run.pk, question.message, question.link) == (run.pk, "Refund order 17?", "")


def test_named_approvers_are_asked_and_nobody_else(tenant: Tenant, viewer: User, operator: User, owner: User) -> None:
    run = parked(tenant, approve(approvers=[viewer.username]))
    assert messages(operator) == messages(owner) == []
    (question,) = asked(viewer)
    # Who may not answer on the run's page gets the address of the question.
    assert question.link == link_url("flow.approve", run.pk, "ok")


def test_a_role_is_asked_with_those_above_it(tenant: Tenant, operator: User, editor: User, owner: User) -> None:
    parked(tenant, approve(approvers=["editor"]))
    assert (messages(operator), messages(editor), messages(owner)) == ([], ["Refund?"], ["Refund?"])


def test_who_started_the_run_is_not_asked_where_others_must_answer(
    tenant: Tenant, viewer: User, operator: User, editor: User
) -> None:
    parked(tenant, approve(exclude_requester=True), actor=actor_for_user(operator, "acme"))
    assert (messages(viewer), messages(operator), messages(editor)) == ([], [], ["Refund?"])


def test_a_call_of_which_nobody_knows_waits_for_operators(tenant: Tenant, viewer: User, operator: User) -> None:
    run = lost(tenant)
    assert asked(viewer) == []
    (question,) = asked(operator)
    assert (question.asked.run.pk, question.asked.kind, question.asked.place.name) == (
        run.pk,
        "outcome_unknown",
        "send",
    )


def test_what_is_answered_over_or_asks_nobody_is_left_out(tenant: Tenant, operator: User) -> None:
    parked(tenant, callback(), slug="a")
    parked(tenant, step("w", "flow.wait", inputs={"seconds": 7200}), slug="b")
    over = parked(tenant, approve(timeout=60), slug="c")
    answered = parked(tenant, approve(), slug="d")
    assert len(asked(operator)) == 2
    StepRun.unscoped.filter(run=over).update(started_at=timezone.now() - timedelta(seconds=61))
    assert [question.asked.run.pk for question in asked(operator)] == [answered.pk]
    run_resolve(actor=actor_for_user(operator, "acme"), run=answered, path="ok", decision="approved")
    Run.unscoped.filter(pk=answered.pk).update(status="waiting")
    assert asked(operator) == []


def test_settings_that_cannot_be_read_ask_nobody(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve())
    StepRun.unscoped.filter(run=run).update(inputs={"message": 7, "x": "y"})
    assert asked(operator) == []


def test_nothing_of_another_tenant_waits_here(tenant: Tenant, other_tenant: Tenant, stranger: User) -> None:
    parked(tenant, approve())
    assert asked(stranger, "globex") == []


def waiting_runs(tenant: Tenant, count: int, slug: str) -> None:
    workflow = make_workflow(tenant, approve(), slug=slug)
    for _ in range(count):
        run = new_run(workflow, "waiting", waiting_for={"path": "ok", "kind": "approval"})
        rows = Rows(run)
        rows.add("ok", "waiting", action="flow.approve", inputs={"message": "Well?"})
        rows.save()


def test_it_takes_four_queries_however_many_wait(tenant: Tenant, operator: User) -> None:
    actor: Actor = actor_for_user(operator, "acme")
    counts = []
    for number, count in enumerate((1, 30)):
        waiting_runs(tenant, count, f"w{number}")
        with CaptureQueriesContext(connection) as queries:
            assert len(questions_for(actor, 10)) == min(10, 1 + number * count)
        counts.append(len(queries))
    assert counts == [4, 4]


def test_waiting_runs_are_found_by_their_index_among_however_many(tenant: Tenant, operator: User) -> None:
    waiting_runs(tenant, 1, "w")
    with CaptureQueriesContext(connection) as queries:
        questions_for(actor_for_user(operator, "acme"), 10)
    (sql,) = [query["sql"] for query in queries if 'AS "waits"' in query["sql"] or "LIKE" in query["sql"]]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            plan = " ".join(str(row) for row in cursor.fetchall())
        assert "run_waiting" in plan, plan
