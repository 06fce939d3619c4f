"""The list of runs keeps up: what is new comes on top, or is only told while nothing may move."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.models import Run
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import ago, run_at

pytestmark = pytest.mark.django_db
LIST = "/w/acme/runs/"


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("only"), slug="orders")


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


@pytest.fixture
def poll(browser: Client) -> Callable[..., Any]:
    """Ask at the address that an answer names, like the page does."""

    def ask(answer: HttpResponse, more: str = "") -> Any:
        found = re.search(r'hx-get="([^"]+)"', answer.content.decode())
        assert found, "the page does not ask again"
        return browser.get(html.unescape(found[1]) + more, headers={"HX-Request": "true"})

    return ask


def shown(answer: HttpResponse) -> list[int]:
    return [int(pk) for pk in re.findall(r'id="run-(\d+)"', answer.content.decode())]


def told_new(answer: HttpResponse) -> str:
    found = re.search(r"</svg>(\d+ new)</a>", answer.content.decode())
    return found[1] if found else ""


def touch(run: Run, **values: Any) -> None:
    Run.unscoped.filter(pk=run.pk).update(revision=run.revision + 1, **values)


def test_nothing_is_sent_while_nothing_changed(browser: Client, poll: Any, workflow: Workflow) -> None:
    for number in range(1, 61):
        run_at(workflow, ago(minutes=number))
    page = browser.get(LIST)
    with CaptureQueriesContext(connection) as queries:
        assert poll(page).status_code == 204
    # The session, the person, the membership, the newest run, and the revisions of those that are shown.
    assert len(queries) == 5
    assert poll(page, "&held=1").status_code == 204


def test_new_runs_come_on_top(browser: Client, poll: Any, workflow: Workflow) -> None:
    old = run_at(workflow, ago(minutes=5))
    page = browser.get(LIST)
    new = run_at(workflow, status="running")
    answer = poll(page)
    assert shown(answer) == [new.pk, old.pk]
    assert 'class="st live" hx-swap-oob="true"' in answer.content.decode()
    assert "Live, 1 running" in answer.content.decode()
    assert poll(answer).status_code == 204
    empty = browser.get(f"{LIST}?status=queued")
    assert shown(empty) == []
    queued = run_at(workflow, status="queued")
    assert shown(poll(empty, "&held=1")) == [queued.pk]


def test_a_change_of_a_run_that_is_shown_is_sent(browser: Client, poll: Any, workflow: Workflow) -> None:
    run = run_at(workflow, ago(minutes=5), "waiting")
    page = browser.get(f"{LIST}?status=waiting")
    touch(run, status="succeeded", finished_at=run.started_at)
    assert shown(poll(page)) == []
    held = poll(page, "&held=1")
    assert shown(held) == [run.pk]
    assert "Succeeded" in held.content.decode()


def test_while_something_is_chosen_or_read_further_down_new_runs_are_told(
    browser: Client, poll: Any, workflow: Workflow
) -> None:
    made = [run_at(workflow, ago(minutes=n)) for n in (2, 1)]
    page = browser.get(f"{LIST}?workflow={workflow.pk}")
    picked = f"&run={made[0].pk}"
    run_at(workflow)
    answer = poll(page, picked)
    assert shown(answer) == [made[1].pk, made[0].pk]
    assert told_new(answer) == "1 new"
    assert re.findall(r'value="(\d+)" checked', answer.content.decode()) == [str(made[0].pk)]
    assert f'href="{LIST}?workflow={workflow.pk}"' in answer.content.decode()
    assert poll(answer, picked).status_code == 204
    run_at(workflow)
    touch(made[1], status="cancelled")
    answer = poll(answer, "&held=1")
    assert told_new(answer) == "2 new"
    assert "Cancelled" in answer.content.decode()
    assert len(shown(poll(answer))) == 4, "all of them once nothing holds them"


def test_what_the_filters_hide_is_not_new(browser: Client, poll: Any, workflow: Workflow) -> None:
    run_at(workflow, ago(minutes=5), "failed")
    page = browser.get(f"{LIST}?status=failed")
    run_at(workflow)
    assert poll(page).status_code == 204
    bad = run_at(workflow, status="failed")
    assert shown(poll(page))[0] == bad.pk


def test_older_pages_and_searches_stay_as_they_are(browser: Client, workflow: Workflow) -> None:
    for number in range(1, 61):
        run_at(workflow, ago(minutes=number), body="ada")
    last = shown(browser.get(LIST))[-1]
    for query in (f"before={last}", f"after={last}", "q=ada"):
        answer = browser.get(f"{LIST}?{query}")
        assert shown(answer)
        assert "hx-get" not in answer.content.decode()


def test_another_tenants_runs_are_neither_new_nor_changed(
    browser: Client, poll: Any, workflow: Workflow, other_tenant: Tenant
) -> None:
    run_at(workflow, ago(minutes=1))
    page = browser.get(LIST)
    theirs = run_at(make_workflow(other_tenant, step("only"), slug="theirs"), status="running")
    assert poll(page).status_code == 204
    answer = browser.get(f"{LIST}?shown={theirs.pk}&held=1&seen=1&revision=9", headers={"HX-Request": "true"})
    assert shown(answer) == []
    assert "Live, none running" in answer.content.decode()
