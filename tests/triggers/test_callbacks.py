"""Calls of a callback's address: what each is answered, what the step sees of it, and that none breaks it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from runs import services
from runs.links import token_of
from runs.models import Answer, Run
from runs.triggers import callbacks
from tests.runs.ground import drive, make_workflow, start, step
from tests.runs.test_answers import approve, callback, parked
from tests.triggers.test_hooks import check_headers, refused

pytestmark = pytest.mark.django_db(transaction=True)


def address(run: Run, path: str = "cb") -> str:
    return f"/c/{token_of(run.pk, path)}"


def test_a_call_is_taken_once_and_the_step_sees_all_of_it(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, callback(), output="{{ steps.cb.output }}")
    headers = {"X-Job": "7", "Authorization": "Bearer secret", "Cookie": "a=secret"}
    response = client.post(
        address(run) + "?a=1&b=2&b=3", json.dumps({"state": "done"}), "application/json", headers=headers
    )
    check_headers(response)
    assert (response.status_code, response.json()) == (202, {"status": "accepted"})
    again = client.post(address(run), "second", "text/plain")
    check_headers(again)
    assert (again.status_code, again.json()["status"]) == (200, "accepted")
    assert "first call counts" in again.json()["reason"]
    drive()
    output = run.refresh().output
    assert (output["body"], output["query"]) == ({"state": "done"}, {"a": "1", "b": ["2", "3"]})
    assert output["headers"]["x-job"] == "7"
    assert not {"authorization", "cookie"} & set(output["headers"])
    assert "secret" not in json.dumps([row.document for row in Answer.objects.for_tenant(tenant).all()])
    assert client.post(address(run)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_is_405(method: str, tenant: Tenant, client: Client) -> None:
    run = parked(tenant, callback())
    for path in (address(run), "/c/unknown"):
        response = client.generic(method, path)
        check_headers(response)
        assert (response.status_code, response["Allow"]) == (405, "POST")
    assert run.refresh().signals == 0


@pytest.mark.parametrize("token", ["unknown", "a" * 32, "a" * 3_000, "%00", "%ff%fe", "ü"])
def test_an_unknown_address_is_404(token: str, db: None, client: Client) -> None:
    refused(client.post(f"/c/{token}", b"{}", "application/json"), 404, "not_found")


def test_an_approvals_address_takes_no_call(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, approve())
    refused(client.post(address(run, "ok"), b"{}", "application/json"), 404, "not_found")


def test_a_call_that_comes_before_its_step_is_told_to_come_again(tenant: Tenant, client: Client) -> None:
    run = start(make_workflow(tenant, step("a"), callback()))
    response = client.post(address(run), b"{}", "application/json")
    assert "Send it again in a moment" in refused(response, 409, "too_early")
    assert response["Retry-After"] == "2"
    drive()
    assert client.post(address(run), b"{}", "application/json").status_code == 202


def test_a_call_that_comes_before_anything_of_its_iteration_is_written_is_told_so_too(
    tenant: Tenant, client: Client
) -> None:
    inner = step("inner", "flow.foreach", inputs={"items": [1, 2]})
    inner["lanes"] = {"body": [callback("deep")]}
    loop = step("each", "flow.foreach", inputs={"items": list(range(50))})
    loop["lanes"] = {"body": [callback(), inner]}
    run = start(make_workflow(tenant, loop))
    for path in ("each[0].cb", "each[49].cb", "each[7].inner[1].deep"):
        refused(client.post(address(run, path), b"{}", "application/json"), 409, "too_early")
    refused(client.post(address(run, "each[7].deep"), b"{}", "application/json"), 404, "not_found")


def test_after_the_end_it_is_410(tenant: Tenant, client: Client, owner: User) -> None:
    run = parked(tenant, callback())
    services.run_cancel(actor=actor_for_user(owner, "acme"), run=run)
    message = refused(client.post(address(run), b"{}", "application/json"), 410, "gone")
    assert "Sending it again will not help" in message


def test_a_body_that_cannot_be_read_or_kept_is_refused_and_the_step_waits_on(tenant: Tenant, client: Client) -> None:
    run = parked(tenant, callback())
    refused(client.post(address(run), b"{", "application/json"), 400, "bad_json")
    refused(client.post(address(run), b"x" * (10 * 1024 * 1024 + 1), "text/plain"), 413, "body_too_large")
    refused(client.post(address(run), b"[" * 65 + b"]" * 65, "application/json"), 400, "bad_json")
    assert client.post(address(run), b"[" * 64 + b"]" * 64, "application/json").status_code == 202
    drive()
    assert run.refresh().status == "succeeded"


def test_a_database_that_is_away_is_503(tenant: Tenant, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = parked(tenant, callback())

    def away(**_: Any) -> bool:
        raise OperationalError

    monkeypatch.setattr(callbacks, "callback_receive", away)
    response = client.post(address(run), b"{}", "application/json")
    refused(response, 503, "unavailable")
    assert response["Retry-After"] == "5"
