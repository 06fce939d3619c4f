"""WordPress's createPost: what goes out and where to, and what each refusal becomes."""

import base64
import json
from typing import Any

import httpx
import pytest

from integrations.providers.wordpress import wordpress
from integrations.providers.wordpress.actions import create_post
from integrations.providers.wordpress.client import ERRORS
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
from integrations.sdk.testing import ActionResult, check_account, run_action

AUTH = {"type": "basic", "username": "ada", "password": "abcd EFGH 1234"}
SITE = {"site": "https://example.com/blog"}
POST = {"title": "We have moved", "content": "<p>Hi</p>"}
OK = {
    "id": 128, "status": "publish", "slug": "we-have-moved", "link": "https://example.com/blog/we-have-moved/",
    "title": {"rendered": "R&amp;D"}, "date": "2026-05-04T09:30:00", "categories": [5], "tags": [],
}  # fmt: skip
MADE = httpx.Response(201, json=OK)


def create(*answers: httpx.Response, **inputs: Any) -> ActionResult:
    return run_action(create_post, {**POST, **inputs}, auth=AUTH, http=answers or [MADE], settings=SITE)


def body_of(result: ActionResult) -> Any:
    return json.loads(result.requests[-1].content)


def error(status: int, code: str = "x", headers: dict[str, str] | None = None, **data: Any) -> httpx.Response:
    answer = {"code": code, "message": "It says &#8220;why&#8221;.", "data": {"status": status, **data}}
    return httpx.Response(status, json=answer, headers=headers)


def refused(*answers: httpx.Response, **inputs: Any) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        create(*answers, **inputs)
    return caught.value


def rows(*names: str) -> httpx.Response:
    return httpx.Response(200, json=[{"id": at, "name": name, "slug": f"s{at}"} for at, name in enumerate(names, 5)])


def test_a_post_goes_to_the_credentials_site_with_the_application_password() -> None:
    result = create()
    assert (result.request.method, str(result.request.url)) == ("POST", "https://example.com/blog/wp-json/wp/v2/posts")
    pair = base64.b64encode(b"ada:abcd EFGH 1234").decode()
    assert result.request.headers["authorization"] == f"Basic {pair}"
    assert body_of(result) == {**POST, "status": "draft"}
    assert result.output == {**OK, "title": "R&D"}


def test_what_is_set_goes_along() -> None:
    given = {
        "status": "future", "date": "2026-05-04T07:30:00Z", "slug": "moved", "excerpt": "Moved", "featured_media": 847,
    }  # fmt: skip
    result = create(**given, categories=[5, "6"], tags="7, 8")
    assert body_of(result) == {
        **POST, **given, "date": "2026-05-04T07:30:00+00:00", "categories": [5, 6], "tags": [7, 8],
    }  # fmt: skip


def test_categories_and_tags_are_found_by_their_names() -> None:
    result = create(rows("Newsletter", "R&amp;D"), rows("OFFICE"), MADE, categories=["R&D", 6], tags=["office"])
    first, second, last = result.requests
    assert first.url.path == "/blog/wp-json/wp/v2/categories"
    assert dict(first.url.params) == {"search": "R&amp;D", "per_page": "100"}
    assert second.url.path == "/blog/wp-json/wp/v2/tags"
    assert json.loads(last.content)["categories"] == [6]
    assert json.loads(last.content)["tags"] == [5]


def test_a_slug_names_a_category_too() -> None:
    assert body_of(create(rows("Newsletter", "News"), MADE, categories="s6"))["categories"] == [6]


def test_a_category_that_is_missing_is_named_and_nothing_is_made() -> None:
    told = refused(rows("Newsletter"), categories=["News"])
    assert isinstance(told, InputError)
    assert told.field == "categories"
    assert "News" in told.message


def test_a_tag_that_is_missing_is_made() -> None:
    result = create(rows(), httpx.Response(201, json={"id": 44}), MADE, tags=["office"])
    made = result.requests[1]
    assert (made.method, made.url.path) == ("POST", "/blog/wp-json/wp/v2/tags")
    assert json.loads(made.content) == {"name": "office"}
    assert body_of(result)["tags"] == [44]


def test_one_that_somebody_makes_at_the_same_moment_is_taken() -> None:
    assert body_of(create(rows(), error(400, "term_exists", term_id=45), MADE, tags=["office"]))["tags"] == [45]
    assert type(refused(rows(), error(400, "term_exists"), tags=["office"])) is Permanent
    assert type(refused(rows(), error(403, "rest_cannot_create"), tags=["office"])) is PermissionMissing


@pytest.mark.parametrize(
    "inputs",
    [
        {"title": " ", "content": ""},
        {"status": "future"},
        {"status": "published"},
        {"date": "soon"},
        {"featured_media": 0},
        {"categories": [str(at) for at in range(21)]},
        {"tags": [""]},
        {"tags": [True]},
        {"body": "x"},
    ],
)
def test_inputs_that_fit_no_post_are_refused_before_anything_is_sent(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(create_post, {**POST, **inputs}, auth=AUTH, settings=SITE)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "rest_invalid_param", InputError),
        (400, "rest_invalid_featured_media", InputError),
        (400, "other", Permanent),
        (401, "rest_cannot_create", AuthError),
        (401, "incorrect_password", AuthError),
        (403, "rest_cannot_publish", PermissionMissing),
        (403, "other", PermissionMissing),
        (404, "rest_no_route", NotFound),
        (429, "other", RateLimited),
        (500, "rest_invalid_param", Transient),
        (503, "other", Transient),
    ],
)
def test_a_code_says_what_to_do(status: int, code: str, expected: type[IntegrationError]) -> None:
    told = refused(error(status, code))
    assert type(told) is expected
    assert told.message == "WordPress: It says “why”."


def test_a_wrong_input_is_named() -> None:
    told = [
        refused(error(400, "rest_invalid_param", params={"slug": "Invalid."})),
        refused(error(400, "empty_content")),
    ]
    assert [each.field for each in told if isinstance(each, InputError)] == ["slug", "content"]


def test_a_refusal_to_nobody_says_that_the_password_does_not_arrive() -> None:
    assert "Authorization" in refused(error(401, "rest_cannot_create")).hint


def test_a_site_without_the_api_is_told() -> None:
    assert "permalinks" in refused(httpx.Response(404, content=b"<html>")).hint


def test_a_site_that_has_moved_is_not_followed_and_says_where_to() -> None:
    moved = httpx.Response(301, headers={"Location": "https://www.example.com/blog/wp-json/wp/v2/posts"})
    told = refused(moved)
    assert type(told) is Permanent
    assert told.hint.endswith(": https://www.example.com/blog")


def test_every_code_has_a_hint() -> None:
    assert all(len(hint) > 15 for _kind, hint in ERRORS.values())


def test_a_lost_answer_to_the_post_is_not_sent_again_by_itself_but_one_to_a_question_is() -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    with pytest.raises(OutcomeUnknown):
        run_action(create_post, POST, auth=AUTH, http=lose, settings=SITE)
    with pytest.raises(Transient):
        run_action(create_post, {**POST, "tags": ["office"]}, auth=AUTH, http=lose, settings=SITE)


@pytest.mark.parametrize("answer", [[], {}, {"id": "5", "status": "draft"}, {"id": 5}, "x"])
def test_an_answer_of_another_form_is_permanent(answer: object) -> None:
    assert "unexpected form" in refused(httpx.Response(201, json=answer)).message


def test_an_account_is_asked_for_its_name() -> None:
    answer = httpx.Response(200, json={"id": 1, "name": "Ada &amp; Co"})
    account, (request,) = check_account(wordpress, AUTH, [answer], settings=SITE)
    assert account.label == "Ada & Co at example.com"
    assert str(request.url) == "https://example.com/blog/wp-json/wp/v2/users/me"
    with pytest.raises(AuthError):
        check_account(wordpress, AUTH, [error(401, "rest_not_logged_in")], settings=SITE)
    with pytest.raises(Permanent, match="unexpected form"):
        check_account(wordpress, AUTH, [httpx.Response(200, json={})], settings=SITE)
