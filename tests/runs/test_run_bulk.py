"""Many runs are chosen by their boxes: run again, stopped, or taken along as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows.models import Workflow
from runs.models import Run
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import ago, run_at
from tests.runs.loops_ground import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("only"), slug="orders")


@pytest.fixture
def send(client: Client, operator: User) -> Callable[..., Any]:
    client.force_login(operator)

    def post(do: str, *runs: Any, name: str = "run-bulk", **more: Any) -> Any:
        # What was told before is gone from the page.
        client.cookies.pop("messages", None)
        return client.post(reverse(name, args=["acme"]), {"do": do, "run": runs, **more})

    return post


def told(answer: HttpResponse) -> list[tuple[str, str]]:
    return [(message.level_tag, str(message)) for message in get_messages(answer.wsgi_request)]  # type: ignore[attr-defined]


def test_chosen_runs_are_run_again_with_their_own_input(send: Any, workflow: Workflow, tenant: Tenant) -> None:
    runs = [run_at(workflow, ago(minutes=n), "failed", body={"n": n}) for n in (1, 2)]
    answer = send("again", *[run.pk for run in runs])
    assert told(answer) == [("success", "2 runs were started again.")]
    made = Run.objects.for_tenant(tenant).filter(rerun_of__isnull=False)
    assert {run.rerun_of_id: run.trigger["body"] for run in made} == {runs[0].pk: {"n": 1}, runs[1].pk: {"n": 2}}
    assert AuditEvent.objects.for_tenant(tenant).filter(action="run.rerun").count() == 2


def test_of_each_that_is_refused_it_says_why_and_the_others_are_done(
    send: Any, workflow: Workflow, tenant: Tenant
) -> None:
    ended = run_at(workflow, ago(minutes=1))
    open_ones = [run_at(workflow, ago(minutes=n), "waiting") for n in (3, 2)]
    names = ", ".join(f"#{str(run.pk)[-6:]}" for run in open_ones)
    answer = send("again", ended.pk, *[run.pk for run in open_ones])
    assert told(answer) == [
        ("success", "1 run was started again."),
        (
            "error",
            f"Not run again: {names}. This run has not ended. Wait for its end or cancel it, then run it again.",
        ),
    ]
    answer = send("stop", ended.pk, *[run.pk for run in open_ones])
    assert told(answer)[0] == ("success", "2 runs were stopped.")
    assert told(answer)[1][1].startswith(f"Not stopped: #{str(ended.pk)[-6:]}. This run has ended")
    assert {Run.objects.for_tenant(tenant).get(pk=run.pk).status for run in open_ones} == {"cancelled"}


def test_nothing_is_done_to_nothing_to_too_many_and_to_what_is_gone(send: Any, workflow: Workflow) -> None:
    assert told(send("again")) == [("error", "Choose runs first: tick the boxes before them.")]
    assert told(send("again", *range(1, 52))) == [("error", "Choose at most 50 runs at once.")]
    assert told(send("stop", "x", "9" * 30, "\0", 5))[0] == ("error", "4 chosen runs are not there any more.")
    run = run_at(workflow)
    assert told(send("odd", run.pk)) == [("error", "Choose what is to be done: run again, or stop.")]
    assert Run.unscoped.count() == 1


def test_another_tenants_runs_are_not_there(send: Any, workflow: Workflow, other_tenant: Tenant) -> None:
    theirs = run_at(make_workflow(other_tenant, step("only"), slug="theirs"), ago(minutes=1), "waiting")
    for do in ("again", "stop"):
        assert told(send(do, theirs.pk)) == [("error", "1 chosen run is not there any more.")]
    assert send("", theirs.pk, name="run-export").status_code == 302
    assert Run.unscoped.get().status == "waiting"


def test_one_comes_back_to_the_list_as_it_was(send: Any, workflow: Workflow) -> None:
    run = run_at(workflow, ago(minutes=1))
    assert send("stop", run.pk, back="status=failed&q=a%26b").url == "/w/acme/runs/?status=failed&q=a%26b"
    for back in ("", "//evil.test", "https://evil.test/", "\r\nSet-Cookie: a=b", "a" * 9_000, "&" * 3_000):
        answer = send("stop", run.pk, back=back)
        assert answer.status_code == 302
        assert answer.url.startswith("/w/acme/runs/")


def test_a_viewer_may_take_runs_along_but_neither_run_nor_stop_them(
    client: Client, viewer: User, workflow: Workflow, tenant: Tenant
) -> None:
    client.force_login(viewer)
    run = run_at(workflow, ago(minutes=1), "waiting")
    page = client.get(reverse("run-list", args=["acme"])).content.decode()
    assert ">Export<" in page
    assert 'value="again"' not in page
    assert 'value="stop"' not in page
    for do in ("again", "stop"):
        assert client.post(reverse("run-bulk", args=["acme"]), {"do": do, "run": run.pk}).status_code == 403
    assert Run.objects.for_tenant(tenant).get().status == "waiting"
    assert client.post(reverse("run-export", args=["acme"]), {"run": run.pk}).status_code == 200


def test_the_file_has_the_apis_document_of_each_run_a_line(
    send: Any, workflow: Workflow, client: Client, tenant: Tenant
) -> None:
    runs = [run_at(workflow, ago(minutes=n), body={"bad": "\ud800", "name": "Ada\n"}) for n in (2, 1)]
    for run in runs:
        rows = Rows(run)
        rows.add("only", output={"n": 1})
        rows.save()
    answer = send("", *[run.pk for run in runs], name="run-export")
    assert answer["Content-Type"] == "application/x-ndjson"
    assert answer["Content-Disposition"].startswith('attachment; filename="runs-')
    assert answer["Cache-Control"] == "private, no-store"
    lines = b"".join(answer.streaming_content).splitlines()
    documents = [json.loads(line) for line in lines]
    assert [document["id"] for document in documents] == [str(run.pk) for run in runs]
    page = client.get(reverse("run-json", args=["acme", runs[0].pk]))
    assert documents[0] == page.json()
    assert documents[0]["steps"][0]["output"] == {"n": 1}


def test_nobody_is_let_in_without_a_session(workflow: Workflow) -> None:
    for name in ("run-bulk", "run-export"):
        answer = Client().post(reverse(name, args=["acme"]), {"run": 1})
        assert answer.status_code == 302
        assert "/sign-in/" in answer["Location"]
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.create_user(name))
        assert strict.post(reverse(name, args=["acme"]), {"run": 1}).status_code == 403
