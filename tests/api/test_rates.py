"""A tenant's limit of runs a minute counts every start, and an answer says what is left of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client

from orchestrator.tenants.models import Tenant
from runs.models import Run
from tests.api.conftest import Caller, document
from tests.runs.list_ground import ago, run_at

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow(api: Caller) -> dict[str, Any]:
    made: dict[str, Any] = api.ok("POST", "workflows/", document())
    api.ok("POST", f"workflows/{made['id']}/publish/", {})
    return made


def limit(tenant: Tenant, most: int | None) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(runs_per_minute=most)


def test_without_a_limit_nothing_is_said_of_one(api: Caller, workflow: dict[str, Any]) -> None:
    answer = api("POST", f"workflows/{workflow['id']}/runs/", {})
    assert not [name for name in answer.headers if name.startswith("X-RateLimit")]


def test_starts_by_the_api_count_and_one_too_many_is_told_when_to_try_again(
    api: Caller, workflow: dict[str, Any], tenant: Tenant
) -> None:
    limit(tenant, 2)
    path = f"workflows/{workflow['id']}/runs/"
    answers = [api("POST", path, {}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert [answer["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer["X-RateLimit-Limit"] for answer in answers} == {"2"}
    refused = json.loads(answers[2].content)["error"]
    assert refused["code"] == "rate_limited"
    assert 0 < int(answers[2]["Retry-After"]) <= 60
    assert answers[2]["Retry-After"] == answers[2]["X-RateLimit-Reset"]
    assert Run.objects.for_tenant(tenant).count() == 2


def test_what_is_older_than_a_minute_counts_no_more(api: Caller, workflow: dict[str, Any], tenant: Tenant) -> None:
    limit(tenant, 1)
    run = api.ok("POST", f"workflows/{workflow['id']}/runs/", {})["id"]
    first = Run.objects.for_tenant(tenant).select_related("workflow").get(pk=run)
    assert api("POST", f"workflows/{workflow['id']}/runs/", {}).status_code == 429
    first.workflow.refresh_from_db()
    run_at(first.workflow, ago(seconds=61))
    Run.objects.for_tenant(tenant).filter(pk=run).delete()
    assert api("POST", f"workflows/{workflow['id']}/runs/", {}).status_code == 202


def test_a_repeated_key_is_answered_whatever_the_limit(api: Caller, workflow: dict[str, Any], tenant: Tenant) -> None:
    limit(tenant, 1)
    path = f"workflows/{workflow['id']}/runs/"
    first = api.ok("POST", path, {}, Idempotency_Key="k")
    assert api.ok("POST", path, {}, Idempotency_Key="k") == first
    assert api("POST", path, {}, Idempotency_Key="other").status_code == 429
    limit(tenant, 2)
    # A refusal is not kept.
    assert api("POST", path, {}, Idempotency_Key="other").status_code == 202


def test_webhooks_people_and_reruns_share_it(
    api: Caller, workflow: dict[str, Any], tenant: Tenant, operator: User
) -> None:
    hook = api.ok("GET", "triggers/")["results"]
    url = next(row["url"] for row in hook if row["type"] == "webhook")
    Run.objects.for_tenant(tenant).delete()
    ended = api.ok("POST", f"workflows/{workflow['id']}/runs/", {})["id"]
    Run.objects.for_tenant(tenant).filter(pk=ended).update(status="failed", finished_at=ago(), wake_at=None)
    limit(tenant, 1)
    assert api("POST", f"runs/{ended}/rerun/", {}).status_code == 429
    refused = Client().post(url, "{}", content_type="application/json")
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    client = Client()
    client.force_login(operator)
    answer = client.post(f"/w/acme/workflows/{workflow['id']}/run/")
    assert answer.status_code == 302
    assert "at most 1 runs a minute" in str(next(iter(get_messages(answer.wsgi_request))))
    assert Run.objects.for_tenant(tenant).count() == 1


def test_a_bulk_rerun_stops_at_the_limit_and_says_when_to_go_on(
    api: Caller, workflow: dict[str, Any], tenant: Tenant
) -> None:
    run = api.ok("POST", f"workflows/{workflow['id']}/runs/", {})["id"]
    first = Run.objects.for_tenant(tenant).select_related("workflow").get(pk=run)
    first.workflow.refresh_from_db()
    for n in range(3):
        run_at(first.workflow, ago(minutes=5 - n), "failed")
    limit(tenant, 3)
    body = {"action": "rerun", "filter": {"status": "failed"}}
    answer = api.ok("POST", "runs/bulk/", body)
    assert (answer["done"], answer["left"], answer["refused"]) == (2, 1, [])
    assert answer["retry_after"] > 0
    limit(tenant, None)
    answer = api.ok("POST", "runs/bulk/", {**body, "cursor": answer["next"]})
    assert (answer["done"], answer["left"], answer["next"], answer["retry_after"]) == (1, 0, None, None)
