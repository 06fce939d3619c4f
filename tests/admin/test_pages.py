from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrator.admin import site
from orchestrator.flow.definition import MAX_STEPS
from orchestrator.workflows import services
from runs import services as runs
from tests.admin.conftest import CANARY, World, sent, url

GARBAGE = ("abc", "-1", "9" * 40, "%00", "1%2F2", "é")
QUERIES = (
    "?q=%00",
    "?q=" + "x" * 5_000,
    "?q=" + "9" * 40,
    "?p=99999999",
    "?p=abc",
    "?o=abc.1.-99",
    "?tenant=abc",
    "?tenant=" + "9" * 40,
    "?workflow=é",
    "?status__exact=nothing",
    "?status=%00",
    "?id__exact=abc",
    "?digest__startswith=a",
    "?tenant__memberships__user__password=x",
    "?nonsense=1",
    "?_to_field=sealed",
    "?_popup=1",
    "?e=1",
    "?all=",
    "?_facets=True",
    "?kind=slack",
    "?kind=%22:x",
    "?after=abc",
)


def _pages(obj: Any) -> list[str]:
    return [url(obj), url(obj, "add"), *(url(obj, page) for page in ("change", "delete", "history"))]


def test_every_page_answers_a_superuser(root: Client, ours: World) -> None:
    for obj in [*ours.objects(), ours.actor.user]:
        assert obj is not None
        admin = site._registry[type(obj)]
        for page in (url(obj), url(obj, "change"), url(obj, "history")):
            assert root.get(page).status_code == 200, page
        adds = root.get(url(obj, "add")).status_code
        made_elsewhere = ("AuditEventAdmin", "WorkflowVersionAdmin", "RunAdmin", "SavedViewAdmin")
        assert adds == (403 if admin.__class__.__name__ in made_elsewhere else 200)
        assert root.get(url(obj, "delete")).status_code in (200, 403)
    for page in ("/admin/", "/admin/workflows/", "/admin/jsi18n/", "/admin/password_change/"):
        assert root.get(page).status_code == 200, page
    assert root.get("/admin/r/1/1/").status_code == 404
    assert root.get("/admin/django_q/schedule/").status_code == 404


def test_every_page_answers_a_tenants_staff(staff: Client, ours: World) -> None:
    for obj in ours.objects():
        for page in (url(obj), url(obj, "change"), url(obj, "history")):
            assert staff.get(page).status_code == 200, page
    for obj in (ours.workflow, ours.credential, ours.token, ours.objects()[1]):
        assert staff.get(url(obj, "add")).status_code == 200
        assert staff.get(url(obj, "delete")).status_code == 200
    assert staff.get("/admin/").status_code == 200


def test_garbage_in_an_address_never_breaks_a_page(root: Client, ours: World) -> None:
    for obj in [*ours.objects(), ours.actor.user]:
        assert obj is not None
        for text in GARBAGE:
            for page in ("change", "delete", "history", "do/publish"):
                assert root.get(f"{url(obj)}{text}/{page}/").status_code in (301, 302, 403, 404), (obj, text, page)
                assert root.post(f"{url(obj)}{text}/{page}/").status_code in (301, 302, 403, 404), (obj, text, page)
        for query in QUERIES:
            for page in (url(obj),) if query[1] not in "_ka" else (url(obj), url(obj, "add"), url(obj, "change")):
                assert root.get(page + query).status_code < 500, (page, query)
    for query in QUERIES:
        assert root.get(f"/admin/autocomplete/{query}").status_code < 500
        assert root.get(f"/admin/{query}").status_code < 500
        assert root.get(f"/admin/login/{query}").status_code < 500


@pytest.mark.parametrize(
    "value", ["", "abc", "\x00", "-1", "9" * 40, "{", "[1]", '{"a": NaN}', "[" * 500, "x" * 70_000]
)
def test_garbage_in_a_form_is_an_error_of_the_form(root: Client, ours: World, value: str) -> None:
    for obj in [*ours.objects(), ours.actor.user]:
        assert obj is not None
        for page in (url(obj, "change"), url(obj, "add")):
            shown = root.get(page)
            if shown.status_code != 200 or shown.context is None or "adminform" not in shown.context:
                continue
            data = dict.fromkeys(sent(shown), value)
            answer = root.post(page, data)
            assert answer.status_code < 500, (page, value)
            for rows in (answer.context or {}).get("inline_admin_formsets", ()):
                assert len(rows.formset.forms) <= MAX_STEPS
            kept = {name: text for name, text in sent(shown).items() if name.endswith("_FORMS")}
            # Without counts of rows, the form is the same as before.
            assert not kept or root.post(page, {**data, **kept}).status_code < 500, (page, value)
        # The list's own button sends an index, and what has none is taken as well: one way for all of them is enough.
        actions = (*dict(site._registry[type(obj)].get_actions(shown.wsgi_request)), value)
        for action, index in [*((action, {"index": "0"}) for action in actions), (value, {})]:
            posted = {"action": action, "_selected_action": [value, str(obj.pk)], **index}
            assert root.post(url(obj), posted).status_code < 500, (obj, action)


def test_a_nul_in_an_address_is_refused(root: Client) -> None:
    assert root.get("/admin/workflows/workflow/?q=%00").status_code == 400


def test_no_secret_is_in_any_page(root: Client, ours: World) -> None:
    for obj in [*ours.objects(), ours.actor.user]:
        assert obj is not None
        for page in _pages(obj):
            assert CANARY not in root.get(page).content.decode(), page
    page = root.get(url(ours.token, "change")).content.decode()
    assert ours.token.digest not in page
    assert ours.actor.user is not None
    assert ours.actor.user.password not in root.get(url(ours.actor.user, "change")).content.decode()


def test_pages_have_no_inline_script_or_style_and_no_cache(root: Client, ours: World) -> None:
    for obj in ours.objects():
        for page in (*_pages(obj), "/admin/"):
            response = root.get(page)
            text = response.content.decode()
            assert "<style" not in text, page
            assert " style=" not in text, page
            assert "onclick=" not in text, page
            assert "<script>" not in text, page
            if response.status_code == 200:
                assert "no-store" in response.headers["Cache-Control"], page


@pytest.mark.parametrize(
    ("page", "queries"),
    [
        ("/admin/", 3),
        ("/admin/tenants/tenant/", 4),
        ("/admin/tenants/membership/", 5),
        ("/admin/tenants/apitoken/", 5),
        ("/admin/tenants/auditevent/", 5),
        ("/admin/vault/credential/", 5),
        ("/admin/workflows/workflow/", 6),
        ("/admin/workflows/workflowversion/", 6),
        ("/admin/runs/run/", 6),
        ("/admin/auth/user/", 4),
    ],
)
def test_a_list_takes_the_same_few_queries_however_long_it_is(
    root: Client, ours: World, theirs: World, page: str, queries: int
) -> None:
    counts = []
    for _round in range(2):
        root.get(page)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            root.get(page)
        counts.append(len(captured))
        for world in (ours, theirs):
            _more(world)
    assert counts[0] == counts[1]
    assert counts[0] <= queries + 2


def _more(world: World) -> None:
    """Give a tenant one more of everything."""
    document = {"name": "More", "steps": [{"key": "a", "action": "data.set", "config": {"inputs": {"values": {}}}}]}
    workflow = services.workflow_create(actor=world.actor, document=document)
    services.publish(actor=world.actor, workflow=workflow)
    runs.run_start_by_actor(actor=world.actor, workflow=workflow.refresh())


def test_a_runs_page_takes_few_queries(root: Client, ours: World) -> None:
    root.get(url(ours.run, "change"))
    with CaptureQueriesContext(connection) as captured:
        root.get(url(ours.run, "change"))
    assert len(captured) <= 6


def test_a_workflows_page_takes_few_queries(root: Client, ours: World) -> None:
    with CaptureQueriesContext(connection) as captured:
        root.get(url(ours.workflow, "change"))
    assert len(captured) <= 8
