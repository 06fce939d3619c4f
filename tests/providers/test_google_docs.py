"""Google Docs: documents that are made, and text at their end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from integrations.providers.google_docs import google_docs
from integrations.providers.google_docs.actions import append_text, create_document
from integrations.sdk import AuthError, InputError, NotFound, OutcomeUnknown, Permanent, PermissionMissing, RateLimited
from integrations.sdk.testing import check_account, run_action
from tests.providers.google_answers import AUTH, losing_after, new_refusal, ok, refusal

DOCUMENT = "1a2B3c4D5e6F"
ANSWER = {"documentId": DOCUMENT, "title": "Minutes", "replies": [{}]}


def test_a_document_is_made_with_its_title() -> None:
    result = run_action(create_document, {"title": "Minutes"}, auth=AUTH, http=[ok(ANSWER)])
    assert (result.request.method, str(result.request.url)) == ("POST", "https://docs.googleapis.com/v1/documents")
    assert json.loads(result.request.content) == {"title": "Minutes"}
    url = f"https://docs.google.com/document/d/{DOCUMENT}/edit"
    assert result.output == {"documentId": DOCUMENT, "title": "Minutes", "url": url}


@pytest.mark.parametrize("given", [DOCUMENT, f"https://docs.google.com/document/d/{DOCUMENT}/edit?tab=t.0#heading"])
def test_text_goes_to_the_end_of_a_document_given_by_id_or_link(given: str) -> None:
    result = run_action(append_text, {"documentId": given, "text": "Grüße"}, auth=AUTH, http=[ok(ANSWER)])
    assert result.request.url.raw_path == f"/v1/documents/{DOCUMENT}:batchUpdate".encode()
    insert = {"insertText": {"endOfSegmentLocation": {}, "text": "\nGrüße"}}
    assert json.loads(result.request.content) == {"requests": [insert]}


def test_text_may_go_on_in_the_last_paragraph() -> None:
    inputs = {"documentId": DOCUMENT, "text": "x", "newParagraph": False}
    result = run_action(append_text, inputs, auth=AUTH, http=[ok(ANSWER)])
    assert json.loads(result.request.content)["requests"][0]["insertText"]["text"] == "x"


@pytest.mark.parametrize(
    "inputs",
    [{"text": "x"}, {"documentId": "", "text": "x"}, {"documentId": "..", "text": "x"}, {"documentId": "1"},
     {"documentId": "https://example.com/", "text": "x"}, {"documentId": "1", "text": "x" * 1_000_001}],
)  # fmt: skip
def test_inputs_that_name_no_document_or_text_are_refused(inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run_action(append_text, inputs, auth=AUTH)


def test_an_id_stays_one_part_of_the_path() -> None:
    inputs = {"documentId": "a?b:c", "text": "x"}
    result = run_action(append_text, inputs, auth=AUTH, http=[ok(ANSWER)])
    assert result.request.url.raw_path == b"/v1/documents/a%3Fb%3Ac:batchUpdate"


def test_refusals_say_what_to_do() -> None:
    inputs = {"documentId": DOCUMENT, "text": "x"}
    for answer, expected in (
        (refusal(404), NotFound),
        (refusal(429), RateLimited),
        (refusal(403, "userRateLimitExceeded"), RateLimited),
        (new_refusal(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), PermissionMissing),
        (ok({"documentId": 5}), Permanent),
    ):
        with pytest.raises(expected):
            run_action(append_text, inputs, auth=AUTH, http=[answer])


def test_a_lost_answer_is_not_sent_again_by_itself() -> None:
    with pytest.raises(OutcomeUnknown):
        run_action(append_text, {"documentId": DOCUMENT, "text": "x"}, auth=AUTH, http=losing_after())


def test_who_is_told_that_a_document_is_not_there_was_let_in() -> None:
    auth = {"type": "oauth2", **AUTH}
    account, (request,) = check_account(google_docs, auth, [refusal(404)])
    assert account.label == "Google Docs"
    assert request.url.path == "/v1/documents/0"
    with pytest.raises(AuthError):
        check_account(google_docs, auth, [refusal(401)])
