"""What goes to Linear, held against its own GraphQL schema."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, build_schema, parse, validate
from graphql.execution.values import get_variable_values

from integrations.providers.linear import linear
from integrations.providers.linear.actions import create_issue
from integrations.sdk.testing import check_account, run_action, run_options
from tests.contract.described import SPECS, described
from tests.contract.recorded import EXCHANGES

pytestmark = described

AUTH = {"access_token": "x"}
TEAM = "5c1f7a2e-0b3d-4e5f-8a9b-1c2d3e4f5a6b"
FULL = {
    "team": TEAM, "title": "x", "description": "y", "priority": "low", "assignee": TEAM, "labels": [TEAM],
    "state": TEAM, "project_id": TEAM, "parent_id": "ENG-1", "due_date": "2026-05-04",
}  # fmt: skip


@cache
def schema() -> GraphQLSchema:
    return build_schema((Path(SPECS) / "linear/schema.graphql").read_text(encoding="utf-8"), assume_valid=True)


def problems(query: str, variables: dict[str, Any]) -> list[str]:
    """Return what Linear would refuse in a query and its variables."""
    document = parse(query)
    found = [error.message for error in validate(schema(), document)]
    if found:
        return found
    (operation,) = (each for each in document.definitions if isinstance(each, OperationDefinitionNode))
    values = get_variable_values(schema(), operation.variable_definitions or (), variables)
    return [error.message for error in values] if isinstance(values, list) else []


def check(request: httpx.Request) -> None:
    body = json.loads(request.content)
    assert set(body) == {"query", "variables"}
    assert problems(**body) == []


def test_an_issue_and_what_is_asked_before_are_what_linear_describes() -> None:
    exchange = EXCHANGES["linear.createIssue"]
    full = run_action(create_issue, FULL, auth=AUTH, http=[exchange.response()])
    named = run_action(create_issue, {**exchange.inputs}, auth=AUTH, http=exchange.answers())
    read = {"data": {"issue": exchange.answer["data"]["issueCreate"]["issue"]}}
    again = run_action(create_issue, FULL, auth=AUTH, http=[httpx.Response(200, json=read)], attempt=2)
    everyone = {"data": {"teams": {"nodes": []}, "viewer": {"id": "1", "name": "x"}}}
    answer = httpx.Response(200, json=everyone)
    _, listed = run_options(create_issue, "team", auth=AUTH, http=[answer])
    _, asked = check_account(linear, {"type": "oauth2", **AUTH}, [httpx.Response(200, json=everyone)])
    for request in (*full.requests, *named.requests, *again.requests, *listed, *asked):
        check(request)


def test_the_answers_in_our_exchange_have_what_is_asked_for() -> None:
    fields = schema().type_map["Issue"].fields  # type: ignore[attr-defined]
    issue = EXCHANGES["linear.createIssue"].answer["data"]["issueCreate"]["issue"]
    assert set(issue) <= set(fields)


@pytest.mark.parametrize(
    "given",
    [{"title": "x"}, {"teamId": 5}, {"teamId": TEAM, "priority": "high"}, {"teamId": TEAM, "label": ["x"]}],
)
def test_an_input_that_linear_would_refuse_does_not_pass(given: dict[str, Any]) -> None:
    query = "mutation A($input: IssueCreateInput!) { issueCreate(input: $input) { success } }"
    assert problems(query, {"input": given})
    assert problems("query A { viewer { nickname } }", {})
