"""``alert-channels/``: made, read, changed, tried and deleted by the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from orchestrator.tenants.models import Scope
from tests.api.conftest import Caller, api, caller_for

pytestmark = pytest.mark.django_db
__all__ = ["api", "caller_for"]
MAIL = {"kind": "email", "name": "team", "emails": ["ada@example.com"]}
HOOK = {"kind": "webhook", "name": "hook", "url": "https://hooks.example.com/canary"}


def test_a_channel_by_the_api(api: Caller) -> None:
    made = api.ok("POST", "alert-channels/", {**MAIL, "events": ["run_failed"], "quiet_minutes": 15})
    assert (made["kind"], made["events"], made["workflows"], made["secret"]) == ("email", ["run_failed"], None, None)
    path = f"alert-channels/{made['id']}/"
    found = api.ok("GET", path)
    assert "secret" not in found
    assert found["last_delivery"] is None
    changed = api.ok("PATCH", path, {"is_on": False, "emails": ["bo@example.com"]})
    assert (changed["is_on"], changed["emails"], changed["quiet_minutes"]) == (False, ["bo@example.com"], 15)
    tested = api.ok("POST", f"{path}test/")
    assert (tested["status"], "EMAIL_URL" in tested["error"]) == ("failed", True)
    assert api.ok("GET", path)["last_delivery"]["status"] == "failed"
    assert [row["id"] for row in api.ok("GET", "alert-channels/")["results"]] == [made["id"]]
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404


def test_a_webhooks_secret_is_answered_once(api: Caller) -> None:
    made = api.ok("POST", "alert-channels/", HOOK)
    assert made["secret"].startswith("whsec_")
    assert (made["host"], "canary" in str(made)) == ("https://hooks.example.com", False)
    assert "whsec_" not in str(api.ok("GET", "alert-channels/"))


def test_the_same_request_makes_one_channel(api: Caller) -> None:
    first = api.ok("POST", "alert-channels/", HOOK, Idempotency_Key="k1")
    again = api.ok("POST", "alert-channels/", HOOK, Idempotency_Key="k1")
    assert first == again


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**MAIL, "emails": ["x"]}, "emails"),
        ({**MAIL, "emails": []}, "emails"),
        ({"kind": "email", "name": "x"}, "emails"),
        ({"kind": "webhook", "name": "x"}, "url"),
        ({**MAIL, "url": "https://x.example"}, "url"),
        ({**MAIL, "workflows": ["12"]}, "workflows"),
        ({**MAIL, "kind": "pigeon"}, "kind"),
        ({**MAIL, "more": 1}, "more"),
    ],
)
def test_what_is_wrong_is_told(api: Caller, body: dict[str, Any], path: str) -> None:
    answer = api("POST", "alert-channels/", body)
    assert answer.status_code == 400
    assert path in [problem["path"] for problem in answer.json()["error"]["problems"]]


def test_a_kind_stays(api: Caller) -> None:
    made = api.ok("POST", "alert-channels/", MAIL)
    assert api("PATCH", f"alert-channels/{made['id']}/", {"kind": "webhook"}).status_code == 400


def test_only_admins_write_and_who_reads_reads(
    api: Caller, caller_for: Callable[..., Caller], editor: User, owner: User
) -> None:
    made = api.ok("POST", "alert-channels/", MAIL)
    path = f"alert-channels/{made['id']}/"
    for other in (caller_for(editor), caller_for(owner, Scope.WRITE)):
        assert other.ok("GET", path)["name"] == "team"
        assert other("POST", "alert-channels/", HOOK).status_code == 403
        assert other("PATCH", path, {"name": "x"}).status_code == 403
        assert other("POST", f"{path}test/").status_code == 403
        assert other("DELETE", path).status_code == 403
