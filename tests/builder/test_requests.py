"""The draft is tested with the last real requests, after it was said what would really happen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.builder import requests as pages
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from runs import samples
from runs.models import Run, Sample
from runs.services import run_start
from tests.runs.ground import drive, step

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENT = {
    "name": "Leads",
    "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
    "steps": [step("first", inputs={"values": {"name": "{{ trigger.body.name }}", "by": "{{ trigger.method }}"}})],
}
ACTS = {"key": "tell", "action": "slack.sendMessage", "name": "Tell <all>", "config": {"inputs": {"channel": "#a"}}}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def builder(client: Client, editor: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(pages, "TEST_SECONDS", 0)
    client.force_login(editor)
    return client


def address(workflow: Workflow, tenant: str = "acme") -> str:
    return reverse("workflow-test-requests", args=[tenant, workflow.pk])


def arrived(name: str) -> dict[str, Any]:
    return {
        "type": "webhook", "key": "hook", "body": {"name": name}, "headers": {}, "query": {}, "method": "POST",
        "received_at": "2026-03-01T00:00:00Z",
    }  # fmt: skip


def keep(workflow: Workflow, name: str) -> Sample:
    trigger = Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow)
    return Sample.unscoped.create(tenant=workflow.tenant, workflow=workflow, trigger=trigger, document=arrived(name))


def began(workflow: Workflow, name: str, **more: Any) -> Run:
    workflow.refresh_from_db()
    assert workflow.published_version is not None
    return run_start(
        tenant=workflow.tenant, workflow=workflow, version=workflow.published_version, trigger=arrived(name),
        **{"trigger_type": "webhook", "trigger_key": "hook", **more},
    )  # fmt: skip


def names(page: Any) -> list[str]:
    return re.findall(r'name="use" value="([^"]+)" checked', page.content.decode())


def tried(workflow: Workflow) -> list[Run]:
    return list(Run.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, kind="test").order_by("-pk"))


def test_the_last_five_requests_are_offered_whether_or_not_they_started_a_run(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    kept = [keep(workflow, f"kept {number}") for number in range(3)]
    services.publish(actor=actor, workflow=workflow)
    runs = [began(workflow, f"live {number}") for number in range(3)]
    began(workflow, "by hand", trigger_type="manual", trigger_key="")
    began(workflow, "again", rerun_of=runs[0])
    began(workflow, "a test", kind="test")
    page = builder.get(address(workflow))
    wanted = [f"run-{run.pk}" for run in reversed(runs)] + [f"sample-{each.pk}" for each in reversed(kept[1:])]
    assert names(page) == wanted
    assert "kept 2" in page.text
    assert "really act" not in page.text


def test_the_draft_is_run_with_each_request_as_it_came_in_and_a_table_says_what_came_of_it(
    builder: Client, workflow: Workflow, tenant: Tenant
) -> None:
    for name in ("Ada", "Priya"):
        keep(workflow, name)
    answer = builder.post(address(workflow), {"use": names(builder.get(address(workflow)))})
    runs = tried(workflow)
    assert [run.trigger for run in reversed(runs)] == [arrived("Priya"), arrived("Ada")]
    assert answer.url == f"{address(workflow)}?runs={runs[1].pk}.{runs[0].pk}"
    page = builder.get(answer.url).text
    assert "Waits for a worker" in page
    assert 'hx-trigger="every 1000ms"' in page
    drive()
    part = builder.get(answer.url, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "hx-trigger" not in part, "nothing is asked any more once all have ended"
    assert re.findall(r'href="(/w/acme/runs/\d+/)"', part) == [f"/w/acme/runs/{run.pk}/" for run in reversed(runs)]
    assert part.count("1 step done") == 2
    outputs = [run.refresh().steps.get().output for run in reversed(tried(workflow))]
    assert outputs == [{"name": "Priya", "by": "POST"}, {"name": "Ada", "by": "POST"}]
    assert AuditEvent.objects.for_tenant(tenant).filter(action="run.started").count() == 2


def test_what_really_acts_is_said_before_it_is_done(builder: Client, actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document={**DOCUMENT, "steps": [*DOCUMENT["steps"], ACTS]})
    keep(workflow, "Ada")
    page = builder.get(address(workflow)).text
    assert "A step really acts, once for each request:" in page
    assert "Tell &lt;all&gt;" in page
    assert "Do it: run the draft with them" in page
    assert tried(workflow) == []


def test_only_chosen_requests_of_this_workflow_are_run(builder: Client, actor: Actor, workflow: Workflow) -> None:
    ours = [keep(workflow, f"n{number}") for number in range(7)]
    other = keep(services.workflow_create(actor=actor, document={**DOCUMENT, "name": "Other"}), "theirs")
    for use in ([], ["nonsense"], [f"sample-{other.pk}"], [f"run-{ours[0].pk}"], ["sample-²"], ["sample-" + "9" * 30]):
        answer = builder.post(address(workflow), {"use": use}, follow=True)
        assert "choose at least one request" in answer.text
    assert tried(workflow) == []
    builder.post(address(workflow), {"use": [f"sample-{ours[0].pk}", f"sample-{other.pk}", "x"]})
    assert [run.trigger["body"] for run in tried(workflow)] == [{"name": "n0"}]
    builder.post(address(workflow), {"use": [f"sample-{each.pk}" for each in ours]})
    assert len(tried(workflow)) == 1 + samples.REQUESTS_TESTED


def test_the_table_shows_tests_of_this_workflow_alone(builder: Client, actor: Actor, workflow: Workflow) -> None:
    services.publish(actor=actor, workflow=workflow)
    live = began(workflow, "Ada")
    for text in ("", "x", f"{live.pk}", "9" * 40, ".".join(["1"] * 900)):
        page = builder.get(f"{address(workflow)}?runs={text}")
        assert page.status_code == 200
        assert 'id="results"' not in page.text
        assert builder.get(f"{address(workflow)}?runs={text}", headers={"HX-Request": "true"}).status_code == 204


def test_who_may_not_edit_runs_nothing(client: Client, operator: User, workflow: Workflow) -> None:
    kept = keep(workflow, "Ada")
    client.force_login(operator)
    assert client.get(address(workflow)).status_code == 403
    assert client.post(address(workflow), {"use": f"sample-{kept.pk}"}).status_code == 403
    assert tried(workflow) == []


def test_an_empty_draft_or_no_request_says_so(builder: Client, actor: Actor, workflow: Workflow) -> None:
    assert "No requests yet" in builder.get(address(workflow)).text
    empty = services.workflow_create(actor=actor, document={**DOCUMENT, "name": "Empty", "steps": []})
    keep(empty, "Ada")
    assert "There is no step yet" in builder.get(address(empty)).text


def test_the_builder_leads_there(builder: Client, workflow: Workflow) -> None:
    assert f'href="{address(workflow)}"' in builder.get(reverse("workflow", args=["acme", workflow.pk])).text


def test_five_cost_as_much_as_one(builder: Client, workflow: Workflow) -> None:
    def asked(url: str) -> int:
        builder.get(url)
        with CaptureQueriesContext(connection) as queries:
            assert builder.get(url).status_code == 200
        return len(queries)

    keep(workflow, "Ada")
    one = builder.post(address(workflow), {"use": names(builder.get(address(workflow)))}).url
    few = asked(one)
    for number in range(6):
        keep(workflow, f"n{number}")
    five = builder.post(address(workflow), {"use": names(builder.get(address(workflow)))}).url
    assert asked(five) == few
