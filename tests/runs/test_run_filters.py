"""The list of runs is narrowed by its address: each filter is a chip with the address without it."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs import listing
from runs.listing import Counted, Limits, Narrow, count, look
from runs.models import Run
from runs.pages.filters import chips, filters_of
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import ago, run_at
from tests.runs.loops_ground import new_run

pytestmark = pytest.mark.django_db
LIST = "/w/acme/runs/"


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("only"), slug="orders")


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def shown(browser: Client, query: str = "") -> list[int]:
    """Return the ids of the runs on a page of the list, from above."""
    answer = browser.get(f"{LIST}?{query}" if query else LIST)
    assert answer.status_code == 200
    return [int(pk) for pk in re.findall(r'id="run-(\d+)"', answer.content.decode())]


def ids(tenant: Tenant, **narrow: Any) -> tuple[int, ...]:
    return look(tenant, Narrow(**narrow)).ids


def test_statuses_add_up_and_other_filters_narrow(browser: Client, workflow: Workflow) -> None:
    good, bad, asks = (
        run_at(workflow, ago(minutes=n), s).pk for n, s in ((3, "succeeded"), (2, "failed"), (1, "waiting"))
    )
    assert shown(browser) == [asks, bad, good]
    assert shown(browser, "status=failed") == [bad]
    assert shown(browser, "status=failed&status=waiting") == [asks, bad]
    assert shown(browser, "status=failed,waiting") == [asks, bad]
    other = make_workflow(workflow.tenant, step("only"), slug="other")
    hooked = run_at(other, trigger_type="webhook").pk
    assert shown(browser, f"workflow={other.pk}") == [hooked]
    assert shown(browser, "trigger=webhook") == [hooked]
    assert shown(browser, "trigger=webhook&status=failed") == []


def test_a_version_is_a_number_or_the_draft(browser: Client, workflow: Workflow, tenant: Tenant) -> None:
    first = run_at(workflow, ago(minutes=2)).pk
    common = {"tenant": tenant, "workflow": workflow, "definition": {"steps": []}, "checksum": "x"}
    second = run_at(workflow, ago(minutes=1), version=WorkflowVersion.unscoped.create(number=2, **common)).pk
    draft = run_at(workflow, version=WorkflowVersion.unscoped.create(number=None, **common)).pk
    assert shown(browser, "version=1") == [first]
    assert shown(browser, f"version=v2&workflow={workflow.pk}") == [second]
    assert shown(browser, "version=draft") == [draft]
    assert shown(browser, "version=3") == []


def test_the_time_taken_is_compared_also_of_what_still_runs(browser: Client, workflow: Workflow) -> None:
    quick, slow = run_at(workflow, ago(hours=2), ms=400).pk, run_at(workflow, ago(hours=1), ms=65_500).pk
    still = run_at(workflow, ago(minutes=20), "running").pk
    queued = run_at(workflow, ago(minutes=19), "queued").pk
    assert shown(browser, "took=>1s") == [still, slow]
    assert shown(browser, "took=<500ms") == [quick]
    assert shown(browser, "took=>65.4s&status=succeeded") == [slow]
    assert shown(browser, "took=>65.6s&status=succeeded") == []
    assert shown(browser, "took=10min") == [still]
    assert queued not in shown(browser, "took=>1ms")


def test_a_span_of_time_is_a_range_of_an_index(browser: Client, workflow: Workflow, tenant: Tenant) -> None:
    tenant.time_zone = "Asia/Kolkata"
    tenant.save()
    old, mid, new = (run_at(workflow, ago(**span)).pk for span in ({"days": 8}, {"hours": 3}, {"minutes": 10}))
    assert shown(browser, "from=-1h") == [new]
    assert shown(browser, "from=-24h") == [new, mid]
    assert shown(browser, "from=-7d") == [new, mid]
    assert shown(browser, f"to={ago(days=1):%Y-%m-%dT%H:%M}Z") == [old]
    assert shown(browser, f"from={ago(hours=4).isoformat()}&to={ago(hours=2).isoformat()}") == [mid]
    # Without a place it is the tenant's own time.
    there = timezone.now() + timedelta(hours=5, minutes=30)
    assert shown(browser, f"from={there - timedelta(hours=1):%Y-%m-%dT%H:%M}") == [new]
    if connection.vendor == "sqlite":
        narrow = Narrow(since=ago(hours=4), until=ago(hours=2))
        plan = listing.in_span(tenant, narrow).order_by("-pk").explain()
        assert "run_by_tenant (tenant_id=? AND id>? AND id<?)" in plan
        assert "TEMP B-TREE" not in plan


def test_a_form_sends_what_was_typed_after_what_was_chosen(browser: Client, workflow: Workflow) -> None:
    old, new = run_at(workflow, ago(hours=5)).pk, run_at(workflow, ago(minutes=5)).pk
    typed = f"{ago(hours=6):%Y-%m-%dT%H:%M}"
    assert shown(browser, f"q=&workflow=&version=&took=&from=-1h&from={typed}&to=") == [new, old]
    assert shown(browser, "q=&workflow=&version=&took=&from=-1h&from=&to=") == [new]


def test_every_active_filter_is_a_chip_with_the_address_without_it(workflow: Workflow, tenant: Tenant) -> None:
    query = f"workflow={workflow.pk}&status=failed&status=waiting&took=>10s&trigger=form&version=2&q=a%26b&from=-1h"
    filters = filters_of(tenant, QueryDict(query))
    made = {chip.label: parse_qs(urlsplit(chip.url).query) for chip in chips(LIST, filters)}
    whole = {
        "workflow": [str(workflow.pk)], "status": ["waiting", "failed"], "took": [">10s"], "trigger": ["form"],
        "version": ["2"], "q": ["a&b"], "from": ["-1h"],
    }  # fmt: skip
    gone = {
        "Orders": "workflow", "Took > 10 s": "took", "Form": "trigger", "Version 2": "version", "“a&b”": "q",
        "Last hour": "from",
    }  # fmt: skip
    assert set(made) == {*gone, "Failed", "Waiting"}
    for label, name in gone.items():
        assert made[label] == {key: value for key, value in whole.items() if key != name}
    assert made["Failed"] == {**whole, "status": ["waiting"]}
    assert made["Waiting"] == {**whole, "status": ["failed"]}


def test_what_is_not_understood_is_told_and_left_out(browser: Client, workflow: Workflow) -> None:
    run = run_at(workflow).pk
    for query, told in (
        ("took=abc", "“abc” is no time taken: write it like"),
        ("version=x", "“x” is no version: write a number like 12, or draft."),
        ("trigger=<b>", "“&lt;b&gt;” is no kind of trigger."),
        ("from=yesterday", "“yesterday” is no time to look from"),
        ("to=2026-99-99T00:00", "is no time to look to"),
        ("from=2026-03-02T00:00&to=2026-03-01T00:00", "so both were left out"),
    ):
        answer = browser.get(f"{LIST}?{query}")
        assert told in answer.content.decode(), query
        assert shown(browser, query) == [run]
    assert browser.get(f"{LIST}?status=odd&workflow=x&before=x&after=-1").status_code == 200


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
def test_times_at_the_end_of_the_calendar_are_no_error(browser: Client, tenant: Tenant, zone: str) -> None:
    tenant.time_zone = zone
    tenant.save()
    for text in ("0001-01-01T00:00", "0001-01-01T00:00Z", "9999-12-31T23:59", "9999-12-31T23:59Z"):
        for name in ("from", "to"):
            assert browser.get(f"{LIST}?{name}={text}").status_code == 200


def test_another_tenants_workflow_is_not_there(browser: Client, other_tenant: Tenant) -> None:
    theirs = make_workflow(other_tenant, step("only"), slug="theirs")
    assert browser.get(f"{LIST}?workflow={theirs.pk}").status_code == 404
    run_at(theirs, body={"name": "Globex"})
    assert shown(browser, "q=globex") == []
    assert shown(browser) == []


_TEXTS = st.sampled_from(
    ["", "0", "-1", "1e9", "9" * 18, "9" * 30, "\0", "\ud800", ">", ">1e9s", "999999999d", "-9999d", "0001-01-01T00:00",
     "9999-12-31T23:59:59+00:00", "2026-02-30T00:00", "2026-03-29T02:30", "draft", "v", "%", "_", "\\", "'", '"',
     "<script>", "٣", "failed", ",", "#123456", "a" * 5_000, "-1h"]
) | st.text(max_size=8)  # fmt: skip
_NAMES = st.sampled_from(
    ["workflow", "status", "q", "took", "from", "to", "trigger", "version", "before", "after", "shown", "revision",
     "seen", "new", "held", "run"]
)  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(_NAMES, _TEXTS), max_size=6), live=st.booleans())
def test_no_address_breaks_the_list(
    browser: Client, workflow: Workflow, pairs: list[tuple[str, str]], live: bool
) -> None:
    if not Run.objects.for_tenant(workflow.tenant).exists():
        run_at(workflow, body={"name": "Ada"})
    query = QueryDict(mutable=True)
    for name, text in pairs:
        query.appendlist(name, text.encode("utf-8", "replace").decode())
    headers = {"HX-Request": "true"} if live else {}
    assert browser.get(f"{LIST}?{query.urlencode()}", headers=headers).status_code in (200, 204, 404)


def test_runs_are_looked_at_in_chunks_and_the_limit_is_told(
    browser: Client, workflow: Workflow, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "_FIRST_CHUNK", 3)
    monkeypatch.setattr(listing, "_LARGEST_CHUNK", 3)
    monkeypatch.setattr(listing.look, "__kwdefaults__", {**look.__kwdefaults__, "limits": Limits(runs=6, seconds=60)})
    bad = run_at(workflow, ago(hours=10), "failed").pk
    rest = [run_at(workflow, ago(minutes=n)).pk for n in range(1, 9)]
    found = look(tenant, Narrow(statuses=("failed",)))
    assert (found.ids, found.looked_at, found.stopped_at) == ((), 6, rest[5])
    answer = browser.get(f"{LIST}?status=failed").content.decode()
    assert "No run found so far" in answer
    assert "Looked through the last 6 runs, back to" in answer
    further = html.unescape(re.search(r'href="([^"]+)">Look further back', answer)[1])  # type: ignore[index]
    assert f"before={rest[5]}" in further
    assert shown(browser, urlsplit(further).query) == [bad]


def test_every_run_is_found_once_whatever_the_chunks(tenant: Tenant, workflow: Workflow, monkeypatch: Any) -> None:
    monkeypatch.setattr(listing, "_FIRST_CHUNK", 2)
    monkeypatch.setattr(listing, "_GROWTH", 2)
    bad = [run_at(workflow, ago(minutes=n), "failed" if n % 3 == 0 else "succeeded").pk for n in range(1, 40)][2::3]
    seen: list[int] = []
    before = None
    for _ in range(20):
        found = look(tenant, Narrow(statuses=("failed",)), before=before, most=4)
        seen += found.ids
        if not found.more:
            break
        before = found.ids[-1]
    assert seen == bad
    upward = look(tenant, Narrow(statuses=("failed",)), after=bad[-1], most=4)
    assert upward.ids == tuple(bad[-5:-1])


def test_pages_lead_to_older_and_newer_runs(browser: Client, workflow: Workflow) -> None:
    made = [run_at(workflow, ago(minutes=n)).pk for n in range(1, 121)]
    first = browser.get(LIST).content.decode()
    assert shown(browser) == made[:50]
    assert ">Newer<" not in first
    older = html.unescape(re.search(r'href="[^"]*\?([^"]+)">Older', first)[1])  # type: ignore[index]
    assert shown(browser, older) == made[50:100]
    second = browser.get(f"{LIST}?{older}").content.decode()
    newer = html.unescape(re.search(r'href="[^"]*\?([^"]+)">Newer', second)[1])  # type: ignore[index]
    assert shown(browser, newer) == made[:50]
    last = re.search(r'href="[^"]*\?([^"]+)">Older', second)[1]  # type: ignore[index]
    assert shown(browser, last) == made[100:]
    assert ">Older<" not in browser.get(f"{LIST}?{last}").content.decode()
    assert shown(browser, f"after={made[0]}") == made[:50], "where there is nothing newer, the newest are shown"


def test_an_empty_page_says_which_filter_hides_how_many(
    browser: Client, workflow: Workflow, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for minutes in range(1, 13):
        run_at(workflow, ago(minutes=minutes))
    run_at(workflow, ago(days=3), "failed")
    answer = " ".join(re.sub(r"<[^>]+>", " ", browser.get(f"{LIST}?status=failed&from=-1h").content.decode()).split())
    assert "No run matches these filters" in answer
    assert "Failed Remove this filter hides 12 runs" in answer
    assert "Last hour Remove this filter hides 1 run " in answer
    assert count(tenant, Narrow(), most=10) == Counted(number=10, and_more=True)
    assert count(tenant, Narrow(statuses=("failed",))) == Counted(number=1, and_more=False)
    answer = browser.get(f"{LIST}?status=failed&status=waiting&q=zzzz").content.decode()
    assert "hides 1 run" in answer
    assert "hides no run by itself" in answer


def test_tests_of_single_steps_are_not_in_the_list(tenant: Tenant, workflow: Workflow) -> None:
    new_run(workflow, kind="step")
    run = new_run(workflow).pk
    assert ids(tenant) == ids(tenant, statuses=("succeeded",)) == (run,)


def test_a_list_asks_as_much_for_many_runs_as_for_few(browser: Client, workflow: Workflow) -> None:
    def asked(query: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(f"{LIST}?{query}").status_code == 200
        return len(queries)

    run_at(workflow, ago(minutes=1), "failed")
    asked("")  # what a version says is kept from then on
    few = [asked(query) for query in ("", "status=failed", f"workflow={workflow.pk}", "from=-1h")]
    for number in range(60):
        run_at(workflow, ago(minutes=number), "failed")
    assert [asked(query) for query in ("", "status=failed", f"workflow={workflow.pk}", "from=-1h")] == few
    assert few == [14, 15, 15, 14]


def test_hostile_names_and_values_break_nothing(browser: Client, tenant: Tenant, workflow: Workflow) -> None:
    nasty = "<script>alert(1)</script>\"'‮" + "x" * 150
    workflow.name = nasty
    workflow.save()
    body = {nasty: nasty, "deep": {"a": [nasty]}, "\ud800": "\ud800", "n": float(10**18)}
    error = {"kind": "permanent", "message": nasty * 60, "path": "gone[1].x", "hint": "", "retryable": False}
    run_at(workflow, ago(minutes=1), "failed", body=body, error=error)
    run_at(workflow, ago(minutes=2), "waiting", waiting_for={"path": nasty, "kind": nasty})
    run_at(workflow, ago(minutes=3), "failed", error={"message": None, "path": None})
    query = QueryDict(mutable=True)
    query.update({"q": nasty, "took": nasty, "from": nasty, "workflow": str(workflow.pk)})
    for address in (LIST, f"{LIST}?{query.urlencode()}", f"{LIST}?workflow={workflow.pk}&status=cancelled"):
        answer = browser.get(address)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.content.decode()
    assert len(shown(browser)) == 3


def test_who_is_signed_in_elsewhere_sees_nothing(client: Client, workflow: Workflow, stranger: User) -> None:
    client.force_login(stranger)
    for name in ("run-list", "run-bulk", "run-export"):
        assert client.post(reverse(name, args=["acme"])).status_code in (404, 405)
    assert client.get(LIST).status_code == 404
