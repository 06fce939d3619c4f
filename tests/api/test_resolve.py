"""Runs that wait, over the API: what they wait for, and the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.models import Scope, Tenant
from runs.models import Answer, Run
from tests.api.conftest import Caller, MakeCaller
from tests.runs.ground import drive
from tests.runs.test_answers import FORM, approve, callback, lost, parked, resumed

pytestmark = pytest.mark.django_db(transaction=True)


def resolve(api: Caller, run: Run, body: Any, **headers: str) -> tuple[int, Any]:
    response = api("POST", f"runs/{run.pk}/resolve/", body, **headers)
    return response.status_code, json.loads(response.content)


def test_a_waiting_run_says_for_what_and_goes_on_with_the_answer(api: Caller, tenant: Tenant) -> None:
    run = parked(tenant, approve(form=FORM), output="{{ steps.ok.output }}")
    document = api.ok("GET", f"runs/{run.pk}/")
    assert (document["status"], document["waiting_for"]) == ("waiting", {"path": "ok", "kind": "approval"})
    assert [(row["path"], row["status"], row["output"]) for row in document["steps"]] == [("ok", "waiting", None)]
    assert document["steps"][0]["inputs"]["message"] == "Refund?"
    body = {"path": "ok", "decision": "approved", "form": {"amount": 7}, "comment": "Fine"}
    status, answered = resolve(api, run, body)
    assert (status, answered["id"], answered["status"]) == (200, str(run.pk), "waiting")
    drive()
    document = api.ok("GET", f"runs/{run.pk}/")
    assert (document["status"], document["waiting_for"]) == ("succeeded", None)
    assert document["output"] == {
        "decision": "approved", "form": {"amount": 7}, "comment": "Fine", "by": "owner-of-acme"
    }  # fmt: skip


def test_what_became_of_a_lost_call_is_told(api: Caller, tenant: Tenant) -> None:
    run = lost(tenant)
    assert api.ok("GET", f"runs/{run.pk}/")["waiting_for"] == {"path": "send", "kind": "outcome_unknown"}
    assert resolve(api, run, {"path": "send", "decision": "succeeded", "output": {"id": 7}})[0] == 200
    assert (resumed(run).status, run.output) == ("succeeded", {"id": 7})
    steps = api.ok("GET", f"runs/{run.pk}/")["steps"]
    assert [(row["path"], row["attempt"], row["status"]) for row in steps[:2]] == [
        ("send", 1, "lost"), ("send", 2, "succeeded")
    ]  # fmt: skip


def test_refusals_say_what_to_do(api: Caller, tenant: Tenant, caller_for: MakeCaller, viewer: User) -> None:
    run = parked(tenant, approve(form=FORM), callback())

    def refused(body: Any, status: int, words: str) -> Any:
        found, answer = resolve(api, run, body)
        assert found == status, answer
        assert words in answer["error"]["message"] + json.dumps(answer["error"]["problems"])
        return answer["error"]

    approved = {"path": "ok", "decision": "approved"}
    error = refused(approved, 400, "Fill this in.")
    assert error["problems"] == [{"path": "form.amount", "message": "Fill this in.", "code": "form"}]
    refused({"path": "ok", "decision": "retry"}, 400, "send approved or rejected")
    refused({"path": "ok", "decision": "maybe"}, 400, "decision")
    refused({"path": "ok"}, 400, "decision")
    refused({**approved, "comment": "x" * 2_001}, 400, "comment")
    refused({**approved, "form": [1]}, 400, "form")
    refused({**approved, "other": 1}, 400, "other")
    refused({**approved, "path": "nothing"}, 404, "no step at that path")
    for path in ("", "ok\0", "each[1].ok", "x" * 255, "ok; drop"):
        refused({**approved, "path": path}, 404, "no step at that path")
    refused({**approved, "path": "ok\ud800"}, 400, "path")
    refused({"path": "cb", "decision": "approved"}, 409, "It waits for an approval at ok.")
    assert resolve(caller_for(viewer), run, approved)[0] == 403
    assert resolve(Caller(token="nothing"), run, approved)[0] == 401
    assert not Answer.objects.for_tenant(tenant).exists()


def test_a_token_answers_as_far_as_it_reaches(
    tenant: Tenant, caller_for: MakeCaller, owner: User, operator: User
) -> None:
    run = parked(tenant, approve(approvers=["admin"]))
    body = {"path": "ok", "decision": "approved"}
    # A token that may only start runs is no admin's word, whoever made it.
    assert resolve(caller_for(owner, Scope.READ), run, body)[0] == 403
    assert resolve(caller_for(owner, Scope.RUN), run, body)[0] == 403
    assert resolve(caller_for(operator, Scope.RUN), run, body)[0] == 403
    assert resolve(caller_for(owner), run, body)[0] == 200
    run = parked(tenant, approve(), slug="open")
    assert resolve(caller_for(operator, Scope.RUN), run, body)[0] == 200


def test_the_same_answer_with_the_same_key_is_one(api: Caller, tenant: Tenant) -> None:
    run = parked(tenant, approve())
    body = {"path": "ok", "decision": "approved"}
    first = resolve(api, run, body, Idempotency_Key="k")
    assert first[0] == 200
    assert resolve(api, run, body, Idempotency_Key="k") == first
    status, answer = resolve(api, run, body)
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert "Approved by owner-of-acme" in answer["error"]["message"]


def test_a_run_that_ended_is_409(api: Caller, tenant: Tenant) -> None:
    run = parked(tenant, approve())
    api.ok("POST", f"runs/{run.pk}/cancel/")
    status, answer = resolve(api, run, {"path": "ok", "decision": "approved"})
    assert status == 409
    assert "has ended (cancelled)" in answer["error"]["message"]
    assert [row["status"] for row in api.ok("GET", f"runs/{run.pk}/")["steps"]] == ["cancelled"]
