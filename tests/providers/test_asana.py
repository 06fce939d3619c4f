"""Asana's createTask: what goes out, and what each refusal becomes."""

import json
from typing import Any

import httpx
import pytest

from integrations.providers.asana import asana
from integrations.providers.asana.actions import create_task
from integrations.providers.asana.client import HINTS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    NotFound,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import ActionResult, check_account, run_action, run_options

AUTH = {"access_token": "asana-canary"}
TASK = {"name": "Call Ada back", "project": "42"}
OK = {"data": {"gid": "128", "name": "Call Ada back", "permalink_url": "https://app.asana.com/0/42/128"}}


def create(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    return run_action(create_task, {**TASK, **inputs}, auth=AUTH, http=answers or [httpx.Response(201, json=OK)])


def sent(**inputs: Any) -> Any:
    body = json.loads(create(**inputs).request.content)
    assert set(body) == {"data"}
    return body["data"]


def refused(status: int, *messages: str, headers: dict[str, str] | None = None) -> IntegrationError:
    answer = {"errors": [{"message": text, "help": "x"} for text in messages]}
    with pytest.raises(IntegrationError) as caught:
        create(httpx.Response(status, json=answer, headers=headers))
    return caught.value


def test_a_task_goes_into_a_project() -> None:
    result = create()
    assert (result.request.method, str(result.request.url)) == ("POST", "https://app.asana.com/api/1.0/tasks")
    assert result.request.headers["authorization"] == "Bearer asana-canary"
    assert sent() == {"name": "Call Ada back", "projects": ["42"]}
    assert result.output == {**OK["data"], "completed": False}


def test_what_is_set_goes_along() -> None:
    given = {"notes": "x", "workspace": "1", "assignee": "me", "parent": "77", "custom_fields": {"9": "High"}}
    assert sent(**given, project=42, followers="bob@example.com, 7", tags=[99]) == {
        "name": "Call Ada back", **given, "projects": ["42"], "followers": ["bob@example.com", "7"], "tags": ["99"],
    }  # fmt: skip
    assert sent(tags=" 9, 10 ")["tags"] == ["9", "10"]


def test_a_day_stays_one_and_a_time_goes_out_in_utc() -> None:
    assert sent(due="2026-05-04")["due_on"] == "2026-05-04"
    found = sent(due="2026-05-04T17:00:00+02:00")
    assert found["due_at"] == "2026-05-04T15:00:00.000Z"
    assert "due_on" not in found


@pytest.mark.parametrize(
    "inputs",
    [
        {"name": ""},
        {"project": None},
        {"project": "../x"},
        {"assignee": "Ada"},
        {"due": "soon"},
        {"due": "2026-05-04T17:00:00"},
        {"tags": ["urgent"]},
        {"followers": ["a b"]},
        {"title": "x"},
    ],
)
def test_inputs_that_fit_no_task_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_task, {**TASK, **inputs}, auth=AUTH)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InputError),
        (401, AuthError),
        (402, Permanent),
        (403, PermissionMissing),
        (404, NotFound),
        (429, RateLimited),
        (500, Transient),
        (503, Transient),
    ],
)
def test_a_status_says_what_to_do(status: int, expected: type[IntegrationError]) -> None:
    error = refused(status, "It says why.")
    assert type(error) is expected
    assert error.message == "Asana: It says why."
    assert error.hint


def test_a_wrong_input_is_named() -> None:
    error, vague = refused(400, "assignee: Not a user: x", "due_on: no"), refused(400, "Could not parse it")
    assert isinstance(error, InputError)
    assert isinstance(vague, InputError)
    assert (error.field, vague.field) == ("assignee", None)
    assert error.message == "Asana: assignee: Not a user: x; due_on: no"
    assert type(refused(400)) is Permanent


def test_every_status_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in HINTS.values())


def test_too_many_requests_wait_as_long_as_asana_says() -> None:
    error = refused(429, "Too many", headers={"Retry-After": "30"})
    assert isinstance(error, RateLimited)
    assert error.retry_after == 30


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(create_task, TASK, auth=AUTH, http=lose)


@pytest.mark.parametrize("answer", [[], {}, {"data": []}, {"data": {"gid": 5}}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        create(httpx.Response(201, json=answer))


def rows(*names: str, offset: str = "") -> httpx.Response:
    listed = [{"gid": str(at), "name": name} for at, name in enumerate(names, 1)]
    return httpx.Response(200, json={"data": listed, "next_page": {"offset": offset} if offset else None})


def test_projects_are_those_of_the_workspace_page_by_page() -> None:
    http = [rows("Leads", "Ops", offset="o2")]
    found, (request,) = run_options(
        create_task, "project", inputs={"workspace": "1"}, query="lea", cursor="o1", auth=AUTH, http=http
    )
    assert [(each.value, each.label) for each in found.items] == [("1", "Leads")]
    assert found.next_cursor == "o2"
    assert dict(request.url.params) == {
        "workspace": "1", "archived": "false", "limit": "100", "opt_fields": "name", "offset": "o1",
    }  # fmt: skip


def test_the_only_workspace_need_not_be_chosen() -> None:
    found, requests = run_options(create_task, "project", auth=AUTH, http=[rows("Acme"), rows("Leads")])
    assert [each.label for each in found.items] == ["Leads"]
    assert requests[1].url.params["workspace"] == "1"
    with pytest.raises(InputError, match="choose the workspace first"):
        run_options(create_task, "project", auth=AUTH, http=[rows("Acme", "Home")])
    found, _ = run_options(create_task, "workspace", auth=AUTH, http=[rows("Acme", "Home")])
    assert [each.label for each in found.items] == ["Acme", "Home"]


def test_an_account_is_asked_for_its_name() -> None:
    person = {"data": {"gid": "7", "name": "Ada", "email": "ada@example.com"}}
    for auth in ({"type": "oauth2", **AUTH}, {"type": "bearer_token", "token": "x"}):
        account, (request,) = check_account(asana, auth, [httpx.Response(200, json=person)])
        assert account.label == "ada@example.com"
        assert request.url.path == "/api/1.0/users/me"
        with pytest.raises(Permanent, match="unexpected form"):
            check_account(asana, auth, [httpx.Response(200, json={})])
