"""The home page and the list of workflows: the day in a sentence, what needs a person, and a bounded look at runs."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from orchestrator.builder import workflow_rows
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Trigger, Workflow
from orchestrator.workflows.services import workflow_create
from runs import overview
from runs.models import Run
from tests.runs.ground import drive, make_workflow, step
from tests.runs.loops_ground import Rows, new_run

pytestmark = pytest.mark.django_db
HOSTILE = "<script>alert(1)</script>\u202e\"' " + "w" * 150
HOME = "/w/acme/"
LIST = "/w/acme/workflows/"


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def said(text: str) -> str:
    found = re.search(r'<p class="soft">(.*?)</p>', text)
    assert found
    return html.unescape(found[1])


def needs(text: str) -> list[tuple[str, str, str]]:
    """Return name, reason and button of what needs a person."""
    part = text.partition('<ul class="at2">')[2].partition("</ul>")[0]
    rows = re.findall(
        r'<a class="nm"[^>]*>(.*?)</a> <span class="soft">(.*?)</span>.*?<a class="b sm"[^>]*>(.*?)<span',
        part,
        re.DOTALL,
    )
    return [(html.unescape(name), html.unescape(reason), button) for name, reason, button in rows]


def listed(text: str) -> list[tuple[str, str]]:
    """Return name and status of each line of the table."""
    rows = re.findall(r'<a class="nm brk"[^>]*>(.*?)</a>.*?<span class="st \w+">.*?</svg>(.*?)</span>', text, re.DOTALL)
    return [(html.unescape(name), word) for name, word in rows]


def failed(workflow: Workflow, message: str = "not_in_channel", path: str = "a") -> Run:
    run = new_run(workflow, "failed")
    error = {"kind": "permanent", "message": message, "hint": "", "retryable": False, "path": path}
    Run.unscoped.filter(pk=run.pk).update(error=error, failure_kind="permanent")
    return run


def test_the_day_is_one_sentence(browser: Client, tenant: Tenant) -> None:
    assert said(browser.get(HOME).text) == "Nothing runs yet. Start with a request, or look at an example."
    good, bad = (make_workflow(tenant, step("a"), slug=slug) for slug in ("good", "bad"))
    assert said(browser.get(HOME).text) == "No runs yet today. Nothing needs you."
    for _ in range(3):
        new_run(good)
    failed(bad)
    assert said(browser.get(HOME).text) == "3 of 4 runs succeeded today. One thing needs you."
    failed(bad, "another cause")
    assert said(browser.get(HOME).text) == "3 of 5 runs succeeded today. Two things need you."


def test_failures_are_grouped_by_cause_with_the_latest_run(browser: Client, tenant: Tenant) -> None:
    workflow = make_workflow(tenant, {**step("a"), "name": "Tell sales"}, slug="leads")
    for _ in range(2):
        failed(workflow)
    last = failed(workflow)
    text = browser.get(HOME).text
    assert needs(text) == [("Leads", "3 runs stopped at “Tell sales”: not_in_channel", "See the run")]
    assert f'href="/w/acme/runs/{last.pk}/"' in text
    assert listed(text) == [("Leads", "Failing")]
    # What went well since, or was switched off, asks for nobody.
    new_run(workflow)
    assert needs(browser.get(HOME).text) == []
    failed(workflow)
    Workflow.unscoped.filter(pk=workflow.pk).update(enabled=False)
    text = browser.get(HOME).text
    assert (needs(text), listed(text)) == ([], [("Leads", "Off")])


def test_a_credential_that_fails_has_the_button_of_the_role(
    client: Client, tenant: Tenant, editor: User, viewer: User
) -> None:
    actor = actor_for_user(editor, tenant.slug)
    row = credential_create(
        actor=actor, name="team", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-1"}
    )
    Credential.unscoped.filter(pk=row.pk).update(health="reconnect")
    make_workflow(tenant, step("a"))
    for user, button, address in ((editor, "Enter a new one", "?edit=1"), (viewer, "See it", "")):
        client.force_login(user)
        text = client.get(HOME).text
        assert needs(text) == [("team", "The provider refuses it.", button)]
        assert f'class="b sm" href="/w/acme/credentials/{row.pk}/{address}"' in text
    Credential.unscoped.filter(pk=row.pk).update(health="expiring")
    assert needs(client.get(HOME).text) == [("team", "It ends soon.", "See it")]


def test_a_sign_in_that_has_to_be_made_leads_to_its_button(browser: Client, tenant: Tenant, editor: User) -> None:
    secret = {"client_id": "app", "client_secret": "of the app"}
    actor = actor_for_user(editor, tenant.slug)
    row = credential_create(actor=actor, name="crm", provider="slack", auth_type="oauth2", secret=secret)
    text = browser.get("/w/acme/").content.decode()
    assert re.search(rf'href="/w/acme/credentials/{row.pk}/"[^>]*>[^<]*Connect<', text)
    assert "Enter a new one" not in text


def test_a_question_is_shown_to_whom_it_is_put(client: Client, tenant: Tenant, operator: User, viewer: User) -> None:
    workflow = make_workflow(tenant, step("ok", "flow.approve", inputs={"message": "x"}), slug="refunds")
    run = new_run(workflow, "waiting", waiting_for={"path": "ok", "kind": "approval"})
    rows = Rows(run)
    rows.at -= timedelta(minutes=42)
    rows.add("ok", "waiting", action="flow.approve", inputs={"message": f"Refund {HOSTILE}?\n\nNow."})
    rows.save()
    client.force_login(operator)
    text = client.get(HOME).text
    ((name, reason, button),) = needs(text)
    assert (name, button) == ("Refunds", "Answer")
    assert reason.endswith("asked 42 min ago")
    assert "<script>alert" not in text
    assert f'href="/w/acme/runs/{run.pk}/"' in text
    client.force_login(viewer)
    assert needs(client.get(HOME).text) == []


def test_a_line_says_what_ran_how_long_and_what_comes_next(browser: Client, tenant: Tenant) -> None:
    workflow = make_workflow(tenant, step("a"), slug="sync")
    run = new_run(workflow)
    text = browser.get(HOME).text
    assert '<td class="rl num hide">3.00 s</td>' in text
    assert f'<a class="over" href="/w/acme/runs/{run.pk}/">' in text
    assert text.count('<rect class="') == 24
    assert text.count('<rect class="o"') == 1
    Trigger.unscoped.create(
        tenant=tenant, workflow=workflow, key="s", type="schedule", next_fire_at=timezone.now() + timedelta(minutes=3.5)
    )
    text = browser.get(HOME).text
    assert "in 3 min" in text
    assert "Schedule" in text


def test_who_may_only_read_gets_nothing_to_press(client: Client, viewer: User, tenant: Tenant) -> None:
    client.force_login(viewer)
    for address in (HOME, LIST):
        text = client.get(address).text
        assert "workflow-new" not in text
        assert "New workflow" not in text
        assert "Run it" not in text
        assert "An editor of this tenant can make the first one." in text


def test_one_press_runs_an_example_and_its_page_says_so(browser: Client, tenant: Tenant) -> None:
    text = browser.get(HOME).text
    slugs = re.findall(r'name="run" value="([\w-]+)"', text)
    assert len(slugs) == 3
    answer = browser.post(reverse("workflow-examples", args=["acme"]), {"run": "example-order"})
    run = Run.objects.for_tenant(tenant).get()
    assert answer["Location"] == reverse("run", args=["acme", run.pk])
    assert Workflow.objects.for_tenant(tenant).count() == 3


@pytest.mark.django_db(transaction=True)
def test_the_examples_run_that_was_started_succeeds(browser: Client, tenant: Tenant) -> None:
    answer = browser.post(reverse("workflow-examples", args=["acme"]), {"run": "example-order"})
    drive()
    text = browser.get(answer["Location"]).text
    assert Run.objects.for_tenant(tenant).get().status == "succeeded"
    assert "<h1>Finished in " in text


@pytest.mark.parametrize("run", ["", "nothing", "\x00", "<script>", "x" * 5_000])
def test_an_example_that_is_not_there_runs_nothing(browser: Client, tenant: Tenant, run: str) -> None:
    answer = browser.post(reverse("workflow-examples", args=["acme"]), {"run": run}, follow=True)
    assert answer.status_code == 200
    assert "3 examples are ready to run." in answer.text
    assert not Run.objects.for_tenant(tenant).exists()


def test_runs_that_cannot_be_read_leave_the_rest_of_the_page(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_workflow(tenant, step("a"), slug="orders")

    def broken(*_given: object) -> Any:
        raise DatabaseError("disk I/O error")

    monkeypatch.setattr(overview, "today", broken)
    text = browser.get(HOME).text
    assert "Run history is not reachable." in text
    assert "disk I/O" not in text
    assert listed(text) == [("Orders", "Published")]
    assert [record.message for record in caplog.records] == ["The runs of a tenant cannot be read."]


def grow(tenant: Tenant, user: User, count: int) -> None:
    for number in range(count):
        workflow = make_workflow(tenant, step("a"), slug=f"w{Workflow.objects.for_tenant(tenant).count()}")
        new_run(workflow)
        if number % 3 == 0:
            failed(workflow)


def test_the_number_of_queries_does_not_grow(browser: Client, tenant: Tenant, editor: User) -> None:
    counts: dict[str, list[int]] = {HOME: [], LIST: []}
    for count in (3, 20):
        grow(tenant, editor, count)
        for address, seen in counts.items():
            browser.get(address)
            with CaptureQueriesContext(connection) as queries:
                assert browser.get(address).status_code == 200
            seen.append(len(queries))
    # One for each failing workflow, of which ten at most are shown; two for triggers by which nothing comes.
    assert counts[HOME][1] <= counts[HOME][0] + overview.FAILING_SHOWN - 1 <= 30
    assert counts[LIST][0] == counts[LIST][1] <= 11


def test_a_tenant_with_very_many_runs_is_counted_to_a_bound(
    browser: Client, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "COUNTED", 20)
    monkeypatch.setattr(overview, "_NEWEST", 10)
    busy, rare = (make_workflow(tenant, step("a"), slug=slug) for slug in ("busy", "rare"))
    new_run(rare)
    for _ in range(30):
        new_run(busy)
    assert said(browser.get(HOME).text) == "Of the last 20 runs, 20 succeeded. Nothing needs you."
    days = overview.activity(tenant, [busy.pk, rare.pk])
    assert (days[busy.pk].hours[-1].total, days[rare.pk].hours[-1].total) == (10, 1)
    assert [hour.is_known for hour in days[busy.pk].hours] == [False] * 23 + [True]
    assert all(hour.is_known for hour in days[rare.pk].hours)
    bars = workflow_rows.bars(days[busy.pk].hours)
    assert bars.label == "0 of 1 hours had failures; those before are not counted"
    assert len(bars.rects) == 24


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="reads the plans of SQLite")
def test_every_look_at_runs_goes_by_an_index(browser: Client, tenant: Tenant) -> None:
    for number in range(3):
        workflow = make_workflow(tenant, step("a"), slug=f"w{number}")
        new_run(workflow)
        failed(workflow)
    for address in (HOME, LIST, f"{LIST}?sort=last&status=failing"):
        with CaptureQueriesContext(connection) as queries:
            browser.get(address)
        for sql in [query["sql"] for query in queries if "runs_run" in query["sql"]]:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
                plan = [str(row[3]) for row in cursor.fetchall()]
            assert not [line for line in plan if re.match(r"SCAN (runs_run|U0|V0)\b", line)], (sql, plan)


def shown(browser: Client, **given: str) -> list[tuple[str, str]]:
    answer = browser.get(LIST, given)
    assert answer.status_code == 200
    return listed(answer.text)


def test_the_list_is_searched_narrowed_and_sorted(browser: Client, tenant: Tenant, editor: User) -> None:
    first, second, third = (make_workflow(tenant, step("a"), slug=slug) for slug in ("charlie", "bravo", "alpha"))
    workflow_create(actor=actor_for_user(editor, "acme"), document={"name": "Delta"})
    new_run(second)
    failed(first)
    Workflow.unscoped.filter(pk=third.pk).update(enabled=False)
    every = [("Alpha", "Off"), ("Bravo", "Healthy"), ("Charlie", "Failing"), ("Delta", "Draft")]
    assert shown(browser) == every
    assert shown(browser, sort="last") == [every[2], every[1], every[0], every[3]]
    assert shown(browser, q="RAV") == [every[1]]
    for status, row in zip(("disabled", "healthy", "failing", "draft"), every, strict=True):
        assert shown(browser, status=status) == [row]
    assert shown(browser, status="running") == []
    new_run(second, "running")
    assert shown(browser, status="running") == [("Bravo", "Running")]


def test_every_status_that_can_be_chosen_has_a_word(browser: Client) -> None:
    options = re.findall(r'<option value="(\w+)">([^<]+)<', browser.get(LIST).text)
    assert [value for value, _word in options] == list(overview.STANDINGS)
    assert all(word[0].isupper() for _value, word in options)


def test_pages_keep_what_the_list_is_narrowed_to(
    browser: Client, tenant: Tenant, editor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_rows, "PAGE_ROWS", 2)
    for number in range(5):
        workflow_create(actor=actor_for_user(editor, "acme"), document={"name": f"Same & {number}"})
    answer = browser.get(LIST, {"q": "same &", "status": "draft", "sort": "last", "page": "2"})
    assert len(listed(answer.text)) == 2
    (following,) = re.findall(r'href="\?([^"]*page=3)"', answer.text)
    rest = browser.get(f"{LIST}?{html.unescape(following)}").text
    assert len(listed(rest)) == 1
    assert 'value="same &amp;"' in rest


@pytest.mark.parametrize(
    "query",
    ["q=%00", "q=%25", "status=nothing&sort=x&page=x", "page=-1", "page=999999999999999999999", "q=" + "a" * 3_000],
)
def test_garbage_in_the_address_is_no_fault(browser: Client, tenant: Tenant, query: str) -> None:
    make_workflow(tenant, step("a"), slug="orders")
    assert browser.get(f"{LIST}?{query}").status_code == 200


def test_an_empty_list_says_why(browser: Client, tenant: Tenant) -> None:
    assert "No workflows yet" in browser.get(LIST).text
    make_workflow(tenant, step("a"), slug="orders")
    text = browser.get(LIST, {"q": HOSTILE}).text
    assert "No workflow has “&lt;script&gt;" in text
    assert "<script>alert" not in text
    assert "No workflow has this status" in browser.get(LIST, {"status": "draft"}).text
    assert "Only one status is shown." in browser.get(LIST, {"status": "draft", "q": "zzz"}).text


def test_hostile_names_are_text(browser: Client, tenant: Tenant, editor: User) -> None:
    workflow_create(actor=actor_for_user(editor, "acme"), document={"name": HOSTILE})
    workflow = make_workflow(tenant, step("a"), slug="bad")
    failed(workflow, HOSTILE * 50, path="<b>")
    for address in (HOME, LIST):
        text = browser.get(address).text
        assert "<script>alert" not in text
        assert len(text) < 60_000
    assert all(len(reason) <= 400 for _name, reason, _button in needs(browser.get(HOME).text))


def test_nothing_of_another_tenant_is_shown(browser: Client, tenant: Tenant, other_tenant: Tenant) -> None:
    failed(make_workflow(other_tenant, step("a"), slug="theirs"))
    for address in (HOME, LIST):
        assert "Theirs" not in browser.get(address).text
