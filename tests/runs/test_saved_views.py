"""Filters of the list of runs are kept under a name, by each person for themselves."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.services import workflow_delete
from runs import saved
from runs.models import SavedView
from tests.runs.ground import make_workflow, step

pytestmark = pytest.mark.django_db
LIST = "/w/acme/runs/"
QUERY = "took=>10s&status=failed"
KEPT = "took=%3E10s&status=failed"


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


@pytest.fixture
def send(browser: Client) -> Callable[..., Any]:
    def post(view: SavedView | None = None, **data: str) -> Any:
        browser.cookies.pop("messages", None)
        name, more = ("run-view-save", []) if view is None else ("run-view", [view.pk])
        return browser.post(reverse(name, args=["acme", *more]), data)

    return post


def told(answer: Any) -> list[tuple[str, str]]:
    return [(message.level_tag, str(message)) for message in get_messages(answer.wsgi_request)]


def views(tenant: Tenant) -> list[tuple[str, str]]:
    return [(view.name, view.query) for view in SavedView.objects.for_tenant(tenant)]


def links(browser: Client, query: str = "") -> list[tuple[str, str, bool]]:
    """Return name, address and whether it is the current one, of each view above the filters."""
    page = browser.get(f"{LIST}?{query}").content.decode()
    found = re.search(r'<nav class="bar vws".*?</nav>', page, re.S)
    each = r'<a class="fc[^"]*" href="([^"]+)"( aria-current="page")?>(?:<span class="trunc">)?([^<]+)'
    return [(name, url, bool(on)) for url, on, name in re.findall(each, found[0])] if found else []


def test_the_present_filters_are_saved_and_shown_as_a_link_that_is_marked(
    browser: Client, send: Any, tenant: Tenant
) -> None:
    page = browser.get(f"{LIST}?{QUERY}").content.decode()
    offered = re.search(r'name="query" value="([^"]+)"', page)
    assert offered
    answer = send(name="  Slow \n failures ", query=offered[1].replace("&amp;", "&"))
    assert told(answer) == [("success", "Saved as “Slow failures”.")]
    assert answer.url == f"{LIST}?{KEPT}"
    assert views(tenant) == [("Slow failures", KEPT)]
    shown = f"{LIST}?{KEPT}".replace("&", "&amp;")
    assert links(browser, KEPT) == [("All runs", LIST, False), ("Slow failures", shown, True)]
    assert links(browser) == [("All runs", LIST, True), ("Slow failures", shown, False)]
    assert links(browser, "status=failed&took=>10s")[1][2], "however the address says it"
    assert not any(on for _name, _url, on in links(browser, "status=failed"))
    assert AuditEvent.objects.for_tenant(tenant).filter(action="view.saved").count() == 1


def test_a_name_that_is_there_already_gets_the_new_filters(send: Any, tenant: Tenant) -> None:
    send(name="Mine", query="status=failed")
    send(name="Mine", query="status=failed&trigger=webhook&before=12&nonsense=1")
    assert views(tenant) == [("Mine", "trigger=webhook&status=failed")]


def test_nothing_is_saved_without_filters_or_a_good_name(send: Any, tenant: Tenant) -> None:
    for name, query, why in (
        ("", "status=failed", "write what the view is called"),
        (" \0 ", "status=failed", "write what the view is called"),
        ("x" * 61, "status=failed", "at most 60 characters"),
        ("All", "", "choose filters first"),
        ("All", "status=odd", "choose filters first"),
        ("All", "q=" + "x" * 5_000, ""),
    ):
        answer = send(name=name, query=query)
        assert answer.status_code == 302
        ((level, text),) = told(answer)
        assert (level, why in text) == ("error", True) if why else level == "success"
    assert views(tenant) == [("All", "q=" + "x" * 200)], "a text as long as a search may be"


def test_a_person_keeps_thirty(send: Any, tenant: Tenant) -> None:
    for number in range(saved.MOST_VIEWS):
        send(name=f"View {number}", query="status=failed")
    answer = send(name="One more", query="status=failed")
    assert told(answer) == [("error", "Nothing was saved: you have 30 views, and more are not kept. Delete one first.")]
    assert told(send(name="View 3", query="status=queued"))[0][0] == "success"
    assert len(views(tenant)) == 30


def test_a_view_is_renamed_and_deleted(send: Any, tenant: Tenant) -> None:
    for name in ("First", "Second"):
        send(name=name, query="status=failed")
    first, second = SavedView.objects.for_tenant(tenant)
    answer = send(first, do="rename", name="Third")
    assert (told(answer), answer.url) == (
        [("success", "The view is called “Third” now.")], f"{LIST}?status=failed",
    )  # fmt: skip
    assert "another of your views is called “Third”" in told(send(second, do="rename", name="Third"))[0][1]
    assert "at most 60" in told(send(second, do="rename", name="x" * 61))[0][1]
    assert told(send(second, do="rename", name="Second"))[0][0] == "success"
    assert told(send(first, do="delete"))[0][0] == "success"
    assert [name for name, _query in views(tenant)] == ["Second"]
    assert send(first, do="delete").status_code == 404


def test_views_are_ones_own(
    browser: Client, send: Any, tenant: Tenant, other_tenant: Tenant, make_member: Callable[..., User]
) -> None:
    other = make_member(tenant, Role.OWNER, "somebody")
    theirs = saved.view_save(actor=actor_for_user(other, "acme"), name="Theirs", query="status=failed")
    assert links(browser) == []
    for do in ("rename", "delete"):
        assert send(theirs, do=do, name="Mine").status_code == 404
    send(name="Theirs", query="status=queued")
    assert sorted(views(tenant)) == [("Theirs", "status=failed"), ("Theirs", "status=queued")]
    assert views(other_tenant) == []


def test_in_each_tenant_a_person_has_other_views(
    browser: Client, send: Any, viewer: User, other_tenant: Tenant, make_member: Callable[..., User]
) -> None:
    send(name="Mine", query="status=failed")
    actor = actor_for_user(make_member(other_tenant, Role.VIEWER, "both"), "globex")
    saved.view_save(actor=actor, name="Mine", query="status=queued")
    (_all, (name, url, _on)) = links(browser)
    assert (name, url) == ("Mine", f"{LIST}?status=failed")


def test_a_view_goes_with_its_workflow_and_takes_no_other_tenants(
    browser: Client, send: Any, tenant: Tenant, other_tenant: Tenant, make_member: Callable[..., User]
) -> None:
    own: Workflow = make_workflow(tenant, step("only"), slug="orders")
    theirs: Workflow = make_workflow(other_tenant, step("only"), slug="theirs")
    assert send(name="Sneaky", query=f"workflow={theirs.pk}").status_code == 404
    send(name="Orders", query=f"workflow={own.pk}")
    assert views(tenant) == [("Orders", f"workflow={own.pk}")]
    workflow_delete(actor=actor_for_user(make_member(tenant, Role.OWNER, "boss"), "acme"), workflow=own)
    assert views(tenant) == []


def test_many_views_cost_one_query(browser: Client, send: Any) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            browser.get(LIST)
        return len([query for query in queries if "runs_savedview" in query["sql"]])

    browser.get(LIST)
    assert asked() == 1
    for number in range(5):
        send(name=f"View {number}", query="status=failed")
    assert asked() == 1
