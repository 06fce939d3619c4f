"""A workflow as a file by the API, and back into a draft."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.models import Scope, Tenant
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.portable import workflow_export
from tests.api.conftest import Caller, MakeCaller, document

pytestmark = pytest.mark.django_db


def test_a_file_goes_out_and_comes_in_again(api: Caller, tenant: Tenant) -> None:
    made = api.ok("POST", "workflows/", document())
    answer = api("GET", f"workflows/{made['id']}/export/")
    assert answer.content.decode() == workflow_export(Workflow.objects.for_tenant(tenant).get()).text
    assert answer["Content-Disposition"] == 'attachment; filename="greet.json"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert api("DELETE", f"workflows/{made['id']}/").status_code == 204
    taken = api.ok("POST", "workflows/import/", answer.content)
    assert set(taken) == {"workflow", "problems", "warnings"}
    assert (taken["workflow"]["enabled"], taken["workflow"]["published_version"]) == (False, None)
    assert taken["problems"] == []
    assert api("GET", f"workflows/{taken['workflow']['id']}/export/").content == answer.content


def test_a_check_answers_every_problem_and_writes_nothing(api: Caller, tenant: Tenant) -> None:
    wrong = document(steps=[{"key": "a", "action": "hello.world", "config": {"inputs": {}}}], output=None)
    answer = api.ok("POST", "workflows/import/?dry_run=1", wrong)
    assert [problem["path"] for problem in answer["problems"]] == ["steps[0].config.inputs.name"]
    shape = api.ok("POST", "workflows/import/?dry_run=1", {"name": 1, "steps": [{"key": "A"}]})
    assert {"name", "steps[0].key"} <= {problem["path"] for problem in shape["problems"]}
    assert not Workflow.objects.for_tenant(tenant).exists()


def test_a_wrong_shape_is_400_with_paths_and_a_taken_slug_replaces_when_asked(api: Caller, tenant: Tenant) -> None:
    def paths(body: Any, query: str = "") -> list[str]:
        answer = api("POST", f"workflows/import/{query}", body)
        assert answer.status_code == 400
        return [problem["path"] for problem in json.loads(answer.content)["error"]["problems"]]

    assert paths([]) == [""]
    assert "triggers[0].type" in paths(document(triggers=[{"key": "a", "type": "odd"}]))
    made = api.ok("POST", "workflows/", document(slug="greet"))
    assert paths(document(slug="greet")) == ["slug"]
    taken = api.ok("POST", "workflows/import/?replace=1", document("Other", slug="greet"))
    assert (taken["workflow"]["id"], taken["workflow"]["name"]) == (made["id"], "Other")


def test_the_same_key_makes_one(api: Caller, tenant: Tenant) -> None:
    first = api.ok("POST", "workflows/import/", document(), Idempotency_Key="k")
    assert api.ok("POST", "workflows/import/", document(), Idempotency_Key="k") == first
    assert api("POST", "workflows/import/", document("Other"), Idempotency_Key="k").status_code == 409
    assert Workflow.objects.for_tenant(tenant).count() == 1


def test_each_needs_its_scope(caller_for: MakeCaller, editor: User, api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())["id"]
    assert caller_for(editor, Scope.READ)("GET", f"workflows/{made}/export/").status_code == 200
    for scope, status in ((Scope.READ, 403), (Scope.RUN, 403), (Scope.WRITE, 201)):
        assert caller_for(editor, scope)("POST", "workflows/import/", document()).status_code == status
