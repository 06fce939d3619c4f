"""What goes to Asana, held against its own OpenAPI description."""

import json
from typing import Any

import httpx
import jsonschema
import pytest

from integrations.providers.asana import asana
from integrations.providers.asana.actions import CreateTaskInputs, CreateTaskOutput, create_task
from integrations.providers.asana.client import AUTHORIZE_URL, SCOPES, TOKEN_URL
from integrations.sdk.testing import check_account, run_options
from tests.contract.described import all_properties, described, description, request_of, validate
from tests.contract.recorded import EXCHANGES

pytestmark = described

SPEC = "asana/asana_oas.json"
REQUEST = "/components/schemas/TaskCreateRequest"
AUTH = {"access_token": "x"}
FULL = {
    "name": "x", "notes": "y", "workspace": "1", "project": "42", "assignee": "ada@example.com",
    "due": "2026-05-04T17:00:00+02:00", "followers": ["me"], "tags": "9", "parent": "7", "custom_fields": {"5": "a"},
}  # fmt: skip


def operation_of(request: httpx.Request) -> dict[str, Any]:
    spec = description(SPEC)
    path = str(request.url.copy_with(query=None)).removeprefix(spec["servers"][0]["url"])
    item = spec["paths"][path.replace("/users/me", "/users/{user_gid}")]
    operation: dict[str, Any] = item[request.method.lower()]
    parameters = [*operation.get("parameters", ()), *item.get("parameters", ())]
    known = {
        spec["components"]["parameters"][each["$ref"].rpartition("/")[2]]["name"] if "$ref" in each else each["name"]
        for each in parameters
    }
    assert set(request.url.params) <= known
    return operation


@pytest.mark.parametrize("inputs", [{"name": "x", "project": "42", "due": "2026-05-04"}, FULL])
def test_a_task_is_what_asana_describes(inputs: dict[str, Any]) -> None:
    request = request_of(create_task, inputs, AUTH)
    (content,) = operation_of(request)["requestBody"]["content"].values()
    assert content["schema"]["properties"]["data"] == {"$ref": f"#{REQUEST}"}
    data = json.loads(request.content)["data"]
    validate(data, description(SPEC), REQUEST)
    described_ = all_properties(description(SPEC), REQUEST)
    assert set(data) <= set(described_)
    assert not [name for name in data if described_[name].get("readOnly")]


def test_every_field_is_tried() -> None:
    assert set(FULL) == set(CreateTaskInputs.model_fields)


def test_a_task_that_asana_would_refuse_does_not_pass() -> None:
    for wrong in ({"name": 1}, {"projects": "42"}, {"completed": "yes"}, {"followers": [1]}, {"notes": []}):
        with pytest.raises(jsonschema.ValidationError):
            validate(wrong, description(SPEC), REQUEST)


def test_our_exchange_and_output_are_what_asana_describes() -> None:
    task = EXCHANGES["asana.createTask"].answer["data"]
    known = set(all_properties(description(SPEC), "/components/schemas/TaskResponse"))
    assert set(task) <= known
    assert set(CreateTaskOutput.model_fields) <= known


def test_what_is_read_and_how_one_signs_in_are_what_asana_describes() -> None:
    page = httpx.Response(200, json={"data": [{"gid": "1", "name": "x"}], "next_page": None})
    _, requests = run_options(create_task, "project", cursor="x", auth=AUTH, http=[page, page])
    person = httpx.Response(200, json={"data": {"gid": "1"}})
    _, asked = check_account(asana, {"type": "oauth2", **AUTH}, [person])
    for request in (*requests, *asked):
        assert operation_of(request)
    flow = description(SPEC)["components"]["securitySchemes"]["oauth2"]["flows"]["authorizationCode"]
    assert (flow["authorizationUrl"], flow["tokenUrl"]) == (AUTHORIZE_URL, TOKEN_URL)
    assert set(SCOPES) <= set(flow["scopes"])
