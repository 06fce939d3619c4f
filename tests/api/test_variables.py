"""Variables by the API: made, changed and deleted by who may edit, read by everybody of the tenant."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.models import AuditEvent, Scope, Tenant
from orchestrator.workflows import variables
from orchestrator.workflows.models import Variable
from tests.api.conftest import Caller, MakeCaller, document

pytestmark = pytest.mark.django_db


def test_a_variable_is_made_changed_and_deleted(api: Caller, tenant: Tenant) -> None:
    made = api.ok("POST", "variables/", {"key": "region", "value": {"name": "eu", "zones": [1, None]}})
    assert set(made) == {"id", "key", "value", "updated_at"}
    path = f"variables/{made['id']}/"
    assert api.ok("GET", path) == made
    assert api.ok("GET", "variables/")["results"] == [made]
    changed = api.ok("PATCH", path, {"value": False})
    assert (changed["value"], changed["key"]) == (False, "region")
    assert changed["updated_at"] > made["updated_at"]
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404
    done = AuditEvent.objects.for_tenant(tenant).filter(target_type="variable").order_by("pk")
    assert [event.action for event in done] == ["variable.created", "variable.changed", "variable.deleted"]


def test_a_workflow_that_reads_one_can_be_published(api: Caller) -> None:
    step = {"key": "say", "action": "hello.world", "config": {"inputs": {"name": "{{ vars.region }}"}}}
    made = api.ok("POST", "workflows/", document(steps=[step], output=None))["id"]
    assert api("POST", f"workflows/{made}/publish/", {}).status_code == 400
    api.ok("POST", "variables/", {"key": "region", "value": "eu"})
    api.ok("POST", f"workflows/{made}/publish/", {})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"key": "A", "value": 1}, "key"), ({"key": "1a", "value": 1}, "key"), ({"key": "", "value": 1}, "key"),
        ({"key": "a" * 64, "value": 1}, "key"), ({"key": "a"}, "value"), ({"value": 1}, "key"),
        ({"key": "a", "value": "x" * 70_000}, "value"), ({"key": "a", "value": None}, "value"),
        ({"key": "a", "value": 1, "id": 2}, "id"),
        ({"key": "a\0", "value": 1}, "key"),
    ],
)  # fmt: skip
def test_what_is_none_is_told(api: Caller, body: Any, path: str) -> None:
    answer = api("POST", "variables/", body)
    assert answer.status_code == 400
    assert path in [problem["path"] for problem in json.loads(answer.content)["error"]["problems"]]


def test_a_key_that_is_taken_and_one_too_many_are_told(
    api: Caller, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ok("POST", "variables/", {"key": "a", "value": 1})
    assert api("POST", "variables/", {"key": "a", "value": 2}).status_code == 400
    monkeypatch.setattr(variables, "MAX_VARIABLES", 1)
    assert api("POST", "variables/", {"key": "b", "value": 2}).status_code == 400
    assert Variable.objects.for_tenant(tenant).get().value == 1


def test_who_may_not_edit_reads(caller_for: MakeCaller, viewer: User, operator: User, api: Caller) -> None:
    made = api.ok("POST", "variables/", {"key": "a", "value": 1})
    for caller in (caller_for(viewer), caller_for(operator), caller_for(operator, Scope.READ)):
        assert caller.ok("GET", "variables/")["results"] == [made]
        assert caller("POST", "variables/", {"key": "b", "value": 1}).status_code == 403
        assert caller("PATCH", f"variables/{made['id']}/", {"value": 2}).status_code == 403
        assert caller("DELETE", f"variables/{made['id']}/").status_code == 403
