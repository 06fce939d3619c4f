"""GitHub: issues, webhooks of a repository, the limits that it answers, and what of its deliveries starts a run."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from integrations.providers.github import github
from integrations.providers.github.actions import create_issue
from integrations.providers.github.triggers import new_event
from integrations.sdk import InputError, IntegrationError, Item, NotFound, Subscription, WebhookReply, WebhookRequest
from integrations.sdk.testing import (
    check_account,
    run_action,
    run_options,
    run_subscribe,
    run_unsubscribe,
    run_webhook,
)

AUTH = {"token": "ghp_canary"}
ISSUE = {"repository": "octocat/hello-world", "title": "Broken"}
WATCHED = {"repository": "octocat/hello-world", "events": ["issues"]}
ADDRESS = "https://orchestrator.example.com/h/token"
HOOK = {"id": 17, "active": True, "events": ["issues"], "config": {"url": ADDRESS}}
EXISTS = httpx.Response(
    422, json={"message": "Validation Failed", "errors": [{"message": "Hook already exists on this repository"}]}
)


def failed(response: httpx.Response) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run_action(create_issue, ISSUE, auth=AUTH, http=[response])
    return caught.value


def test_an_issue_is_opened_with_what_was_filled_in() -> None:
    answer = {"id": 1, "number": 7, "html_url": "https://github.com/o/r/issues/7", "title": "Broken", "state": "open"}
    inputs = {**ISSUE, "body": "It is.", "labels": ["bug"], "milestone": 2}
    result = run_action(create_issue, inputs, auth=AUTH, http=[httpx.Response(201, json=answer)])
    request = result.request
    assert str(request.url) == "https://api.github.com/repos/octocat/hello-world/issues"
    assert json.loads(request.content) == {"title": "Broken", "body": "It is.", "labels": ["bug"], "milestone": 2}
    headers = request.headers
    assert (headers["authorization"], headers["accept"]) == ("Bearer ghp_canary", "application/vnd.github+json")
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["user-agent"]
    assert result.output == answer


@pytest.mark.parametrize("repository", ["", "hello-world", "a/b/c", "octocat/..%2f", "../x", "octo cat/a", "a/b?c"])
def test_what_names_no_repository_is_refused(repository: str) -> None:
    with pytest.raises(InputError):
        run_action(create_issue, {**ISSUE, "repository": repository}, auth=AUTH)


@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "in 90"}, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, 1),
        ({}, 60),
    ],
)
def test_a_limit_says_how_long_to_wait(status: int, headers: dict[str, str], seconds: int) -> None:
    body = {"message": "You have exceeded a secondary rate limit."}
    headers = {name: str(int(time.time()) + 90) if value == "in 90" else value for name, value in headers.items()}
    error = failed(httpx.Response(status, json=body, headers=headers))
    assert (error.kind, error.retryable) == ("rate_limited", True)
    assert getattr(error, "retry_after", None) == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (401, {"message": "Bad credentials"}, "auth", "Bad credentials"),
        (403, {"message": "Resource not accessible by personal access token"}, "auth", "Resource not accessible"),
        (404, {"message": "Not Found"}, "permanent", "Not Found"),
        (410, {"message": "Issues are disabled for this repo"}, "permanent", "Issues are disabled"),
        (422, {"message": "Validation Failed", "errors": [{"message": "no"}, "odd", 5]}, "permanent", "no; odd"),
        (422, ["odd"], "permanent", "422"),
        (503, {"message": "Unicorn"}, "transient", "Unicorn"),
    ],
)
def test_what_is_refused_is_told_in_githubs_words(status: int, body: Any, kind: str, said: str) -> None:
    error = failed(httpx.Response(status, json=body))
    assert error.kind == kind
    assert said in error.message
    if status == 404:
        assert "token may not see" in error.hint


def test_whose_token_it_is() -> None:
    answer = httpx.Response(200, json={"login": "octocat"}, headers={"x-oauth-scopes": "repo, admin:repo_hook"})
    found, (request,) = check_account(github, {"type": "bearer_token", **AUTH}, [answer])
    assert (found.label, found.scopes) == ("octocat", ("repo", "admin:repo_hook"))
    assert request.url.path == "/user"


def test_repositories_to_choose_from_go_on_by_the_link_header() -> None:
    link = '<https://api.github.com/user/repos?per_page=100&page=2>; rel="next", <https://x/?page=9>; rel="last"'
    pages = [
        httpx.Response(200, json=[{"full_name": "octocat/a"}], headers={"Link": link}),
        httpx.Response(200, json=[{"full_name": "octocat/Hello"}]),
    ]
    found, requests = run_options(create_issue, "repository", auth=AUTH, http=pages[:1])
    assert ([option.value for option in found.items], found.next_cursor) == (["octocat/a"], "2")
    found, requests = run_options(create_issue, "repository", query="hello", auth=AUTH, http=pages)
    assert ([option.value for option in found.items], found.next_cursor) == (["octocat/Hello"], None)
    assert [request.url.params["page"] for request in requests] == ["1", "2"]


def test_a_webhook_is_made_for_the_address() -> None:
    made, (request,) = run_subscribe(
        new_event, WATCHED, address=ADDRESS, auth=AUTH, http=[httpx.Response(201, json=HOOK)]
    )
    assert made.id == "17"
    assert (request.method, request.url.path) == ("POST", "/repos/octocat/hello-world/hooks")
    assert json.loads(request.content) == {
        "name": "web",
        "active": True,
        "events": ["issues"],
        "config": {"url": ADDRESS, "content_type": "json", "secret": "secret", "insecure_ssl": "0"},
    }


def test_one_that_is_there_already_is_taken_over() -> None:
    """What is left where an answer was not heard of, or a worker died."""
    rows = [{"id": 3, "config": {}}, {"id": 4, "config": {"url": "https://else.example"}}, HOOK]
    answers = [EXISTS, httpx.Response(200, json=rows), httpx.Response(200, json=HOOK)]
    made, requests = run_subscribe(new_event, WATCHED, address=ADDRESS, auth=AUTH, http=answers)
    assert made.id == "17"
    assert [(each.method, each.url.path.rpartition("/")[2]) for each in requests] == [
        ("POST", "hooks"), ("GET", "hooks"), ("PATCH", "17"),
    ]  # fmt: skip
    assert json.loads(requests[2].content)["config"]["secret"] == "secret"


def test_what_github_refuses_of_a_webhook_is_told() -> None:
    localhost = httpx.Response(422, json={"message": "Validation Failed", "errors": [{"message": "url is not public"}]})
    with pytest.raises(IntegrationError, match="url is not public"):
        run_subscribe(new_event, WATCHED, address=ADDRESS, auth=AUTH, http=[localhost, httpx.Response(200, json=[])])
    with pytest.raises(NotFound):
        run_subscribe(new_event, WATCHED, auth=AUTH, http=[httpx.Response(404, json={"message": "Not Found"})])


def test_one_that_was_switched_off_is_switched_on_again_and_one_that_is_gone_is_told() -> None:
    known = Subscription(id="17", address=ADDRESS)
    off = httpx.Response(200, json={**HOOK, "active": False})
    made, requests = run_subscribe(
        new_event, WATCHED, known=known, auth=AUTH, http=[off, httpx.Response(200, json=HOOK)]
    )
    assert (made.id, [each.method for each in requests]) == ("17", ["GET", "PATCH"])
    _, requests = run_subscribe(new_event, WATCHED, known=known, auth=AUTH, http=[httpx.Response(200, json=HOOK)])
    assert len(requests) == 1
    with pytest.raises(NotFound):
        run_subscribe(new_event, WATCHED, known=known, auth=AUTH, http=[httpx.Response(404, json={})])


def test_it_is_taken_away_by_its_number_or_by_the_address() -> None:
    gone = httpx.Response(204)
    (request,) = run_unsubscribe(new_event, WATCHED, Subscription(id="17"), auth=AUTH, http=[gone])
    assert (request.method, request.url.path) == ("DELETE", "/repos/octocat/hello-world/hooks/17")
    requests = run_unsubscribe(
        new_event, WATCHED, Subscription(address=ADDRESS), auth=AUTH, http=[httpx.Response(200, json=[HOOK]), gone]
    )
    assert requests[1].url.path.endswith("/17")
    requests = run_unsubscribe(
        new_event, WATCHED, Subscription(address=ADDRESS), auth=AUTH, http=[httpx.Response(200, json=[])]
    )
    assert len(requests) == 1


def delivered(event: str, payload: Any, delivery: str = "d1") -> WebhookRequest:
    headers = {"x-github-event": event, "x-github-delivery": delivery}
    return WebhookRequest(method="POST", headers=headers, body=json.dumps(payload).encode())


OPENED = {"action": "opened", "issue": {"number": 1}}


@pytest.mark.parametrize(
    ("inputs", "event", "payload", "starts"),
    [
        ({"events": ["issues"]}, "issues", OPENED, True),
        ({"events": ["push"]}, "issues", OPENED, False),
        ({"events": ["*"]}, "issues", OPENED, True),
        ({"events": ["issues"], "actions": ["closed"]}, "issues", OPENED, False),
        ({"events": ["issues"], "actions": ["closed", "opened"]}, "issues", OPENED, True),
        ({"events": ["push"], "actions": ["opened"]}, "push", {"ref": "refs/heads/main"}, True),
    ],
)
def test_what_was_asked_for_starts_a_run(inputs: Any, event: str, payload: Any, starts: bool) -> None:
    found = run_webhook(new_event, {**WATCHED, **inputs}, delivered(event, payload))
    data = {"event": event, "action": payload.get("action"), "delivery": "d1", "payload": payload}
    assert found == ([Item("d1", data)] if starts else [])


def test_a_ping_is_answered() -> None:
    assert isinstance(run_webhook(new_event, WATCHED, delivered("ping", {"zen": "Design."})), WebhookReply)


@pytest.mark.parametrize(("event", "payload", "delivery"), [("", {}, "d"), ("push", [], "d"), ("push", {}, "")])
def test_what_is_no_delivery_says_so(event: str, payload: Any, delivery: str) -> None:
    with pytest.raises(InputError, match="no delivery of GitHub's"):
        run_webhook(new_event, WATCHED, delivered(event, payload, delivery))
