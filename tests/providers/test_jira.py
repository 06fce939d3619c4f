"""Jira's createIssue: what goes out and where to, and what each refusal becomes."""

import base64
import json
from typing import Any

import httpx
import pytest

from integrations.providers.jira import jira
from integrations.providers.jira.actions import create_issue
from integrations.providers.jira.document import document
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

AUTH = {"type": "basic", "username": "ada@example.com", "password": "canary"}
SITE = {"site": "https://acme.atlassian.net"}
BUG = {"project": "OPS", "issue_type": "Bug", "summary": "It is\n broken "}
OK = {"id": "10128", "key": "OPS-128", "self": "https://acme.atlassian.net/rest/api/3/issue/10128"}


def create(*answers: httpx.Response, settings: dict[str, str] | None = None, **inputs: Any) -> ActionResult:
    http = answers or [httpx.Response(201, json=OK)]
    return run_action(create_issue, {**BUG, **inputs}, auth=AUTH, http=http, settings=settings or SITE)


def fields_of(result: ActionResult) -> dict[str, Any]:
    body = json.loads(result.requests[-1].content)
    assert set(body) == {"fields"}
    fields: dict[str, Any] = body["fields"]
    return fields


def refused(status: int, answer: Any = None, headers: dict[str, str] | None = None) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        create(httpx.Response(status, json=answer, headers=headers))
    return caught.value


def test_an_issue_goes_to_the_credentials_site_with_mail_and_token() -> None:
    result = create()
    assert (result.request.method, str(result.request.url)) == ("POST", "https://acme.atlassian.net/rest/api/3/issue")
    assert result.request.headers["authorization"] == f"Basic {base64.b64encode(b'ada@example.com:canary').decode()}"
    assert fields_of(result) == {"project": {"key": "OPS"}, "issuetype": {"name": "Bug"}, "summary": "It is broken"}
    assert result.output == {**OK, "url": "https://acme.atlassian.net/browse/OPS-128"}


def test_a_site_by_its_cloud_id_has_no_page_to_read_at() -> None:
    result = create(settings={"site": "https://api.atlassian.com/ex/jira/11223344"})
    assert result.request.url.raw_path == b"/ex/jira/11223344/rest/api/3/issue"
    assert result.output["url"] == ""


def test_what_is_set_goes_along_and_further_fields_stand_over_it() -> None:
    result = create(
        project=10001, issue_type=10004, priority="High", labels=["a", "b"], parent="OPS-12", due_date="2026-05-04",
        assignee="5b10ac8d82e05b22cc7d4ef5", description="x", fields={"priority": {"id": "2"}, "customfield_1": 7},
    )  # fmt: skip
    assert fields_of(result) == {
        "project": {"id": "10001"},
        "issuetype": {"id": "10004"},
        "summary": "It is broken",
        "description": document("x"),
        "priority": {"id": "2"},
        "assignee": {"accountId": "5b10ac8d82e05b22cc7d4ef5"},
        "labels": ["a", "b"],
        "parent": {"key": "OPS-12"},
        "duedate": "2026-05-04",
        "customfield_1": 7,
    }


def test_a_text_becomes_paragraphs_and_line_breaks() -> None:
    text, line = (lambda value: {"type": "text", "text": value}), {"type": "hardBreak"}
    found = document("\r\nOne\r\ntwo\n \n\nThree  \n")
    assert found == {
        "type": "doc",
        "version": 1,
        "content": [
            {"type": "paragraph", "content": [text("One"), line, text("two")]},
            {"type": "paragraph", "content": [text("Three")]},
        ],
    }
    assert document(" \n\n ") is None


def people(*rows: dict[str, str]) -> httpx.Response:
    return httpx.Response(200, json=list(rows))


@pytest.mark.parametrize(
    "rows",
    [
        [{"accountId": "a1", "emailAddress": "Ada@Example.com"}, {"accountId": "a2", "emailAddress": "ada@example.co"}],
        [{"accountId": "a1"}],
        [{"accountId": "a1", "emailAddress": "ada@example.com"}, {"accountId": "a2"}],
    ],
)
def test_an_assignee_is_found_by_mail_among_those_who_may_have_issues(rows: list[dict[str, str]]) -> None:
    result = create(people(*rows), httpx.Response(201, json=OK), assignee="ada@example.com")
    looked = result.requests[0]
    assert looked.url.path == "/rest/api/3/user/assignable/search"
    assert dict(looked.url.params) == {"query": "ada@example.com", "project": "OPS", "maxResults": "20"}
    assert fields_of(result)["assignee"] == {"accountId": "a1"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "Nobody"),
        ([{"accountId": "a2", "emailAddress": "ada@example.co"}], "Nobody"),
        ([{"accountId": "a1"}, {"accountId": "a2"}], "Several people"),
    ],
)
def test_one_who_is_not_found_alone_is_named_before_anything_is_made(rows: list[dict[str, str]], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        create(people(*rows), assignee="ada@example.com")
    assert caught.value.field == "assignee"


@pytest.mark.parametrize(
    "inputs",
    [
        {"project": "../x"},
        {"project": ""},
        {"summary": " "},
        {"summary": "x" * 256},
        {"description": "x" * 32768},
        {"labels": ["two words"]},
        {"parent": "12"},
        {"due_date": "soon"},
        {"title": "x"},
    ],
)
def test_inputs_that_fit_no_issue_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_issue, {**BUG, **inputs}, auth=AUTH, settings=SITE)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InputError),
        (401, AuthError),
        (403, PermissionMissing),
        (404, NotFound),
        (409, Permanent),
        (429, RateLimited),
        (500, Transient),
        (503, Transient),
    ],
)
def test_a_status_says_what_to_do(status: int, expected: type[IntegrationError]) -> None:
    error = refused(status, {"errorMessages": ["It says why."], "errors": {}})
    assert type(error) is expected
    assert error.message == "Jira: It says why."
    assert error.hint or status == 409


@pytest.mark.parametrize(
    ("name", "field"), [("issuetype", "issue_type"), ("project", "project"), ("customfield_10011", "fields")]
)
def test_a_wrong_field_is_named(name: str, field: str) -> None:
    error = refused(400, {"errorMessages": [], "errors": {name: "Specify a valid value"}})
    assert isinstance(error, InputError)
    assert error.field == field
    assert error.message == f"Jira: {name}: Specify a valid value"


def test_a_waiting_captcha_is_told() -> None:
    error = refused(403, {}, {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED"})
    assert type(error) is AuthError
    assert "captcha" in error.hint


@pytest.mark.parametrize("status", [429, 503])
def test_too_many_requests_wait_as_long_as_jira_says(status: int) -> None:
    error = refused(status, {}, {"Retry-After": "7"})
    assert isinstance(error, Transient)
    assert error.retry_after == 7


def test_a_refusal_that_is_not_jiras_names_no_input() -> None:
    assert type(refused(400)) is Permanent


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(create_issue, BUG, auth=AUTH, http=lose, settings=SITE)


@pytest.mark.parametrize("answer", [[], {}, {"id": 1, "key": "OPS-1"}, {"id": "1"}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    with pytest.raises(Permanent, match="unexpected form"):
        create(httpx.Response(201, json=answer))


def choices(field: str, answer: Any, **more: Any) -> tuple[list[tuple[str, str]], str | None, httpx.Request]:
    found, (request,) = run_options(
        create_issue, field, auth=AUTH, settings=SITE, http=[httpx.Response(200, json=answer)], **more
    )
    return [(option.value, option.label) for option in found.items], found.next_cursor, request


def test_projects_are_listed_page_by_page() -> None:
    rows = {"values": [{"id": "1", "key": "OPS", "name": "Operations"}], "isLast": False}
    items, following, request = choices("project", rows, query="op", cursor="50")
    assert (items, following) == ([("OPS", "Operations")], "51")
    assert dict(request.url.params) == {"startAt": "50", "maxResults": "50", "orderBy": "name", "query": "op"}
    assert choices("project", {**rows, "isLast": True})[1] is None


def test_kinds_of_issue_are_those_of_the_project() -> None:
    rows = {"issueTypes": [{"id": "1", "name": "Bug"}, {"id": "2", "name": "Task"}, {"id": "3", "name": "Bug"}]}
    items, _following, request = choices("issue_type", rows, inputs={"project": "OPS"}, query="b")
    assert items == [("Bug", "Bug")]
    assert request.url.path == "/rest/api/3/project/OPS"
    for project in ("", "{{ trigger.body.project }}", "../x"):
        with pytest.raises(InputError, match="choose the project first"):
            run_options(create_issue, "issue_type", inputs={"project": project}, auth=AUTH, settings=SITE)


def test_priorities_are_listed() -> None:
    items, following, request = choices("priority", {"values": [{"id": "1", "name": "High"}], "isLast": True})
    assert (items, following, request.url.path) == ([("High", "High")], None, "/rest/api/3/priority/search")


def test_an_account_is_asked_for_its_name() -> None:
    answer = httpx.Response(200, json={"accountId": "a1", "displayName": "Ada Lovelace"})
    account, (request,) = check_account(jira, AUTH, [answer], settings=SITE)
    assert account.label == "Ada Lovelace at acme.atlassian.net"
    assert str(request.url) == "https://acme.atlassian.net/rest/api/3/myself"
    with pytest.raises(AuthError):
        check_account(jira, AUTH, [httpx.Response(401, json={})], settings=SITE)
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(jira, AUTH, [httpx.Response(200, json={})], settings=SITE)
