"""A workflow's settings say which values of a run stand in its line of the list."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs.models import Run
from runs.pages.listing import _runs
from runs.pages.rows import run_rows
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import run_at
from tests.runs.loops_ground import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def showing(workflow: Workflow, *paths: str) -> Workflow:
    workflow.settings = {"summary": list(paths)}
    workflow.save()
    return workflow


def said(tenant: Tenant, *runs: Run) -> list[str]:
    return [", ".join(row.data) for row in run_rows(tenant, _runs(tenant, [run.pk for run in runs]))]


def made(workflow: Workflow, body: Any = None, **outputs: Any) -> Run:
    """Return a run that ended, of which these steps gave these outputs."""
    run = run_at(workflow, body=body)
    rows = Rows(run)
    for key, output in outputs.items():
        rows.add(key, output=output)
    rows.save()
    return run


def test_a_line_shows_the_values_that_were_chosen(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("look"), step("save"))
    body = {
        "email": "ada@acme.test",
        "lines": [1, 2],
        "plan": {"name": "gold"},
        "paid": True,
        "none": None,
        "empty": "",
    }
    run = made(workflow, body, look={"body": {"name": "Acme", "people": [{"id": 7}]}}, save="kept")
    for paths, told in (
        ((), "email ada@acme.test, 2 lines"),
        (("trigger.body.email",), "email ada@acme.test"),
        (("steps.look.output.body.name", "trigger.body.email"), "name Acme, email ada@acme.test"),
        (("steps.look.output.body.people[0].id",), "id 7"),
        (("steps.save.output", "trigger.body.lines", "trigger.body.paid"), "save kept, 2 lines, paid true"),
        (("trigger.body.plan",), 'plan {"name": "gold"}'),
        (("trigger.body['email']",), "email ada@acme.test"),
    ):
        showing(workflow, *paths)
        assert said(tenant, run) == [told], paths


def test_what_is_not_there_is_left_out(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("look"))
    run = made(workflow, {"none": None, "empty": "", "list": [], "text": "a"}, look={"body": "x"})
    for path in (
        "trigger.body.none", "trigger.body.empty", "trigger.body.gone", "trigger.body.text.more",
        "trigger.body.list[0]", "steps.look.output.body.name", "steps.gone.output", "steps.look.error", "vars.secret",
        "no path at all", "",
    ):  # fmt: skip
        showing(workflow, path, "trigger.body.text")
        assert said(tenant, run) == ["text a"], path
    showing(workflow, "trigger.body.list")
    assert said(tenant, run) == ["0 list"]
    workflow.settings = {"summary": "nonsense"}
    workflow.save()
    assert said(tenant, run) == ["text a"], "settings that are none choose nothing"


def test_a_step_that_did_not_succeed_gave_nothing(tenant: Tenant) -> None:
    workflow = showing(make_workflow(tenant, step("look")), "steps.look.output.name")
    run = run_at(workflow, status="failed")
    rows = Rows(run)
    rows.add("look", "failed", attempt=1, retry_at=rows.at, output={"name": "first"})
    rows.save()
    assert said(tenant, run) == [""]
    rows.made.clear()
    rows.add("look", attempt=2, output={"name": "second"})
    rows.save()
    assert said(tenant, run) == ["name second"]


def test_values_are_cut_and_what_looks_like_a_secret_is_masked(tenant: Tenant) -> None:
    workflow = showing(make_workflow(tenant, step("look")), "trigger.body.text", "trigger.body.password")
    run = made(workflow, {"text": "word\n" * 100, "password": "hunter2hunter2"})
    (text,) = said(tenant, run)
    assert text == f"text {('word ' * 100)[:59]}…, password ••••••"
    workflow = showing(workflow, "trigger.headers.authorization", "trigger.body.url")
    run = made(workflow, {"url": "https://ada:hunter2@acme.test"})
    Run.unscoped.filter(pk=run.pk).update(
        trigger={"headers": {"authorization": "Bearer abcdefghij0123456789"}, "body": run.trigger["body"]}
    )
    assert said(tenant, run) == ["authorization ••••••, url https://••••••@acme.test"]


def test_longer_values_are_read_where_they_were_chosen_and_very_long_ones_never(tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("look"))
    long = made(workflow, {"pad": "x" * 8_000, "name": "Ada"}, look={"pad": "x" * 8_000, "name": "Acme"})
    longer = made(workflow, {"pad": "x" * 20_000, "name": "Ada"}, look={"pad": "x" * 20_000, "name": "Acme"})
    assert said(tenant, long) == [""]
    showing(workflow, "trigger.body.name", "steps.look.output.name")
    assert said(tenant, long) == ["name Ada, name Acme"]
    assert said(tenant, longer) == [""]


def test_each_workflow_shows_its_own(browser: Client, tenant: Tenant) -> None:
    one = showing(make_workflow(tenant, step("look"), slug="one"), "steps.look.output.name")
    two = showing(make_workflow(tenant, step("look"), slug="two"), "trigger.body.name")
    made(one, {"name": "of a trigger"}, look={"name": "<b>of a step</b>"})
    made(two, {"name": "of a trigger"}, look={"name": "of a step"})
    page = browser.get("/w/acme/runs/").content.decode()
    assert "name &lt;b&gt;of a step&lt;/b&gt;" in page
    assert page.count("name of a trigger") == 1
    assert "name of a step" not in page


def test_many_runs_cost_two_queries_more(browser: Client, tenant: Tenant) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/w/acme/runs/").status_code == 200
        return len(queries)

    workflows = [make_workflow(tenant, step("look"), slug=f"w{number}") for number in range(3)]
    for workflow in workflows:
        made(workflow, {"name": "Ada", "pad": "x" * 5_000}, look={"name": "Acme"})
    browser.get("/w/acme/runs/")
    before = asked()
    showing(workflows[0], "trigger.body.name", "steps.look.output.name")
    assert asked() == before + 2
    for workflow in workflows:
        showing(workflow, "trigger.body.name", "steps.look.output.name")
        for _ in range(4):
            made(workflow, {"name": "Ada", "pad": "x" * 5_000}, look={"name": "Acme"})
    assert asked() == before + 2
    for workflow in workflows:
        showing(workflow, "trigger.type")
    assert asked() == before + 1, "nothing is read of steps that nobody chose"
