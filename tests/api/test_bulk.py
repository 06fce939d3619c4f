"""Many runs by the API: changed in batches that say what is left, and taken along as lines of JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.models import AuditEvent, Scope, Tenant
from orchestrator.workflows.models import Workflow
from runs import bulk, export
from runs.models import Run, StepRun
from tests.api.conftest import Caller, MakeCaller
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import ago, run_at
from tests.runs.loops_ground import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("only"), slug="orders")


def statuses(tenant: Tenant) -> list[str]:
    return list(Run.objects.for_tenant(tenant).order_by("pk").values_list("status", flat=True))


def test_what_has_not_ended_is_cancelled(api: Caller, workflow: Workflow, tenant: Tenant) -> None:
    for n, status in enumerate(("queued", "waiting", "succeeded", "running")):
        run_at(workflow, ago(minutes=9 - n), status)
    answer = api.ok("POST", "runs/bulk/", {"action": "cancel", "filter": {}})
    assert (answer["done"], answer["refused"], answer["left"], answer["next"]) == (3, [], 0, None)
    # What a worker has is stopped by it; asked once, it is not asked again.
    assert statuses(tenant) == ["cancelled", "cancelled", "succeeded", "running"]
    assert api.ok("POST", "runs/bulk/", {"action": "cancel", "filter": {}})["done"] == 0
    assert AuditEvent.objects.for_tenant(tenant).filter(action="run.cancelled").count() == 3


def test_a_batch_says_how_many_are_left_and_goes_on_from_there(
    api: Caller, workflow: Workflow, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "MOST_AT_ONCE", 2)
    runs = [run_at(workflow, ago(minutes=9 - n), "failed", body=n) for n in range(5)]
    asked: dict[str, Any] = {"action": "rerun", "filter": {"status": "failed"}}
    done, lefts = [], []
    while True:
        answer = api.ok("POST", "runs/bulk/", asked)
        done += answer["runs"]
        lefts.append(answer["left"])
        # A rerun that fails in turn is found by the filter, and must not be run again for ever.
        Run.objects.for_tenant(tenant).filter(rerun_of__isnull=False).update(
            status="failed", finished_at=ago(), wake_at=None
        )
        if answer["next"] is None:
            break
        asked["cursor"] = answer["next"]
    assert lefts == [3, 1, 0]
    made = Run.objects.for_tenant(tenant).filter(pk__in=done)
    assert {run.rerun_of_id for run in made} == {run.pk for run in runs}
    assert len(done) == 5
    assert bulk.MOST_COUNTED > 1_000
    monkeypatch.setattr(bulk, "MOST_COUNTED", 1)
    assert api.ok("POST", "runs/bulk/", {"action": "rerun", "filter": {}})["left"] == 1


def test_only_what_has_ended_is_deleted_with_all_that_it_holds(api: Caller, workflow: Workflow, tenant: Tenant) -> None:
    ended = run_at(workflow, ago(minutes=3))
    rows = Rows(ended)
    rows.add("only", output={"n": 1})
    rows.save()
    waiting = run_at(workflow, ago(minutes=2), "waiting")
    answer = api.ok("POST", "runs/bulk/", {"action": "delete", "filter": {"workflow": str(workflow.pk)}})
    assert answer["runs"] == [str(ended.pk)]
    assert list(Run.objects.for_tenant(tenant).values_list("pk", flat=True)) == [waiting.pk]
    assert not StepRun.objects.for_tenant(tenant).filter(run=ended.pk).exists()
    event = AuditEvent.objects.for_tenant(tenant).get(action="run.deleted")
    assert event.target_id == ended.pk


def test_what_another_run_still_reads_is_not_deleted(api: Caller, workflow: Workflow, tenant: Tenant) -> None:
    caller = run_at(workflow, ago(minutes=9), "waiting")
    called = run_at(workflow, ago(minutes=8), parent=caller)
    first = run_at(workflow, ago(minutes=7))
    run_at(workflow, ago(minutes=6), "queued", rerun_of=first)
    answer = api.ok("POST", "runs/bulk/", {"action": "delete", "filter": {}})
    assert answer["done"] == 0
    assert [each["id"] for each in answer["refused"]] == [str(called.pk), str(first.pk)]
    assert all(each["message"] for each in answer["refused"])
    assert len(statuses(tenant)) == 4


def test_the_filter_finds_what_the_list_shows(api: Caller, workflow: Workflow, tenant: Tenant) -> None:
    other = make_workflow(tenant, step("only"), slug="mails")
    for each in (workflow, other):
        run_at(each, ago(days=2), "failed")
        run_at(each, ago(minutes=1), "succeeded")
    run_at(other, ago(minutes=1), "failed", kind="step")
    for query, wanted in {
        f"workflow={workflow.pk}": {"workflow": str(workflow.pk)},
        "status=failed": {"status": "failed"},
        f"since={ago(days=1):%Y-%m-%dT%H:%M:%SZ}": {"since": f"{ago(days=1):%Y-%m-%dT%H:%M:%SZ}"},
        "q=mail": {"q": "mail"},
    }.items():
        listed = {row["id"] for row in api.ok("GET", f"runs/?{query}")["results"]}
        exported = {json.loads(line)["id"] for line in api("GET", f"runs/export/?{query}").content.splitlines()}
        answer = api.ok("POST", "runs/bulk/", {"action": "rerun", "filter": wanted})
        origins = Run.objects.for_tenant(tenant).filter(pk__in=answer["runs"]).values_list("rerun_of", flat=True)
        assert len(listed) == 2, query
        assert exported == listed, query
        assert {str(pk) for pk in origins} == listed, query
        Run.objects.for_tenant(tenant).filter(rerun_of__isnull=False).delete()


def test_the_same_key_does_it_once(api: Caller, workflow: Workflow, tenant: Tenant) -> None:
    run_at(workflow, ago(minutes=1))
    body = {"action": "rerun", "filter": {}}
    first = api.ok("POST", "runs/bulk/", body, Idempotency_Key="k")
    assert api.ok("POST", "runs/bulk/", body, Idempotency_Key="k") == first
    assert Run.objects.for_tenant(tenant).count() == 2
    assert api("POST", "runs/bulk/", {**body, "action": "delete"}, Idempotency_Key="k").status_code == 409


def test_each_action_needs_its_role_and_scope(
    caller_for: MakeCaller, operator: User, viewer: User, editor: User, workflow: Workflow
) -> None:
    run_at(workflow, ago(minutes=1))

    def ask(caller: Caller, action: str) -> int:
        return caller("POST", "runs/bulk/", {"action": action, "filter": {"status": "cancelled"}}).status_code

    actions = ("cancel", "rerun", "delete")
    assert [ask(caller_for(viewer), action) for action in actions] == [403, 403, 403]
    assert [ask(caller_for(operator), action) for action in actions] == [200, 200, 403]
    assert [ask(caller_for(editor), action) for action in actions] == [200, 200, 200]
    assert [ask(caller_for(editor, Scope.READ), action) for action in actions] == [403, 403, 403]
    assert [ask(caller_for(editor, Scope.RUN), action) for action in actions] == [200, 200, 403]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400), ([], 400), (None, 400), ({"action": "cancel"}, 400), ({"action": "x", "filter": {}}, 400),
        ({"action": "cancel", "filter": {"state": "x"}}, 400), ({"action": "cancel", "filter": {"status": "x"}}, 400),
        ({"action": "cancel", "filter": {"since": "2026-01-01"}}, 400),
        ({"action": "cancel", "filter": {"q": "\0"}}, 400), ({"action": "cancel", "filter": {}, "cursor": "x"}, 404),
        ({"action": "cancel", "filter": {"workflow": "1"}}, 404),
        ({"action": "cancel", "filter": {}, "cursor": "9" * 18 + "-" + "9" * 18}, 200),
    ],
)  # fmt: skip
def test_nonsense_is_told(api: Caller, body: Any, status: int) -> None:
    assert api("POST", "runs/bulk/", body).status_code == status


def test_another_tenants_runs_are_not_touched(api: Caller, other_tenant: Tenant) -> None:
    theirs = run_at(make_workflow(other_tenant, step("only"), slug="theirs"), ago(minutes=1))
    for action in ("cancel", "rerun", "delete"):
        answer = api.ok("POST", "runs/bulk/", {"action": action, "filter": {}})
        assert (answer["done"], answer["left"]) == (0, 0)
    assert api("GET", "runs/export/").content == b""
    assert api("GET", f"runs/export/?workflow={theirs.workflow_id}").status_code == 404
    assert Run.objects.for_tenant(other_tenant).count() == 1


def test_the_file_has_each_runs_document_a_line(api: Caller, workflow: Workflow) -> None:
    runs = [run_at(workflow, ago(minutes=n), body={"bad": "\ud800", "name": "Ada\n"}) for n in (1, 2)]
    answer = api("GET", "runs/export/", Accept="application/x-ndjson")
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["Content-Disposition"].startswith('attachment; filename="runs-')
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "Link" not in answer
    documents = [json.loads(line) for line in answer.content.splitlines()]
    assert [document["id"] for document in documents] == [str(run.pk) for run in runs]
    assert documents[0] == api.ok("GET", f"runs/{runs[0].pk}/")


@pytest.mark.parametrize("most_bytes", [1, 10**9])
def test_the_file_comes_in_pages_that_lead_on(
    api: Caller, workflow: Workflow, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(export, "MOST_BYTES", most_bytes)
    runs = [run_at(workflow, ago(minutes=n), "failed") for n in range(5)]
    run_at(workflow, ago(minutes=1), "succeeded")
    path, found, sizes = "runs/export/?status=failed&limit=2", list[str](), list[int]()
    while path:
        answer = api("GET", path)
        lines = answer.content.splitlines()
        sizes.append(len(lines))
        found += [json.loads(line)["id"] for line in lines]
        link = answer.headers.get("Link", "")
        path = link.removesuffix('>; rel="next"').partition("/api/v1/")[2]
        assert "status=failed" in path or not path
    assert found == [str(run.pk) for run in runs]
    assert sizes == ([1] * 5 if most_bytes == 1 else [2, 2, 1])


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=" + "9" * 30, "limit=0", "limit=x", "status=x", "since=1", "q=%00"]
)
def test_no_query_breaks_the_file(api: Caller, query: str) -> None:
    assert api("GET", f"runs/export/?{query}").status_code in (400, 404)
