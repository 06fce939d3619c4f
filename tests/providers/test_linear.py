"""Linear's createIssue: what is asked, what goes out once, and what each refusal becomes."""

import json
import time
import uuid
from typing import Any

import httpx
import pytest

from integrations.providers.linear import linear
from integrations.providers.linear.actions import create_issue, id_of
from integrations.providers.linear.client import ERRORS
from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import ActionResult, check_account, run_action, run_options

AUTH = {"access_token": "lin_oauth_canary"}
KEY = {"type": "api_key", "api_key": "lin_api_canary"}
TEAM = "5c1f7a2e-0b3d-4e5f-8a9b-1c2d3e4f5a6b"
ADA = "0a1b2c3d-4e5f-4a6b-8c7d-9e8f7a6b5c4d"
ISSUE = {"id": "9f2c4e6a-8b0d-4f1e-a3c5-7d9e1f3a5b7c", "identifier": "ENG-128", "number": 128, "title": "x",
         "url": "https://linear.app/acme/issue/ENG-128/x"}  # fmt: skip


def data(**found: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": found})


def nodes(*rows: Any) -> dict[str, Any]:
    return {"nodes": list(rows)}


MADE = data(issueCreate={"success": True, "issue": ISSUE})


def create(*answers: httpx.Response, attempt: int = 1, **inputs: Any) -> ActionResult:
    given = {"team": TEAM, "title": "It is broken", **inputs}
    return run_action(create_issue, given, auth=AUTH, http=answers or [MADE], attempt=attempt)


def variables(request: httpx.Request) -> Any:
    return json.loads(request.content)["variables"]


def sent(result: ActionResult) -> Any:
    return variables(result.requests[-1])["input"]


def errors(status: int = 200, headers: dict[str, str] | None = None, **extensions: Any) -> httpx.Response:
    row = {"message": "It says why.", "path": ["issueCreate"], "extensions": extensions}
    return httpx.Response(status, json={"errors": [row], "data": None}, headers=headers)


def refused(*answers: httpx.Response, **inputs: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        create(*answers, **inputs)
    return caught.value


def test_an_issue_is_made_by_one_request_where_ids_are_given() -> None:
    result = create()
    assert (result.request.method, str(result.request.url)) == ("POST", "https://api.linear.app/graphql")
    assert result.request.headers["authorization"] == "Bearer lin_oauth_canary"
    assert sent(result) == {"id": id_of("test-key"), "teamId": TEAM, "title": "It is broken"}
    assert result.output == ISSUE


def test_a_personal_key_goes_without_a_word_before_it() -> None:
    result = run_action(create_issue, {"team": TEAM, "title": "x"}, auth=KEY, http=[MADE])
    assert result.request.headers["authorization"] == "lin_api_canary"


def test_what_is_known_by_name_is_asked_for_at_once() -> None:
    found = data(
        teams=nodes({"id": TEAM, "key": "ENG"}),
        users=nodes({"id": ADA}),
        issueLabels=nodes(
            {"id": "l0", "name": "Bug", "team": None},
            {"id": "l1", "name": "Bug", "team": {"id": TEAM}},
            {"id": "l2", "name": "Late", "team": None},
            {"id": "l3", "name": "Late", "team": {"id": "other"}},
        ),
        workflowStates=nodes({"id": "s0", "team": {"id": "other"}}, {"id": "s1", "team": {"id": TEAM}}),
    )
    result = create(found, MADE, team="eng", assignee="ada@example.com", labels=f"Bug, Late, {ADA}", state="Todo")
    assert variables(result.requests[0]) == {
        "team": "eng", "mail": "ada@example.com", "labels": ["Bug", "Late"], "state": "Todo",
        "byMail": True, "byLabel": True, "byState": True,
    }  # fmt: skip
    made = sent(result)
    assert (made["teamId"], made["assigneeId"], made["stateId"]) == (TEAM, ADA, "s1")
    assert made["labelIds"] == ["l1", "l2", ADA]


def test_what_is_set_goes_along() -> None:
    made = sent(create(description="*Since* today", priority="urgent", project_id=ADA, parent_id="ENG-12",
                       due_date="2026-05-04", assignee=ADA, state=TEAM))  # fmt: skip
    assert made == {
        "id": id_of("test-key"), "teamId": TEAM, "title": "It is broken", "description": "*Since* today",
        "priority": 1, "projectId": ADA, "parentId": "ENG-12", "dueDate": "2026-05-04", "assigneeId": ADA,
        "stateId": TEAM,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "found", "field"),
    [
        ({"team": "ENG"}, {"teams": nodes()}, "team"),
        ({"team": "Eng"}, {"teams": nodes({"id": "1"}, {"id": "2"})}, "team"),
        ({"assignee": "x@y.z"}, {"teams": nodes(), "users": nodes()}, "assignee"),
        ({"labels": ["Bug"]}, {"issueLabels": nodes({"id": "1", "name": "Bug", "team": {"id": "x"}})}, "labels"),
        ({"state": "Todo"}, {"workflowStates": nodes({"id": "1", "team": {"id": "x"}})}, "state"),
    ],
)
def test_what_is_not_there_is_named_before_anything_is_made(
    inputs: dict[str, Any], found: dict[str, Any], field: str
) -> None:
    error = refused(data(**found), **inputs)
    assert isinstance(error, InputError)
    assert error.field == field
    assert error.hint


def test_the_issue_has_the_same_id_of_version_4_on_every_attempt() -> None:
    made = uuid.UUID(id_of("a-key"))
    assert made.version == 4
    assert id_of("a-key") == str(made)
    assert id_of("another") != str(made)


def test_a_further_attempt_finds_what_the_first_one_made() -> None:
    result = create(data(issue=ISSUE), attempt=2)
    assert variables(result.request) == {"id": id_of("test-key")}
    assert result.output == ISSUE
    assert "earlier attempt" in result.logs[0].text


def test_a_further_attempt_makes_it_where_there_is_none() -> None:
    absent = errors(type="invalid input", code="INPUT_ERROR")
    result = create(absent, MADE, attempt=2)
    assert sent(result)["id"] == id_of("test-key")
    with pytest.raises(Transient):
        create(httpx.Response(503), attempt=2)
    with pytest.raises(AuthError):
        create(errors(type="authentication error"), attempt=2)


def test_a_lost_answer_is_asked_for_again() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(Transient):
        run_action(create_issue, {"team": TEAM, "title": "x"}, auth=AUTH, http=lose)


@pytest.mark.parametrize(
    "inputs",
    [
        {"team": ""},
        {"title": ""},
        {"title": "x" * 513},
        {"priority": 1},
        {"project_id": "x"},
        {"due_date": "soon"},
        {"labels": [""]},
        {"body": "x"},
    ],
)
def test_inputs_that_fit_no_issue_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_issue, {"team": TEAM, "title": "x", **inputs}, auth=AUTH)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (errors(type="invalid input"), InputError),
        (errors(400, code="INPUT_ERROR"), InputError),
        (errors(type="authentication error"), AuthError),
        (errors(400, type="other", code="AUTHENTICATION_ERROR"), AuthError),
        (errors(type="forbidden"), PermissionMissing),
        (errors(type="usage limit exceeded"), Permanent),
        (errors(400, type="ratelimited", code="RATELIMITED"), RateLimited),
        (errors(type="lock timeout"), Transient),
        (errors(type="internal error"), Transient),
        (errors(type="what is this"), Permanent),
        (errors(400, code="GRAPHQL_VALIDATION_FAILED"), Permanent),
        (errors(503, type="invalid input"), Transient),
    ],
)
def test_an_error_says_what_to_do_whatever_the_status(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    error = refused(answer)
    assert type(error) is expected
    assert error.message == "Linear: It says why."


def test_words_for_people_come_first() -> None:
    assert refused(errors(userPresentableMessage="For people.", type="user error")).message == "Linear: For people."


def test_a_limit_says_how_long_to_wait() -> None:
    reset = str(int((time.time() + 90) * 1000))
    error = refused(errors(400, {"X-RateLimit-Requests-Reset": reset}, type="ratelimited"))
    told = refused(errors(400, {"Retry-After": "5"}, type="ratelimited"))
    assert isinstance(error, RateLimited)
    assert isinstance(told, RateLimited)
    assert 80 < (error.retry_after or 0) <= 90
    assert told.retry_after == 5


def test_every_kind_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"data": None}, {"data": {"issueCreate": {"success": False, "issue": ISSUE}}},
     {"data": {"issueCreate": {"success": True, "issue": None}}}, "x"],
)  # fmt: skip
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        create(httpx.Response(200, json=answer))


def test_teams_are_listed_page_by_page() -> None:
    page = {**nodes({"id": TEAM, "key": "ENG", "name": "Engineering"}),
            "pageInfo": {"hasNextPage": True, "endCursor": "c2"}}  # fmt: skip
    found, (request,) = run_options(
        create_issue, "team", query=" eng ", cursor="c1", auth=AUTH, http=[data(teams=page)]
    )
    assert [(each.value, each.label) for each in found.items] == [("ENG", "Engineering")]
    assert found.next_cursor == "c2"
    assert variables(request) == {"name": "eng", "after": "c1"}
    page["pageInfo"] = {"hasNextPage": False, "endCursor": "c2"}
    assert run_options(create_issue, "team", auth=AUTH, http=[data(teams=page)])[0].next_cursor is None


@pytest.mark.parametrize("auth", [{"type": "oauth2", **AUTH}, KEY])
def test_an_account_is_asked_for_its_name(auth: dict[str, str]) -> None:
    viewer = {"id": ADA, "name": "Ada", "email": "ada@example.com", "organization": {"name": "Acme"}}
    account, _ = check_account(linear, auth, [data(viewer=viewer)])
    assert account.label == "ada@example.com in Acme"
    with pytest.raises(AuthError):
        check_account(linear, auth, [errors(400, type="authentication error")])
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(linear, auth, [data(viewer={})])
