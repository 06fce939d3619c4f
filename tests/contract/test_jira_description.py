"""What goes to Jira, held against its own OpenAPI description."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from integrations.providers.jira import jira
from integrations.providers.jira.actions import CreateIssueOutput, create_issue
from integrations.sdk.testing import check_account, run_action, run_options
from tests.contract.described import described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

SPEC = "jira/jira_cloud_v3.json"
AUTH = {"username": "ada@example.com", "password": "x"}
SETTINGS = EXCHANGES["jira.createIssue"].settings
ISSUE = {"project": "OPS", "summary": "x"}
FULL = {
    **ISSUE, "description": "One\ntwo\n\nThree", "priority": "High", "assignee": "a1", "labels": ["a"],
    "parent": "OPS-1", "due_date": "2026-05-04",
}  # fmt: skip


def operation_of(request: httpx.Request) -> dict[str, Any]:
    spec = description(SPEC)
    path = request.url.path.replace("/project/OPS", "/project/{projectIdOrKey}")
    operation: dict[str, Any] = spec["paths"][path][request.method.lower()]
    assert set(request.url.params) <= {each["name"] for each in operation.get("parameters", ())}
    return operation


@pytest.mark.parametrize("inputs", [ISSUE, FULL])
def test_an_issue_is_what_jira_describes(inputs: dict[str, Any]) -> None:
    request = request_of(create_issue, inputs, AUTH)
    operation = operation_of(request)
    (content,) = operation["requestBody"]["content"].values()
    body = json.loads(request.content)
    validate(body, description(SPEC), content["schema"]["$ref"].removeprefix("#"))
    schemas = description(SPEC)["components"]["schemas"]
    assert set(body) <= set(schemas["IssueUpdateDetails"]["properties"])
    # Fields are open there; these are those that its example and its types name.
    assert set(body["fields"]) <= set(content["example"]["fields"])
    for name, schema in (("project", "Project"), ("issuetype", "IssueTypeDetails"), ("priority", "Priority"),
                         ("assignee", "User")):  # fmt: skip
        assert set(body["fields"].get(name, ())) <= set(schemas[schema]["properties"])
    if "description" in body["fields"]:
        example = content["example"]["fields"]["description"]
        assert set(body["fields"]["description"]) == set(example)
        assert body["fields"]["description"]["content"][0]["type"] == example["content"][0]["type"]


def test_a_body_that_jira_would_refuse_does_not_pass() -> None:
    for wrong in ({"fields": []}, {"update": {"labels": {}}}, {"transition": "x"}):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, description(SPEC), "/components/schemas/IssueUpdateDetails")


def test_our_exchange_and_output_are_what_jira_describes() -> None:
    validate(EXCHANGES["jira.createIssue"].answer, description(SPEC), "/components/schemas/CreatedIssue")
    described_ = set(description(SPEC)["components"]["schemas"]["CreatedIssue"]["properties"])
    # The page is of our own making.
    assert {field.alias or name for name, field in CreateIssueOutput.model_fields.items()} - described_ == {"url"}


def test_what_is_read_is_what_jira_describes() -> None:
    listed = httpx.Response(200, json={"values": [], "issueTypes": []})
    requests = []
    for field in create_issue.options:
        _, sent = run_options(
            create_issue, field, query="x", inputs={"project": "OPS"}, auth=AUTH, http=[listed], settings=SETTINGS
        )
        requests += sent
    person = httpx.Response(200, json={"accountId": "a1"})
    _, sent = check_account(jira, {"type": "basic", **AUTH}, [person], settings=SETTINGS)
    found = run_action(
        create_issue,
        {**ISSUE, "assignee": "ada@example.com"},
        auth=AUTH,
        settings=SETTINGS,
        http=[httpx.Response(200, json=[{"accountId": "a1"}]), EXCHANGES["jira.createIssue"].response()],
    )
    for request in (*requests, *sent, *found.requests):
        assert operation_of(request)
    properties = description(SPEC)["components"]["schemas"]
    assert {"accountId", "displayName", "emailAddress"} <= set(properties["User"]["properties"])
    assert {"key", "name", "issueTypes"} <= set(properties["Project"]["properties"])
