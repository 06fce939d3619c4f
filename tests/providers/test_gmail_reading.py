"""Gmail's searchMessages, addLabel and newEmail: what is read of a message, and which messages are new."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.providers.gmail import gmail
from integrations.providers.gmail.actions import add_label, search_messages
from integrations.providers.gmail.client import MODIFY_SCOPE, SEND_SCOPE
from integrations.providers.gmail.reading import MAX_TEXT, read
from integrations.providers.gmail.triggers import MAX_READ, OVERLAP_SECONDS, SHOWN, new_email
from integrations.sdk import (
    AuthError,
    IntegrationError,
    NotFound,
    OAuth2,
    Option,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.sdk.testing import run_action, run_options, run_poll
from tests.providers.google_answers import AUTH, losing_after, new_refusal, ok, refusal


def encoded(text: str, charset: str = "utf-8") -> str:
    return base64.urlsafe_b64encode(text.encode(charset)).decode().rstrip("=")


def part(kind: str, text: str = "", **more: Any) -> dict[str, Any]:
    return {"mimeType": kind, "filename": "", "body": {"size": len(text), "data": encoded(text)}, **more}


MAIL: dict[str, Any] = {
    "id": "m1",
    "threadId": "t1",
    "labelIds": ["INBOX", "UNREAD"],
    "snippet": "Two",
    "internalDate": "1777878000000",
    "payload": {
        "mimeType": "multipart/mixed",
        "headers": [
            {"name": "FROM", "value": '"Fox, Ada" <ada@example.com>'},
            {"name": "To", "value": "a@x.example, Bob <b@x.example>"},
            {"name": "Subject", "value": "Grüße"},
            {"name": "Message-ID", "value": "<42@x.example>"},
        ],
        "parts": [
            {
                "mimeType": "multipart/alternative",
                "parts": [
                    {**part("text/plain"), "headers": [{"name": "Content-Type", "value": "text/plain; charset=latin1"}],
                     "body": {"data": encoded("Käse", "latin1")}},
                    part("text/html", "<p>Käse</p>"),
                ],
            },
            part("text/plain", "a footer"),
            {"mimeType": "image/png", "filename": "a.png", "body": {"size": 7, "attachmentId": "A1"}},
        ],
    },
}  # fmt: skip


def test_a_message_is_read_in_words() -> None:
    assert read(MAIL).model_dump(by_alias=True) == {
        "id": "m1",
        "threadId": "t1",
        "labelIds": ["INBOX", "UNREAD"],
        "subject": "Grüße",
        "from": [{"name": "Fox, Ada", "address": "ada@example.com"}],
        "to": [{"name": "", "address": "a@x.example"}, {"name": "Bob", "address": "b@x.example"}],
        "cc": [],
        "date": "2026-05-04T07:00:00+00:00",
        "snippet": "Two",
        "messageId": "<42@x.example>",
        "text": "Käse",
        "html": "<p>Käse</p>",
        "attachments": [{"filename": "a.png", "mimeType": "image/png", "size": 7, "attachmentId": "A1"}],
        "truncated": False,
    }


@pytest.mark.parametrize(
    "body",
    [
        {"data": "%%%"},
        {"data": encoded("x"), "size": "many"},
        {"data": 5},
        [],
        None,
        {"data": base64.urlsafe_b64encode(b"\xff\0").decode()},
    ],
)
@pytest.mark.parametrize("charset", ["", "no-such", "\r\nutf-7", "utf-8"])
def test_a_badly_made_message_is_read_as_far_as_it_goes(body: Any, charset: str) -> None:
    headers = [{"name": "Content-Type", "value": f"text/plain; charset={charset}"}, 5, {"value": None}]
    found = read({"id": "m", "internalDate": "soon", "payload": {"mimeType": "text/plain", "headers": headers,
                  "body": body, "parts": [1]}})  # fmt: skip
    assert "\0" not in found.text
    assert found.date is None


def test_a_long_text_is_cut_off_and_says_so() -> None:
    found = read({"id": "m", "payload": part("text/plain", "x" * (MAX_TEXT + 1))})
    assert (len(found.text), found.truncated) == (MAX_TEXT, True)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner) |
       st.dictionaries(st.sampled_from(["payload", "parts", "headers", "name", "value", "body", "data", "mimeType",
                                        "filename", "labelIds", "internalDate", "size"]), inner)))  # fmt: skip
def test_whatever_comes_is_no_fault_of_ours(value: Any) -> None:
    resource = value if isinstance(value, dict) else {"payload": value}
    assert read({**resource, "id": "m"}).id == "m"


def listing(*ids: str, following: str = "") -> httpx.Response:
    rows = {"messages": [{"id": each, "threadId": each} for each in ids]} if ids else {}
    return ok({**rows, "resultSizeEstimate": len(ids), **({"nextPageToken": following} if following else {})})


def mail(message_id: str, at: int = 0) -> httpx.Response:
    return ok({"id": message_id, "threadId": "t", "internalDate": str(at), "payload": {"headers": []}})


def test_a_search_gives_messages_without_their_text_unless_it_is_asked_for() -> None:
    inputs = {"query": "from:ada", "label": "Label_1", "limit": 2}
    http = [listing("a", "b", following="p"), mail("a"), mail("b")]
    result = run_action(search_messages, inputs, auth=AUTH, http=http)
    found, first, second = result.requests
    assert dict(found.url.params) == {"maxResults": "2", "q": "from:ada", "labelIds": "Label_1"}
    assert [request.url.path.rpartition("/")[2] for request in (first, second)] == ["a", "b"]
    assert first.url.params["format"] == "metadata"
    assert "Subject" in first.url.params.get_list("metadataHeaders")
    assert ([each["id"] for each in result.output["messages"]], result.output["more"]) == (["a", "b"], True)
    full = run_action(search_messages, {"body": True}, auth=AUTH, http=[listing("a"), mail("a")])
    assert dict(full.requests[1].url.params) == {"format": "full"}
    assert full.output["more"] is False


def test_nothing_found_is_an_empty_list_and_what_is_gone_by_now_is_left_out() -> None:
    empty = run_action(search_messages, {}, auth=AUTH, http=[listing()])
    assert empty.output == {"messages": [], "more": False}
    gone = run_action(search_messages, {}, auth=AUTH, http=[listing("a", "b"), refusal(404), mail("b")])
    assert [each["id"] for each in gone.output["messages"]] == ["b"]


def test_a_label_is_added_and_again_does_no_harm() -> None:
    inputs = {"messageId": "m/1", "label": "Label_1"}
    answer = {"id": "m1", "threadId": "t1", "labelIds": ["Label_1"]}
    result = run_action(add_label, inputs, auth=AUTH, http=[ok(answer)])
    assert result.output == answer
    assert result.request.url.raw_path == b"/gmail/v1/users/me/messages/m%2F1/modify"
    assert json.loads(result.request.content) == {"addLabelIds": ["Label_1"]}
    with pytest.raises(Transient):
        run_action(add_label, inputs, auth=AUTH, http=losing_after())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(400, "invalidArgument", "Invalid label: X"), Permanent),
        (refusal(401, "authError"), AuthError),
        (refusal(403, "insufficientPermissions"), PermissionMissing),
        (new_refusal(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), PermissionMissing),
        (refusal(403, "userRateLimitExceeded"), RateLimited),
        (refusal(404, "notFound"), NotFound),
        (refusal(429, "rateLimitExceeded"), RateLimited),
        (refusal(503, "backendError"), Transient),
    ],
)
def test_a_refusal_is_read_by_status_and_reason(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_action(add_label, {"messageId": "m1", "label": "X"}, auth=AUTH, http=[answer])
    assert type(caught.value) is expected
    if isinstance(caught.value, PermissionMissing):
        assert caught.value.scopes == (MODIFY_SCOPE,)


def test_who_signs_in_is_asked_for_sending_and_for_reading_apart() -> None:
    kind = gmail.auth_kind("oauth2")
    assert isinstance(kind, OAuth2)
    assert kind.scopes == (SEND_SCOPE, MODIFY_SCOPE)
    assert kind.authorize_params == {"access_type": "offline", "prompt": "consent"}
    assert kind.revoke_url.startswith("https://oauth2.googleapis.com/")


def test_labels_are_listed_a_persons_own_first() -> None:
    rows = [
        {"id": "INBOX", "name": "INBOX", "type": "system"},
        {"id": "Label_2", "name": "zoo", "type": "user"},
        {"id": "Label_1", "name": "Acme", "type": "user"},
    ]
    found, _ = run_options(add_label, "label", auth=AUTH, http=[ok({"labels": rows})])
    assert list(found.items) == [
        Option("Label_1", "Acme"), Option("Label_2", "zoo"), Option("INBOX", "INBOX", "Gmail's own"),
    ]  # fmt: skip
    found, _ = run_options(search_messages, "label", query="ZO", auth=AUTH, http=[ok({"labels": rows})])
    assert [option.value for option in found.items] == ["Label_2"]


class Mailbox:
    """A mailbox that lists the newest first and finds what came after a second, as Gmail does."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}
        self.queries: list[str] = []

    def add(self, message_id: str, seconds: int) -> None:
        self.times[message_id] = 1_777_878_000 + seconds

    def __call__(self, request: httpx.Request) -> httpx.Response:
        last = request.url.path.rpartition("/")[2]
        if last != "messages":
            return mail(last, self.times[last] * 1000)
        self.queries.append(request.url.params.get("q", ""))
        after = int(self.queries[-1].partition("after:")[2] or 0)
        found = sorted((each for each, at in self.times.items() if at > after), key=self.times.__getitem__)
        return listing(*reversed(found))


def poll(mailbox: Mailbox, cursor: Any = None, **inputs: Any) -> Any:
    return run_poll(new_email, inputs, cursor=cursor, auth=AUTH, http=mailbox)


def ids(found: Any) -> list[str]:
    return [item.id for item in found.items]


def test_the_first_poll_remembers_what_is_there_and_the_next_gives_what_is_new_once() -> None:
    mailbox = Mailbox()
    for at, name in enumerate("abcd"):
        mailbox.add(name, at)
    first = poll(mailbox)
    assert ids(first) == ["b", "c", "d"]
    assert len(first.items) == SHOWN
    assert ids(poll(mailbox, first.cursor)) == []
    # Of the same second as the newest, and later.
    mailbox.add("e", 3)
    mailbox.add("f", 4)
    second = poll(mailbox, first.cursor)
    assert ids(second) == ["e", "f"]
    mailbox.add("g", OVERLAP_SECONDS * 3)
    third = poll(mailbox, second.cursor)
    assert ids(third) == ["g"]
    # It came before the last one, and is only found now.
    mailbox.add("h", OVERLAP_SECONDS * 3 - 60)
    fourth = poll(mailbox, third.cursor)
    assert ids(fourth) == ["h"]
    assert ids(poll(mailbox, fourth.cursor)) == []


def test_an_empty_mailbox_gives_its_first_message() -> None:
    mailbox = Mailbox()
    cursor = poll(mailbox).cursor
    mailbox.add("a", 0)
    assert ids(poll(mailbox, cursor)) == ["a"]


def test_old_mail_that_only_now_gets_the_label_starts_nothing() -> None:
    mailbox = Mailbox()
    mailbox.add("a", 100)
    cursor = poll(mailbox).cursor
    mailbox.add("old", 99)
    assert ids(poll(mailbox, cursor)) == []


def test_more_than_a_poll_reads_follows_the_oldest_first_and_none_comes_twice() -> None:
    mailbox = Mailbox()
    cursor = poll(mailbox).cursor
    for at in range(MAX_READ * 2 + 5):
        mailbox.add(f"{at:03}", at)
    got: list[str] = []
    for more in (True, True, False):
        found = poll(mailbox, cursor)
        got, cursor = got + ids(found), found.cursor
        assert found.more is more
    assert got == [f"{at:03}" for at in range(MAX_READ * 2 + 5)]


def test_what_is_looked_for_goes_to_gmails_search() -> None:
    mailbox = Mailbox()
    cursor = poll(mailbox, query="from:a OR from:b").cursor
    poll(mailbox, cursor, query="from:a OR from:b")
    poll(mailbox, cursor, label="")
    assert mailbox.queries[0] == "(from:a OR from:b)"
    assert mailbox.queries[1].startswith("(from:a OR from:b) after:")
    assert mailbox.queries[2].startswith("-in:sent -in:drafts after:")


def test_a_message_that_is_gone_before_it_is_read_is_left_out() -> None:
    http = [listing("a", "b"), refusal(404), mail("a", 5000)]
    found = run_poll(new_email, {}, cursor={"floor": 0, "since": 0, "seen": []}, auth=AUTH, http=http)
    assert ids(found) == ["a"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(401), AuthError),
        (refusal(403, "rateLimitExceeded"), RateLimited),
        (refusal(403, "insufficientPermissions"), PermissionMissing),
        (refusal(429), RateLimited),
        (refusal(503), Transient),
        (httpx.Response(200, content=b"<html>"), Permanent),
        (ok({}), Permanent),
        (ok({"messages": [{"id": 5}]}), Permanent),
    ],
)
def test_a_poll_that_fails_says_why(answer: httpx.Response, expected: type[IntegrationError]) -> None:
    with pytest.raises(IntegrationError) as caught:
        run_poll(new_email, {}, auth=AUTH, http=[answer])
    assert type(caught.value) is expected
    assert "ya29.x" not in f"{caught.value} {caught.value.detail}"
