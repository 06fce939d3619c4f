"""The bars above the list of runs: counted by spans of time, bounded, and each of them a link to its runs."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator.ids import first_id_at, moment_of
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from runs import histogram as counting
from runs.histogram import Bin, Histogram, histogram
from runs.listing import Narrow
from runs.pages.bars import bars
from runs.pages.filters import filters_of
from tests.runs.ground import make_workflow, step
from tests.runs.list_ground import ago, run_at

pytestmark = pytest.mark.django_db
LIST = "/w/acme/runs/"


@pytest.fixture
def workflow(tenant: Tenant) -> Workflow:
    return make_workflow(tenant, step("only"), slug="orders")


def counted(found: Histogram) -> list[tuple[int, int, int]]:
    return [(each.total, each.succeeded, each.failed) for each in found.bins if each.total]


def test_an_id_tells_when_its_row_was_made() -> None:
    moment = datetime(2026, 5, 17, 12, 30, 15, 250_000, UTC)
    assert moment_of(first_id_at(moment)) == moment_of(first_id_at(moment) + 5) == moment


def test_a_day_is_counted_by_quarters_of_an_hour(tenant: Tenant, workflow: Workflow) -> None:
    for hours, status in ((1, "succeeded"), (1, "failed"), (1, "cancelled"), (20, "failed"), (30, "failed")):
        run_at(workflow, ago(hours=hours), status)
    found = histogram(tenant, Narrow())
    assert len(found.bins) in (96, 97)
    assert {each.end - each.start for each in found.bins[1:-1]} == {timedelta(minutes=15)}
    assert all(each.start.minute % 15 == 0 for each in found.bins[1:])
    assert counted(found) == [(1, 0, 1), (3, 1, 1)]
    assert (found.total, found.failed, found.cut) == (4, 2, False)
    assert counted(histogram(tenant, Narrow(statuses=("cancelled",)))) == [(1, 0, 0)]
    chosen = histogram(tenant, filters_of(tenant, QueryDict("from=-24h")).narrow)
    assert chosen.bins[1].end - chosen.bins[1].start == timedelta(minutes=15)


def test_every_run_is_in_the_span_that_says_so(tenant: Tenant, workflow: Workflow) -> None:
    made = [ago(minutes=7 * number, seconds=3) for number in range(60)]
    for moment in made:
        run_at(workflow, moment)
    for hours in (1, 3, 24, 24 * 30, 24 * 365):
        found = histogram(tenant, Narrow(since=ago(hours=hours)))
        assert len(found.bins) <= 97
        for each in found.bins:
            inside = [moment for moment in made if each.start <= moment < each.end]
            assert each.total == len(inside), (hours, each)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Europe/Berlin", "America/St_Johns"])
def test_clocks_that_jump_move_no_run(tenant: Tenant, workflow: Workflow, zone: str) -> None:
    # In 2026 Berlin's clocks jump on 29 March and 25 October.
    for day in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        moments = [day + timedelta(minutes=30 * number) for number in range(-48, 96)]
        rows = [run_at(workflow, moment) for moment in moments]
        with timezone.override(zone):
            found = histogram(tenant, Narrow(since=day - timedelta(days=1), until=day + timedelta(days=2)))
        for each in found.bins:
            assert each.total == sum(1 for moment in moments if each.start <= moment < each.end), each
        assert found.total == len(rows)
        assert all(one.end == two.start for one, two in pairwise(found.bins))


def test_too_many_runs_are_not_counted_but_the_newest(
    tenant: Tenant, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "MOST_RUNS", 10)
    for minutes in range(1, 31):
        run_at(workflow, ago(minutes=minutes))
    found = histogram(tenant, Narrow())
    assert found.cut
    assert found.total == 10
    assert timedelta(minutes=10) <= found.bins[-1].end - found.bins[0].start <= timedelta(minutes=12)
    drawn = bars(LIST, filters_of(tenant, QueryDict()), found)
    assert drawn is not None
    assert "these are the newest, since" in drawn.note
    assert "whatever is searched for" not in drawn.note
    searched = bars(LIST, filters_of(tenant, QueryDict("q=ada")), found)
    assert searched is not None
    assert searched.note.endswith("The bars count all of these runs, whatever is searched for.")


def test_the_count_is_a_range_of_an_index(tenant: Tenant, workflow: Workflow) -> None:
    run_at(workflow)
    for narrow, index in ((Narrow(), "run_by_tenant"), (Narrow(workflow=workflow.pk), "run_by_workflow")):
        with CaptureQueriesContext(connection) as queries:
            histogram(tenant, narrow)
        assert len(queries) == 2
        if connection.vendor != "sqlite":
            continue
        for query in queries:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plan = " ".join(str(row[-1]) for row in cursor.fetchall())
            assert index in plan
            assert "id>? AND id<?" in plan


def test_each_bar_is_a_link_to_its_runs(client: Client, workflow: Workflow, tenant: Tenant, viewer: User) -> None:
    client.force_login(viewer)
    near = [run_at(workflow, ago(minutes=90), status) for status in ("failed", "succeeded", "running")]
    run_at(workflow, ago(hours=9))
    page = client.get(f"{LIST}?workflow={workflow.pk}").content.decode()
    links = re.findall(r'<a href="([^"]+)" aria-label="(\d\d:\d\d to [^"]+)">', page)
    links += re.findall(r'<a href="([^"]+)" aria-label="(\d+ \w+ \d\d:\d\d to [^"]+)">', page)
    said = {label.partition(": ")[2]: html.unescape(url) for url, label in links}
    assert set(said) == {"3 runs, 1 failed", "1 run"}
    query = parse_qs(urlsplit(said["3 runs, 1 failed"]).query)
    assert query["workflow"] == [str(workflow.pk)]
    narrowed = client.get(said["3 runs, 1 failed"]).content.decode()
    assert set(re.findall(r'id="run-(\d+)"', narrowed)) == {str(run.pk) for run in near}
    assert re.search(r'id="from" name="from" value="\d{4}-\d\d-\d\dT\d\d:\d\d"', narrowed)


def test_bars_are_stacked_and_what_failed_stands_below() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    both = Bin(start=start, end=start + timedelta(hours=1), total=10, succeeded=7, failed=1)
    one = Bin(start=both.end, end=both.end + timedelta(hours=1), total=1, succeeded=1)
    empty = Bin(start=one.end, end=one.end + timedelta(hours=1))
    filters = filters_of(Tenant(slug="acme"), QueryDict())
    drawn = bars(LIST, filters, Histogram(bins=(both, one, empty), cut=False))
    assert drawn is not None
    assert [bar.x for bar in drawn.bars] == [0, 33.33]
    first = drawn.bars[0].parts
    assert [part.css for part in first] == ["f", "n", "o"]
    assert first[0].y + first[0].height == pytest.approx(100)
    assert all(above.y + above.height == pytest.approx(below.y) for below, above in pairwise(first))
    assert [part.css for part in drawn.bars[1].parts] == ["o"]
    assert drawn.sentence == "11 runs in the last 24 hours, 1 failed"
    assert bars(LIST, filters, Histogram(bins=(empty,), cut=False)) is None


def test_a_span_before_everything_or_after_it_is_no_error(tenant: Tenant, workflow: Workflow) -> None:
    run_at(workflow)
    far = datetime(2089, 1, 1, tzinfo=UTC)
    first = moment_of(0)
    for narrow in (Narrow(since=far), Narrow(until=first), Narrow(since=first), Narrow(since=first, until=far)):
        assert histogram(tenant, narrow).total == (1 if narrow.since == first else 0)
