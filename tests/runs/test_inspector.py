"""The inspector of a step: its tabs, an entry of its data to copy, a search in it, and lists as tables."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.jsontree import joined
from orchestrator.tenants.models import Tenant
from runs.models import Run
from runs.pages.entries import entry_at, table_of
from runs.pages.inspector import Inspector
from tests.runs.ground import make_workflow
from tests.runs.loops_ground import Rows, loop_run, new_run, step

REFUSED = {"kind": "permanent", "message": "It was refused.", "hint": "", "retryable": False}
BODY: dict[str, Any] = {
    "items": [{"id": 1, "name": "Ada"}, {"id": 2, "tags": ["x"]}], "x-y": {"é": None}, 'a"]b': 1, "n": 812,
}  # fmt: skip


# Entries. Pure.


@pytest.mark.parametrize(
    "keys", [(), ("n",), ("items",), ("items", 0, "name"), ("items", 1, "tags", 0), ("x-y", "é"), ('a"]b',)]
)
def test_an_entry_is_found_by_the_path_that_is_written_of_it(keys: tuple[str | int, ...]) -> None:
    path, value = "", BODY
    for key in keys:
        path, value = joined(path, key), value[key]  # type: ignore[index]
    assert entry_at(BODY, path) == (value, True)


@pytest.mark.parametrize(
    "path", ["zzz", "items[7]", "items.0", "n.x", "items[", '["x-y', "[0]", "items[99999999999]", "\0"]
)
def test_what_is_no_path_is_not_there(path: str) -> None:
    assert entry_at(BODY, path) == (None, False)


def test_a_table_is_bounded_and_says_what_is_left_out() -> None:
    table = table_of([{f"c{column}": "x" * 500 for column in range(12)} for _row in range(70)])
    assert (len(table.columns), len(table.rows), table.more_rows, table.more_columns) == (8, 50, 20, 4)
    assert len(table.rows[0][0]) < 90
    assert table_of([{"a": 1}, {"b": [2]}]).rows == (("1", ""), ("", "[2]"))


# The page.


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


def a_run(tenant: Tenant, output: Any = BODY) -> Run:
    run = new_run(make_workflow(tenant, step("get"), step("post"), slug="inspected"))
    rows = Rows(run)
    rows.add("get", "failed", retry_at=rows.at, error=REFUSED)
    rows.add("get", attempt=2, inputs={"url": "https://x"}, output=output)
    rows.add("post")
    return rows.save()


def inspected(browser: Client, run: Run, **query: Any) -> Inspector:
    answer = browser.get(reverse("run", args=["acme", run.pk]), query)
    assert answer.status_code == 200
    found: Inspector = answer.context["page"].inspector
    return found


@pytest.mark.django_db
def test_a_step_has_four_tabs_with_a_key_each(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant)
    found = inspected(browser, run, step="get")
    assert [(tab.name, tab.key, tab.count, tab.selected) for tab in found.tabs] == [
        ("attempts", "1", 2, True), ("data", "2", None, False), ("log", "3", 0, False), ("setup", "4", None, False),
    ]  # fmt: skip
    earlier = inspected(browser, run, step="get", attempt=1)
    assert all(parse_qs(urlsplit(tab.url).query)["attempt"] == ["1"] for tab in earlier.tabs), "the attempt stays"
    html = browser.get(reverse("run", args=["acme", run.pk]), {"step": "get"}).content.decode()
    assert 'data-key="3"' in html


@pytest.mark.django_db
@pytest.mark.parametrize("tab", ["attempts", "data"])
def test_a_step_that_did_not_run_says_so_in_each_tab(browser: Client, tenant: Tenant, tab: str) -> None:
    run = new_run(make_workflow(tenant, step("get"), step("post")), "failed")
    html = browser.get(reverse("run", args=["acme", run.pk]), {"step": "post", "tab": tab}).content.decode()
    assert html.count("This step did not run.") == 1


@pytest.mark.django_db
def test_an_entry_is_shown_by_itself_with_its_path_and_its_value_to_copy(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant)
    html = browser.get(reverse("run", args=["acme", run.pk]), {"step": "get", "tab": "data"}).content.decode()
    assert "&amp;value=output&amp;at=items%5B0%5D.name#picked" in html
    found = inspected(browser, run, step="get", tab="data", value="output", at="items[0].name").picked
    assert found is not None
    assert (found.path, found.text) == ("steps.get.output.items[0].name", '"Ada"')
    assert inspected(browser, run, step="get", tab="data").picked is None
    whole = inspected(browser, run, step="get", tab="data", value="input").picked
    assert whole is not None
    assert (whole.path, whole.text) == ("Input", '{\n  "url": "https://x"\n}')
    gone = inspected(browser, run, step="get", tab="data", value="output", at="items[9]").picked
    assert gone is not None
    assert (gone.text, gone.missing) == ("", "There is no such entry in this value.")


@pytest.mark.django_db
def test_a_list_of_objects_is_shown_as_a_table_when_asked(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant)
    asked = {"step": "get", "tab": "data", "value": "output"}
    found = inspected(browser, run, **asked, at="items").picked
    assert found is not None
    assert (found.table, parse_qs(urlsplit(found.table_url).query)["as"]) == (None, ["table"])
    table = inspected(browser, run, **asked, at="items", **{"as": "table"}).picked
    assert table is not None
    assert table.table is not None
    assert table.table.columns == ("id", "name", "tags")
    no_list = inspected(browser, run, **asked, at="n", **{"as": "table"}).picked
    assert no_list is not None
    assert (no_list.table, no_list.table_url) == (None, "")


@pytest.mark.django_db
def test_a_text_is_searched_in_names_and_values(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant, {**BODY, "many": [f"needle {number}" for number in range(300)]})
    found = inspected(browser, run, step="get", tab="data", find="NAME").search
    assert found is not None
    assert [(match.path, match.text) for match in found.matches] == [("steps.get.output.items[0].name", '"Ada"')]
    many = inspected(browser, run, step="get", tab="data", find="needle").search
    assert many is not None
    assert (many.count, len(many.matches)) == (300, 100)
    assert inspected(browser, run, step="get", tab="data", find="812").search.count == 1  # type: ignore[union-attr]
    assert inspected(browser, run, step="get", tab="data", find="https").search.matches[0].path == "url"  # type: ignore[union-attr]
    assert inspected(browser, run, step="get", find="needle").search is None, "of the data's tab alone"


@pytest.mark.django_db
def test_the_trigger_and_items_have_entries_too(browser: Client, tenant: Tenant) -> None:
    run = loop_run(tenant, 3)
    Run.unscoped.filter(pk=run.pk).update(trigger={"type": "manual", "body": {"who": "Ada"}})
    picked = inspected(browser, run, step="@trigger", value="input", at="body.who").picked
    assert picked is not None
    assert (picked.path, picked.text) == ("trigger.body.who", '"Ada"')
    item = inspected(browser, run, step="each[1]", value="item", at="id").picked
    assert item is not None
    assert (item.path, item.text) == ("item.id", "1001")


@pytest.mark.django_db
def test_a_long_entry_is_not_made_text(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant, {"rows": ["x" * 90 for _row in range(400)]})
    asked = {"step": "get", "tab": "data", "show": "output", "value": "output"}
    whole = inspected(browser, run, **asked).picked
    assert whole is not None
    assert (whole.text, "too long" in whole.missing) == ("", True)
    part = inspected(browser, run, **asked, at="rows[7]").picked
    assert part is not None
    assert len(part.text) == 92


# What the page says besides.


@pytest.mark.django_db
def test_the_step_is_corrected_at_the_field_that_the_error_names(client: Client, tenant: Tenant, editor: User) -> None:
    client.force_login(editor)
    workflow = make_workflow(tenant, step("get"))

    def fix_url(**error: Any) -> str:
        run = new_run(workflow, "failed", error={**REFUSED, **error, "path": "get"})
        rows = Rows(run)
        rows.add("get", "failed", error=REFUSED)
        rows.save()
        url: str = client.get(reverse("run", args=["acme", run.pk])).context["page"].failure.fix_url
        return url.replace(f"?run={run.pk}", "?run=its-own")

    plain = f"{reverse('workflow-step', args=['acme', workflow.pk, 'get'])}?run=its-own"
    assert fix_url() == plain
    assert fix_url(field="url") == f"{plain}#field-url"
    assert fix_url(field='"><img src=x>') == plain


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "sign"), [("succeeded", "✓"), ("failed", "✕"), ("running", "●"), ("queued", "●"), ("cancelled", "–")]
)
def test_the_windows_title_begins_with_the_status(browser: Client, tenant: Tenant, status: str, sign: str) -> None:
    run = new_run(make_workflow(tenant, step("get")), status)
    url = reverse("run", args=["acme", run.pk])
    assert f"<title>{sign} " in browser.get(url).content.decode()
    assert f"<title>{sign} " in browser.get(url, headers={"HX-Request": "true"}).content.decode()


@pytest.mark.django_db
def test_keys_lead_to_the_lines_beside_the_selected_one(browser: Client, tenant: Tenant) -> None:
    run = a_run(tenant)

    def keys(**query: Any) -> dict[str, str]:
        page = browser.get(reverse("run", args=["acme", run.pk]), query).context["page"]
        return {row.key: row.line.path for row in page.timeline.rows if row.key}

    assert keys(step="get") == {"k": "@trigger", "j": "post"}
    assert keys(step="post") == {"k": "get"}
    assert keys(step="@trigger") == {"j": "get"}


@pytest.mark.django_db
def test_the_facts_name_the_version_and_how_often_the_failed_step_was_tried(browser: Client, tenant: Tenant) -> None:
    run = new_run(make_workflow(tenant, step("get")), "failed", error={**REFUSED, "path": "get"})
    rows = Rows(run)
    for attempt in (1, 2, 3):
        rows.add("get", "failed", attempt=attempt, error=REFUSED)
    rows.save()
    facts = {fact.label: fact for fact in browser.get(reverse("run", args=["acme", run.pk])).context["page"].facts}
    assert facts["Attempts"].text == "3 on step 2"
    assert facts["Version"].url == reverse("workflow-version", args=["acme", run.workflow_id, 1])
    page = browser.get(reverse("run", args=["acme", a_run(tenant).pk])).context["page"]
    assert "Attempts" not in [fact.label for fact in page.facts]
