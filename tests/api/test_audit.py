"""``audit/``: narrowed as the page is, in pages and as a file, for those who may read it with a token that may."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.ids import first_id_at
from orchestrator.tenants import audit_log
from orchestrator.tenants.models import AuditEvent, Scope, Tenant
from tests.api.conftest import Caller, MakeCaller

pytestmark = pytest.mark.django_db


def put(tenant: Tenant, action: str, at: datetime, who: str = "ada", number: int = 1) -> None:
    AuditEvent.unscoped.create(
        tenant=tenant, id=first_id_at(at) + number, at=at, actor_label=who, action=action,
        target_type=action.partition(".")[0], target_id=number, target_label="x",
    )  # fmt: skip


@pytest.fixture
def events(tenant: Tenant, other_tenant: Tenant) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(time_zone="Asia/Tokyo")
    # One minute before and after midnight in Tokyo, and the same of another tenant.
    put(tenant, "workflow.created", datetime(2026, 3, 9, 14, 59, tzinfo=UTC))
    put(tenant, "workflow.published", datetime(2026, 3, 9, 15, 1, tzinfo=UTC), who="ada (token ci)")
    put(tenant, "workflow.published", datetime(2026, 3, 10, 14, 59, tzinfo=UTC), who="bo", number=2)
    put(tenant, "run.started", datetime(2026, 3, 10, 15, 1, tzinfo=UTC), who="bo", number=2)
    put(other_tenant, "workflow.created", datetime(2026, 3, 10, 9, 0, tzinfo=UTC))


def told(rows: list[dict[str, Any]]) -> list[str]:
    """Return what was done, without the token that the test itself made and the files that it took."""
    return [row["action"] for row in rows if row["target_type"] not in ("apitoken", "tenant")]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["run.started", "workflow.published", "workflow.published", "workflow.created"]),
        ("who=ada", ["workflow.published", "workflow.created"]),
        ("who=ad", []),
        ("action=workflow", ["workflow.published", "workflow.published", "workflow.created"]),
        ("action=workflow.published&who=bo", ["workflow.published"]),
        ("target=workflow", ["workflow.published", "workflow.published", "workflow.created"]),
        ("target=2", ["run.started", "workflow.published"]),
        ("target=workflow:2", ["workflow.published"]),
        ("target=9999999999999999999", []),
        ("from=2026-03-10&to=2026-03-10", ["workflow.published", "workflow.published"]),
        ("from=2026-03-10T14:59:00Z&to=2026-03-11T00:01:00%2B09:00", ["workflow.published"]),
        ("from=2500-01-01", []),
    ],
)
def test_the_list_and_the_file_are_narrowed_alike(api: Caller, events: None, query: str, found: list[str]) -> None:
    assert told(api.ok("GET", f"audit/?{query}")["results"]) == found
    answer = api("GET", f"audit/export/?{query}")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-ndjson")
    assert answer["Content-Disposition"].startswith('attachment; filename="audit-acme-')
    assert told([json.loads(line) for line in answer.getvalue().splitlines()]) == found


def test_the_list_comes_in_pages_that_keep_what_is_asked_for(api: Caller, events: None) -> None:
    page = api.ok("GET", "audit/?target=workflow&limit=2")
    second = api.ok("GET", page["next"].partition("/api/v1/")[2])
    assert [row["action"] for row in second["results"]] == ["workflow.created"]
    assert (second["next"], page["previous"]) == (None, None)


def test_a_full_file_goes_on_after_its_last_line(
    api: Caller, events: None, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_log, "MOST_EXPORTED", 2)
    monkeypatch.setattr(audit_log, "_CHUNK", 2)
    first = [json.loads(line) for line in api("GET", "audit/export/?target=workflow").getvalue().splitlines()]
    assert len(first) == 2
    rest = api("GET", f"audit/export/?target=workflow&cursor={first[-1]['id']}").getvalue().splitlines()
    assert [json.loads(line)["action"] for line in rest] == ["workflow.created"]
    taken = AuditEvent.objects.for_tenant(tenant).filter(action="audit.exported").latest("pk")
    assert taken.detail == {"format": "ndjson", "target_type": "workflow", "older": first[-1]["id"]}


@pytest.mark.parametrize(
    "query",
    ["from=yesterday", "to=2026-13-01", "from=2026-03-10T10:00:00", "target=Work", "target=a:b", "target=1:2",
     "who=%00", "action=" + "x" * 201, "to=9999-12-31T23:59:59-01:00"],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told(api: Caller, query: str) -> None:
    for path in ("audit/", "audit/export/"):
        answer = api("GET", f"{path}?{query}")
        assert answer.status_code == 400
        assert json.loads(answer.content)["error"]["message"].startswith(query.partition("=")[0])


def test_a_cursor_that_is_none_is_not_found(api: Caller) -> None:
    for cursor in ("x", "-1", "9" * 20, ""):
        assert api("GET", f"audit/export/?cursor={cursor}").status_code == 404


def test_reading_takes_the_role_and_the_scope(caller_for: MakeCaller, owner: User, editor: User) -> None:
    for path in ("audit/", "audit/export/"):
        assert caller_for(editor)("GET", path).status_code == 403
        assert caller_for(owner, Scope.WRITE)("GET", path).status_code == 403
        assert caller_for(owner, Scope.ADMIN)("GET", path).status_code == 200
