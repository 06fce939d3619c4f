"""Running a run again from its page: from any step of it, in a lane or an item too, with the same input or another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.tenants.models import Tenant
from runs.models import Run
from runs.pages.again import Again
from tests.runs.ground import drive, make_workflow, rows, start, step

pytestmark = pytest.mark.django_db(transaction=True)
BODY = {"n": 2, "names": ["Ada", "é"]}


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def make_run(tenant: Tenant, body: Any = BODY) -> Run:
    """Return a run of lanes, a loop and a step that was left out, driven to its end."""
    note = {"values": {"n": "{{ trigger.body.n }}"}}
    lanes = {"left": [step("a"), step("b", inputs=note)], "right": [step("c")]}
    each = step("each", "flow.foreach", inputs={"items": [1, 2, 3]})
    steps = [
        {**step("both", "flow.parallel", inputs={}), "lanes": lanes},
        {**each, "lanes": {"body": [step("send"), step("tell", inputs=note)]}},
        step("never", run_if="{{ false }}"),
    ]
    run = start(make_workflow(tenant, *steps), body)
    drive()
    return run.refresh()


def form(browser: Client, run: Run, selected: str) -> Again | None:
    found: Again | None = browser.get(reverse("run", args=["acme", run.pk]), {"step": selected}).context["page"].again
    return found


def send(browser: Client, run: Run, **posted: str) -> Any:
    return browser.post(reverse("run-rerun", args=["acme", run.pk]), posted)


def latest(run: Run) -> Run:
    drive()
    return Run.objects.for_tenant(run.tenant_id).filter(rerun_of=run).latest("pk")


@pytest.mark.parametrize(
    ("selected", "start_at", "anew"),
    [
        ("b", "b", {"b", "each"}),
        ("c", "c", {"c", "each"}),
        ("each[1].tell", "each[1].tell", {"each[1].tell"}),
        ("each[1]", "each[1].send", {"each[1].send", "each[1].tell"}),
        ("@trigger", "", {"a", "b", "c", "each", "each[0].send", "each[2].tell"}),
    ],
)
def test_a_run_starts_again_from_what_is_selected_with_another_input(
    browser: Client, tenant: Tenant, selected: str, start_at: str, anew: set[str]
) -> None:
    run = make_run(tenant)
    found = form(browser, run, selected)
    assert found is not None
    assert (found.from_path, json.loads(found.text or ""), found.is_open) == (start_at, BODY, not start_at)
    answer = send(browser, run, **{"from": start_at}, input=(found.text or "").replace("2", "7").replace("\n", "\r\n"))
    again = latest(run)
    assert answer.headers["Location"] == reverse("run", args=["acme", again.pk])
    assert (again.status, again.trigger["body"]) == ("succeeded", {**BODY, "n": 7})
    ran = {row.path for row in rows(again)}
    assert anew <= ran
    if start_at:
        assert ("a" in ran, "each[0].send" in ran) == (False, "each[" not in start_at)
    gave = {row.path: row.output for row in rows(again)}
    assert [gave[path] for path in ("b", "each[1].tell") if path in anew] == [
        {"n": 7} for path in ("b", "each[1].tell") if path in anew
    ]


def test_an_input_that_was_not_changed_leaves_all_that_came_with_it(browser: Client, tenant: Tenant) -> None:
    run = make_run(tenant)
    Run.unscoped.filter(pk=run.pk).update(trigger={**run.trigger, "headers": {"x": "1"}}, trigger_type="webhook")
    send(browser, run, input=json.dumps(BODY, indent=2))
    again = latest(run)
    assert (again.trigger_type, again.trigger["headers"]) == ("webhook", {"x": "1"})
    send(browser, run, input=json.dumps(BODY | {"n": True}))
    assert latest(run).trigger["body"]["n"] is True


@pytest.mark.parametrize("start_at", ["", "b", "each[1].tell"])
def test_an_input_that_is_no_json_is_shown_as_it_was_typed(browser: Client, tenant: Tenant, start_at: str) -> None:
    run = make_run(tenant)
    answer = send(browser, run, **{"from": start_at}, input="{n: 2}<b>")
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "{n: 2}&lt;b&gt;</textarea>" in html
    assert "This was not taken: not valid JSON" in html
    assert '<details class="sec" id="again" open>' in html
    assert 'aria-invalid="true" autofocus' in html, "far down on the page, so it is gone to"
    assert Run.objects.for_tenant(tenant).count() == 1


@pytest.mark.parametrize("start_at", ["zzz", "other[1].tell", "[[", "a" * 3000])
def test_a_step_that_it_cannot_start_from_is_told(browser: Client, tenant: Tenant, start_at: str) -> None:
    run = make_run(tenant)
    wrong = send(browser, run, **{"from": start_at}, input="{")
    assert (wrong.status_code, 'role="alert"' in wrong.content.decode()) == (422, True)
    assert send(browser, run, **{"from": start_at}, input="{}").status_code == 302
    assert 'role="alert"' in browser.get(reverse("run", args=["acme", run.pk])).content.decode()
    assert Run.objects.for_tenant(tenant).count() == 1


def test_what_cannot_start_again_has_no_form(browser: Client, client: Client, tenant: Tenant, viewer: User) -> None:
    run = make_run(tenant)
    assert form(browser, run, "never") is None
    Run.unscoped.filter(pk=run.pk).update(status="waiting", finished_at=None)
    assert form(browser, run, "b") is None
    Run.unscoped.filter(pk=run.pk).update(status="failed", finished_at=run.finished_at, kind="step")
    assert form(browser, run, "b") is None
    Run.unscoped.filter(pk=run.pk).update(kind="live")
    assert form(browser, run, "b") is not None
    client.force_login(viewer)
    assert form(client, run, "b") is None


def test_a_large_or_odd_input_breaks_no_page(browser: Client, tenant: Tenant) -> None:
    large = form(browser, make_run(tenant, {"n": "x" * 30_000}), "b")
    assert large is not None
    assert large.text is None
    run = Run.objects.for_tenant(tenant).latest("pk")
    Run.unscoped.filter(pk=run.pk).update(trigger={"type": "manual", "body": "\ud83d half </textarea>"})
    odd = form(browser, run, "b")
    assert odd is not None
    assert odd.text == '"\\ud83d half </textarea>"'
    send(browser, run, **{"from": "b"})
    assert latest(run).trigger["body"] == "\ud83d half </textarea>"
