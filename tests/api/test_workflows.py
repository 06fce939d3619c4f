"""Workflows, versions and triggers over the API, in the contract's shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries

from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import WorkflowVersion
from tests.api.conftest import Caller, MakeCaller, document

pytestmark = pytest.mark.django_db
FIELDS = {
    "id", "name", "slug", "description", "triggers", "steps", "output", "settings", "revision", "published_version",
    "enabled", "created_at", "updated_at",
}  # fmt: skip


def test_a_workflow_is_made_read_changed_and_deleted(api: Caller, tenant: Tenant) -> None:
    response = api("POST", "workflows/", document())
    made = json.loads(response.content)
    assert response.status_code == 201
    assert set(made) == FIELDS
    assert (made["name"], made["slug"], made["published_version"], made["enabled"]) == ("Greet", "greet", None, False)
    assert isinstance(made["id"], str)
    assert made["created_at"].endswith("Z")
    assert made["settings"]["timeout"] == 3600
    path = f"workflows/{made['id']}/"
    assert api.ok("GET", path) == made
    changed = api.ok("PATCH", path, {"description": "Says hello"})
    assert (changed["description"], changed["revision"] > made["revision"]) == ("Says hello", True)
    replaced = api.ok("PUT", path, document("Other", slug="other"))
    assert (replaced["name"], replaced["slug"], replaced["description"]) == ("Other", "other", "")
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404
    assert AuditEvent.objects.for_tenant(tenant).filter(action__startswith="workflow.").count() >= 4


def test_patch_replaces_whole_top_level_keys(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    changed = api.ok("PATCH", f"workflows/{made['id']}/", {"settings": {"timeout": 60}, "steps": []})
    assert changed["settings"]["timeout"] == 60
    assert changed["steps"] == []
    assert len(changed["triggers"]) == 2


def test_a_lost_race_is_409_and_without_if_match_the_last_write_wins(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    path, seen = f"workflows/{made['id']}/", str(made["revision"])
    assert api("PATCH", path, {"description": "one"}, If_Match=seen).status_code == 200
    lost = api("PATCH", path, {"description": "two"}, If_Match=seen)
    assert lost.status_code == 409
    assert json.loads(lost.content)["error"]["code"] == "revision_conflict"
    assert api("PUT", path, document(), If_Match=seen).status_code == 409
    assert api("PATCH", path, {"description": "three"}).status_code == 200
    assert api("PATCH", path, {"description": "x"}, If_Match="abc").status_code == 400


def test_a_slug_that_is_taken_is_400_and_an_omitted_one_is_made_unique(api: Caller) -> None:
    api.ok("POST", "workflows/", document())
    assert api.ok("POST", "workflows/", document())["slug"] == "greet-2"
    taken = api("POST", "workflows/", document(slug="greet"))
    assert taken.status_code == 400
    assert json.loads(taken.content)["error"]["problems"][0]["path"] == "slug"


def test_publish_answers_the_number_or_every_problem(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    path = f"workflows/{made['id']}/publish/"
    checked = api("POST", f"{path}?dry_run=1", {})
    assert checked.status_code == 200
    assert set(json.loads(checked.content)) == {"warnings", "problems"}
    response = api("POST", path, {})
    assert response.status_code == 201
    assert json.loads(response.content)["number"] == 1
    found = api.ok("GET", f"workflows/{made['id']}/")
    assert (found["published_version"], found["enabled"]) == (1, True)
    bad = [
        {"key": "one", "action": "slack.sendMessage", "config": {"inputs": {"channel": "#a"}}},
        {"key": "two", "action": "nobody.knows", "config": {"inputs": {}}},
        {"key": "three", "action": "hello.world", "config": {"inputs": {"name": "{{ steps.one.outputt.x }}"}}},
    ]
    api.ok("PATCH", f"workflows/{made['id']}/", {"steps": bad})
    refused = api("POST", path, {})
    assert refused.status_code == 400
    problems = json.loads(refused.content)["error"]["problems"]
    assert {"steps[0].config.inputs.text", "steps[0].credential", "steps[1].action"} <= {p["path"] for p in problems}
    assert any(p["path"].startswith("steps[2].config.inputs.name") for p in problems)
    assert all(set(problem) == {"path", "message", "code"} for problem in problems)
    dry = api.ok("POST", f"{path}?dry_run=1", {})
    assert {p["path"] for p in dry["problems"]} == {p["path"] for p in problems}


def test_a_publish_may_go_back_by_itself_and_versions_say_so(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    path = f"workflows/{made['id']}"
    first = api("POST", f"{path}/publish/", {"auto_return": {}})
    assert first.status_code == 400
    assert json.loads(first.content)["error"]["problems"][0]["path"] == "auto_return"
    api.ok("POST", f"{path}/publish/", {"auto_return": None})
    for wrong in ({"failures": 3, "runs": 2}, {"failures": 0}, {"runs": 1_001}, {"more": 1}, [], "yes"):
        assert api("POST", f"{path}/publish/", {"auto_return": wrong}).status_code == 400, wrong
    api.ok("POST", f"{path}/publish/", {"auto_return": {"failures": 2}, "note": "second"})
    expected = {"failures": 2, "runs": 20, "status": "watching", "returned_at": None}
    assert [row["auto_return"] for row in api.ok("GET", f"{path}/versions/")["results"]] == [expected, None]
    version = WorkflowVersion.unscoped.get(workflow=made["id"], number=2)
    services.version_return(version=version, failed=2, runs=3)
    one = api.ok("GET", f"{path}/versions/2/")
    assert one["auto_return"]["status"] == "returned"
    assert one["auto_return"]["returned_at"] is not None
    assert one["note"] == "second"
    assert api.ok("GET", f"{path}/")["published_version"] == 1
    third = api.ok("POST", f"{path}/publish/", {"auto_return": {"failures": 1, "runs": 1}})["number"]
    api.ok("POST", f"{path}/publish/", {})
    assert api.ok("GET", f"{path}/versions/{third}/")["auto_return"]["status"] == "over"


def test_a_publish_of_a_draft_that_was_changed_meanwhile_is_409(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    path = f"workflows/{made['id']}"
    api.ok("PATCH", f"{path}/", {"description": "new"})
    lost = api("POST", f"{path}/publish/", {}, If_Match=str(made["revision"]))
    assert lost.status_code == 409
    assert json.loads(lost.content)["error"]["code"] == "revision_conflict"
    assert api("POST", f"{path}/publish/", {}, If_Match=str(made["revision"] + 1)).status_code == 201


def test_an_unregistered_action_with_a_url_only_warns(api: Caller) -> None:
    step = {"key": "odd", "action": "weather.get", "config": {"inputs": {"url": "https://example.com"}}}
    made = api.ok("POST", "workflows/", document(steps=[step], output=None))
    answer = api.ok("POST", f"workflows/{made['id']}/publish/", {})
    assert any("weather.get" in warning["message"] for warning in answer["warnings"])


def test_versions_are_listed_compared_and_restored(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    path = f"workflows/{made['id']}"
    api.ok("POST", f"{path}/publish/", {"note": "first"})
    api.ok("PATCH", f"{path}/", {"description": "new"})
    api.ok("POST", f"{path}/publish/", {})
    listed = api.ok("GET", f"{path}/versions/")["results"]
    assert [row["number"] for row in listed] == [2, 1]
    one = api.ok("GET", f"{path}/versions/1/")
    assert one["definition"]["description"] == ""
    assert one["note"] == "first"
    assert len(one["checksum"]) == 64
    changes = api.ok("GET", f"{path}/versions/diff/?from=1&to=2")["changes"]
    assert any(change["field"] == "description" for change in changes)
    assert api("GET", f"{path}/versions/diff/?from=1").status_code == 400
    assert api("GET", f"{path}/versions/diff/?from=1&to=9").status_code == 404
    assert api("POST", f"{path}/versions/1/restore/", {}, If_Match="1").status_code == 409
    restored = api.ok("POST", f"{path}/versions/1/restore/", {})
    assert restored["description"] == ""
    assert api("GET", f"{path}/versions/9/").status_code == 404


def test_enable_and_disable(api: Caller) -> None:
    made = api.ok("POST", "workflows/", document())
    api.ok("POST", f"workflows/{made['id']}/publish/", {})
    assert api.ok("POST", f"workflows/{made['id']}/disable/", {})["enabled"] is False
    assert api.ok("POST", f"workflows/{made['id']}/enable/", {})["enabled"] is True


def test_triggers_show_their_address_to_editors_only(api: Caller, caller_for: MakeCaller, viewer: User) -> None:
    made = api.ok("POST", "workflows/", document())
    rows = api.ok("GET", f"triggers/?workflow={made['id']}")["results"]
    assert [set(row) for row in rows] == [{"key", "type", "url", "enabled", "next_fire_at", "config"}] * 2
    hook = next(row for row in rows if row["type"] == "webhook")
    assert "/h/" in hook["url"]
    seen = caller_for(viewer).ok("GET", f"triggers/?workflow={made['id']}")["results"]
    assert [row["url"] for row in seen] == [None, None]


def test_lists_come_in_cursor_pages(api: Caller) -> None:
    for number in range(5):
        api.ok("POST", "workflows/", document(f"W{number}"))
    page = api.ok("GET", "workflows/?limit=2")
    names = [row["name"] for row in page["results"]]
    while page["next"]:
        page = api.ok("GET", page["next"].partition("/api/v1/")[2])
        names += [row["name"] for row in page["results"]]
    assert sorted(names) == [f"W{number}" for number in range(5)]
    assert page["previous"]


def test_a_list_takes_the_same_queries_however_long(
    api: Caller, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(8):
        api.ok("POST", "workflows/", document(f"W{number}"))
    with django_assert_max_num_queries(10):
        assert len(api.ok("GET", "workflows/")["results"]) == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5}, {"name": ""}, {"name": "x" * 300}, {"steps": {}}, {"steps": [5]}, {"steps": [{"key": "1"}]},
        {"steps": [{"key": "a", "action": "x", "config": {"retry": {"max_attempts": 99}}}]}, {"slug": "No Slug"},
        {"triggers": [{"key": "a", "type": "comet"}]}, {"settings": {"timeout": -1}}, {"unknown": 1},
        {"steps": [{"key": "a", "action": "x"}, {"key": "a", "action": "x"}]},
    ],
)  # fmt: skip
def test_a_document_of_the_wrong_shape_is_400_with_its_paths(api: Caller, changes: dict[str, Any]) -> None:
    response = api("POST", "workflows/", {**document(), **changes})
    assert response.status_code == 400
    assert json.loads(response.content)["error"]["problems"]


def test_what_is_made_twice_with_one_key_is_made_once(api: Caller) -> None:
    first = api("POST", "workflows/", document(), Idempotency_Key="k1")
    again = api("POST", "workflows/", document(), Idempotency_Key="k1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    other = api("POST", "workflows/", document("Else"), Idempotency_Key="k1")
    assert other.status_code == 409
    assert len(api.ok("GET", "workflows/")["results"]) == 1


def test_a_draft_goes_back_and_forth(api: Caller) -> None:
    made = api.ok("POST", "workflows/", {"name": "Undone"})
    path = f"workflows/{made['id']}"
    assert api("POST", f"{path}/undo/").json()["error"]["code"] == "nothing_to_undo"
    api.ok("PATCH", f"{path}/", {"name": "Renamed"})
    undone = api.ok("POST", f"{path}/undo/", {})
    assert undone["name"] == "Undone"
    assert undone["revision"] > made["revision"]
    assert api.ok("POST", f"{path}/redo/", {})["name"] == "Renamed"
    assert api("POST", f"{path}/redo/").json()["error"]["code"] == "nothing_to_redo"
