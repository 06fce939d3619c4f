"""Settings → Audit log: narrowed by the address, paged by a cursor, and taken away as a file that runs nowhere."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ids import first_id_at
from orchestrator.tenants.access import Actor, actor_for_token, actor_for_user
from orchestrator.tenants.audit_log import COLUMNS, cell
from orchestrator.tenants.models import AuditEvent, Role, Scope, Tenant
from orchestrator.tenants.services import token_create

LOG = "/w/acme/settings/audit/"


@pytest.fixture
def boss(tenant: Tenant, owner: User) -> Actor:
    return actor_for_user(owner, tenant.slug)


@pytest.fixture
def client(owner: User) -> Client:
    client = Client()
    client.force_login(owner)
    return client


def put(actor: Actor, action: str, at: datetime | None = None, label: str = "x", **detail: Any) -> AuditEvent:
    more = {} if at is None else {"at": at, "id": first_id_at(at) + 7}
    return AuditEvent.unscoped.create(
        tenant=actor.tenant, actor=actor.user, actor_label=actor.label, action=action, target_type="workflow",
        target_id=1, target_label=label, detail=detail, **more,
    )  # fmt: skip


def actions(text: str) -> list[str]:
    return re.findall(r'<div class="mono brk">([^<]*)</div>', text)


def taken(client: Client, form: str, **narrow: str) -> str:
    answer = client.post(f"{LOG}export/", {"format": form, **narrow})
    assert answer.status_code == 200
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(rf'attachment; filename="audit-acme-\d{{8}}-\d{{6}}\.{form}"', answer["Content-Disposition"])
    assert "no-store" in answer["Cache-Control"]
    return answer.getvalue().decode()


def test_the_log_is_narrowed_by_who_what_and_when(client: Client, boss: Actor, editor: User, tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Tokyo")
    other = actor_for_user(editor, "acme")
    # One minute before and after midnight of the tenant's own day.
    put(boss, "workflow.created", datetime(2026, 3, 9, 14, 59, tzinfo=UTC))
    put(boss, "workflow.published", datetime(2026, 3, 9, 15, 1, tzinfo=UTC))
    put(other, "workflow.published", datetime(2026, 3, 10, 14, 59, tzinfo=UTC))
    put(other, "workflowish.made", datetime(2026, 3, 10, 15, 1, tzinfo=UTC))
    day = "from=2026-03-10&to=2026-03-10"
    for query, found in (
        ("", ["workflowish.made", "workflow.published", "workflow.published", "workflow.created"]),
        ("who=owner-of-acme", ["workflow.published", "workflow.created"]),
        ("who=owner", []),
        ("what=workflow", ["workflow.published", "workflow.published", "workflow.created"]),
        ("what=workflow.", ["workflow.published", "workflow.published", "workflow.created"]),
        ("what=workflow.published&who=editor-of-acme", ["workflow.published"]),
        ("what=workflow.pub", []),
        (day, ["workflow.published", "workflow.published"]),
        ("to=2026-03-09", ["workflow.created"]),
        ("from=2026-03-11", ["workflowish.made"]),
    ):
        assert actions(client.get(f"{LOG}?{query}").text) == found, query


def test_a_tokens_doings_are_found_by_its_persons_name(client: Client, boss: Actor, editor: User) -> None:
    _token, plain = token_create(actor=actor_for_user(editor, "acme"), name="ci", scopes=[Scope.WRITE])
    by_token = actor_for_token(plain)
    assert by_token is not None
    put(by_token, "workflow.created")
    put(boss, "workflow.changed")
    assert actions(client.get(f"{LOG}?who=editor-of-acme").text) == ["workflow.created", "token.created"]


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday", "to=2026-13-01", "from=0001-01-01&to=9999-12-31", "who=%00", "what=%00.%00", "older=abc",
        "older=-1", "newer=99999999999999999999", "older=0", "newer=9223372036854775807", "who=" + "x" * 5_000,
    ],
)  # fmt: skip
def test_no_query_breaks_the_page(client: Client, boss: Actor, query: str) -> None:
    put(boss, "workflow.created")
    assert client.get(f"{LOG}?{query}").status_code == 200


def test_a_wrong_day_is_told_and_is_kept_to_be_corrected(client: Client, boss: Actor) -> None:
    text = client.get(f"{LOG}?from=yesterday&to=2026-03-01").text
    assert "Write the day like 2026-12-31." in text
    assert 'name="from" value="yesterday" aria-invalid="true"' in text
    answer = client.post(f"{LOG}export/", {"format": "csv", "from": "yesterday"})
    assert answer.status_code == 400


def test_pages_lead_to_one_another_and_miss_nothing(client: Client, boss: Actor) -> None:
    for number in range(120):
        put(boss, f"workflow.n{number:03}")
    wanted = [f"workflow.n{number:03}" for number in range(119, -1, -1)]

    def link(text: str, word: str) -> str:
        found = re.search(rf'<a class="b sm" href="([^"]+)">{word}</a>', text)
        return found.group(1).replace("&amp;", "&") if found else ""

    first = client.get(f"{LOG}?what=workflow").text
    second = client.get(link(first, "Older")).text
    third = client.get(link(second, "Older")).text
    assert actions(first) + actions(second) + actions(third) == wanted
    assert (link(first, "Newer"), link(third, "Older")) == ("", "")
    assert "what=workflow" in link(third, "Newer")
    back = client.get(link(third, "Newer")).text
    assert actions(back) == actions(second)
    assert actions(client.get(link(back, "Newer")).text) == actions(first)


def test_the_file_holds_all_that_is_narrowed_to_and_taking_it_is_in_the_log(
    client: Client, boss: Actor, tenant: Tenant
) -> None:
    for number in range(70):
        put(boss, "workflow.changed", label=f"Überweisung {number}", changed=["name"])
    put(boss, "run.started")
    lines = [json.loads(line) for line in taken(client, "ndjson", what="workflow").splitlines()]
    assert len(lines) == 70
    assert set(lines[0]) == set(COLUMNS)
    assert (lines[0]["target"], lines[0]["detail"]) == ("Überweisung 69", {"changed": ["name"]})
    assert lines[0]["at"].endswith("Z")
    rows = list(csv.DictReader(io.StringIO(taken(client, "csv", what="workflow"))))
    assert len(rows) == 70
    assert (rows[0]["target"], json.loads(rows[0]["detail"])) == ("Überweisung 69", {"changed": ["name"]})
    event = AuditEvent.objects.for_tenant(tenant).filter(action="audit.exported").latest("pk")
    assert event.detail == {"format": "csv", "what": "workflow"}


def test_many_events_are_read_a_few_at_a_time(client: Client, boss: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.tenants.audit_log._CHUNK", 2)
    monkeypatch.setattr("orchestrator.tenants.audit_log.MOST_EXPORTED", 6)
    for number in range(9):
        put(boss, f"workflow.n{number}")
    lines = taken(client, "ndjson", what="workflow").splitlines()
    assert [json.loads(line)["action"] for line in lines] == [f"workflow.n{number}" for number in range(8, 2, -1)]


@pytest.mark.parametrize(
    "label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1", " =1+1", "=HYPERLINK(\"http://127.0.0.1\",\"x\")"]
)  # fmt: skip
def test_no_cell_is_a_formula(client: Client, boss: Actor, label: str) -> None:
    put(boss, "workflow.changed", label=label)
    rows = list(csv.reader(io.StringIO(taken(client, "csv", what="workflow"), newline="")))
    assert rows[1][COLUMNS.index("target")] == f"'{label}"


@given(st.text())
def test_a_defused_cell_never_begins_like_a_formula_and_loses_nothing(text: str) -> None:
    found = cell(text)
    assert not found.lstrip(" ").startswith(("=", "+", "-", "@"))
    assert found in (text, f"'{text}")


def test_the_log_is_for_admins_of_the_tenant(
    boss: Actor, editor: User, stranger: User, tenant: Tenant, make_member: Callable[..., User]
) -> None:
    put(boss, "workflow.created")
    for user, status in ((editor, 403), (stranger, 404), (make_member(tenant, Role.ADMIN), 200)):
        other = Client()
        other.force_login(user)
        assert other.get(LOG).status_code == status
        assert other.post(f"{LOG}export/", {"format": "csv"}).status_code == status


def test_another_tenants_events_are_in_no_file(client: Client, boss: Actor, stranger: User) -> None:
    put(actor_for_user(stranger, "globex"), "workflow.secret")
    put(boss, "workflow.ours")
    assert "workflow.secret" not in taken(client, "ndjson") + taken(client, "csv") + client.get(LOG).text


def test_an_unknown_kind_of_file_is_refused(client: Client, boss: Actor) -> None:
    for form in ("", "xlsx", "\x00"):
        assert client.post(f"{LOG}export/", {"format": form}).status_code == 400
    assert client.get(f"{LOG}export/").status_code == 405


def test_the_page_takes_as_many_queries_for_many(client: Client, boss: Actor) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(LOG)
        return len(found)

    put(boss, "workflow.created")
    with_one = queries()
    for number in range(60):
        put(boss, f"workflow.n{number}", a=1)
    assert queries() == with_one <= 7
