"""OpenAPI descriptions as inputs of an HTTP step: what is read, what is refused, and the page that fills in."""

from __future__ import annotations

import base64
import json
import os
import re
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from integrations.builtin.http import request
from integrations.registry import registry
from orchestrator.builder import openapi, yaml_text
from orchestrator.builder.openapi import NotOpenAPI, Operation
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from tests.runs.ground import step

SPECS = os.environ.get("API_SPECS", "")
YAML = """
openapi: 3.0.3
info: {title: Things, version: "1"}
servers:
  - url: https://{region}.api.example.com/v1/
    variables: {region: {default: eu}}
security: [{key: []}, {token: []}, {gone: []}, 3]
x-shared: &id {name: id, in: path, required: true, schema: {type: integer, example: 7}}
paths:
  /things/{id}:
    parameters: [*id]
    get: {summary: Get a thing, operationId: getThing, tags: [read]}
    patch:
      summary: Change a thing
      parameters:
        - {name: dry, in: query, required: true, schema: {type: boolean}}
        - {name: expand, in: query, schema: {type: string}}
        - {name: X-Trace, in: header, required: true, example: abc}
        - {name: X-Api-Key, in: header, required: true, schema: {type: string}}
        - {name: Accept, in: header, required: true, schema: {type: string}}
        - {name: session, in: cookie, required: true, schema: {type: string}}
      requestBody:
        content:
          text/plain: {}
          application/json: {schema: {$ref: "#/components/schemas/Thing"}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Api-Key}, token: {type: http, scheme: Bearer}}
  schemas:
    Base: {required: [kind, id], properties: {kind: {enum: [big, small]}, id: {type: integer, readOnly: true}}}
    Thing:
      allOf:
        - $ref: "#/components/schemas/Base"
        - required: [name, owner, tags, count]
          properties:
            name: {type: string, example: Lamp}
            owner: {type: object, required: [mail], properties: {mail: {type: string}, phone: {type: string}}}
            tags: {type: array, minItems: 1, items: {type: [string, "null"], default: new}}
            count: {oneOf: [{type: "null"}, {type: integer, minimum: 3}]}
            note: {type: string}
"""


def one(**described: Any) -> Operation:
    (found,) = read({"/a": {"post": described}})
    return found


def read(paths: Any, **more: Any) -> list[Operation]:
    return openapi.read(json.dumps({"openapi": "3.1.0", "paths": paths, **more}).encode())


def body(kind: str, schema: Any, **media: Any) -> dict[str, Any]:
    return one(requestBody={"content": {kind: {"schema": schema, **media}}}).inputs


def refused(text: str | bytes) -> str:
    with pytest.raises(NotOpenAPI) as caught:
        openapi.read(text if isinstance(text, bytes) else text.encode())
    return str(caught.value)


def test_an_operation_becomes_inputs_with_what_it_requires_and_says_what_is_left_to_do() -> None:
    get, patch = openapi.read(YAML.encode())
    assert get.inputs == {"method": "GET", "url": "https://eu.api.example.com/v1/things/{id}"}
    assert (get.holes, get.words) == (["id"], "Get a thing")
    assert patch.inputs == {
        "method": "PATCH",
        "url": "https://eu.api.example.com/v1/things/{id}",
        "query": {"dry": "false"},
        "headers": {"X-Trace": "abc"},
        "body": {"kind": "big", "name": "Lamp", "owner": {"mail": ""}, "tags": ["new"], "count": 3},
    }
    assert (patch.optional, patch.left_out, patch.is_partial) == (["expand", "note"], ["X-Api-Key"], False)
    assert patch.signed_in == ["an API key as X-Api-Key", "a bearer token"]
    request.input_schema.model_validate({**patch.inputs, "url": "https://a.example"})


@pytest.mark.parametrize(
    ("kind", "schema", "expected"),
    [
        ("application/vnd.api+json", {"required": ["a"], "properties": {"a": {"const": 1}}},
         {"body": {"a": 1}, "headers": {"Content-Type": "application/vnd.api+json"}}),
        ("application/x-www-form-urlencoded",
         {"required": ["to", "line"], "properties": {
             "to": {"type": "array", "minItems": 1, "items": {"type": "string"}},
             "line": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}}},
         {"form": {"to": [""], "line[n]": "0"}}),
        ("multipart/form-data",
         {"required": ["file", "note"], "properties": {
             "file": {"type": "string", "format": "binary"}, "note": {"type": "string", "default": "Hi"}}},
         {"multipart": [{"name": "file", "filename": "file", "base64": ""}, {"name": "note", "value": "Hi"}]}),
        ("application/xml", {"type": "string"}, {"raw": "", "raw_type": "application/xml"}),
        ("application/octet-stream", {}, {"headers": {"Content-Type": "application/octet-stream"}}),
        ("application/x-www-form-urlencoded", {}, {}),
        ("application/json", {"type": "array", "items": {}}, {"body": []}),
    ],
)  # fmt: skip
def test_each_kind_of_body_goes_into_its_input(kind: str, schema: Any, expected: dict[str, Any]) -> None:
    assert body(kind, schema) == {"method": "POST", "url": "/a", **expected}
    request.input_schema.model_validate({**expected, "url": "https://a.example"})


def test_an_example_gives_what_is_required_of_it_or_all_where_nothing_is() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    example = {"a": "x", "b": "y"}
    assert body("application/json", schema, example=example)["body"] == example
    named = {"examples": {"first": {"value": example}}}
    assert body("application/json", {**schema, "required": ["a"]}, **named)["body"] == {"a": "x"}


def test_a_description_writes_no_expressions_no_secrets_and_nothing_a_database_refuses() -> None:
    path = "/{{ vars.x }}/\u0000a"
    described = {
        "requestBody": {
            "content": {"application/json": {"example": {"a": "{{{ steps.b.output }}", "b": "\u0000\ud800"}}}
        }
    }
    (found,) = read({path: {"put": described}}, servers=[{"url": "https://a.example/"}])
    assert "{{" not in json.dumps(found.inputs)
    assert found.inputs["body"] == {"a": "{ { { steps.b.output }}", "b": ""}
    json.dumps(found.inputs, ensure_ascii=False).encode()


def test_what_is_described_elsewhere_is_not_fetched_and_said() -> None:
    found = one(requestBody={"content": {"application/json": {"schema": {"$ref": "https://127.0.0.1:9/x.json#/A"}}}})
    assert (found.inputs["body"], found.is_partial) == ({}, True)


SELF = {"$ref": "#/components/schemas/self"}
WIDE = [f"p{number}" for number in range(5000)]
HOSTILE: dict[str, Any] = {
    "round": {"$ref": "#/components/schemas/round"},
    "self": {"required": ["a", "b", "c"], "properties": {"a": SELF, "b": SELF, "c": SELF}},
    "all": {"allOf": [{"$ref": "#/components/schemas/all"}] * 50},
    "wide": {"required": WIDE, "properties": {name: {"type": "string"} for name in WIDE}},
    "wrong": {"required": 5, "properties": ["x"], "enum": {}, "allOf": "x", "type": {"a": 1}},
    "none": None,
    "example": {"example": ["x" * 200_000]},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_bounded(name: str) -> None:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
    began = time.monotonic()
    (found,) = read(
        {"/a": {"post": {"requestBody": {"content": content}, "parameters": [None, 3, {"name": 1}]}}},
        components={"schemas": HOSTILE}, servers="x", tags=1,
    )  # fmt: skip
    assert time.monotonic() - began < 1
    assert len(json.dumps(found.inputs)) < 9_000


def test_a_description_of_many_wide_requests_is_bounded_as_a_whole() -> None:
    media = {"application/json": {"schema": {"$ref": "#/components/schemas/wide"}}}
    paths = {f"/{number}": {"post": {"requestBody": {"content": media}}} for number in range(400)}
    began = time.monotonic()
    found = read(paths, components={"schemas": HOSTILE})
    assert time.monotonic() - began < 5
    assert (len(found), found[0].is_partial, found[-1].is_partial) == (400, False, True)
    with pytest.raises(NotOpenAPI, match="more than 3,000 operations"):
        read({f"/{number}": {"get": {}} for number in range(3_001)})
    heavy = [replace(found[0], inputs={"body": "x" * 9_000})] * 1_000
    with pytest.raises(NotOpenAPI, match="more than a page can carry"):
        openapi.pack(heavy)


def test_what_many_operations_share_is_looked_at_for_each_of_them_as_far_as_it_is_shown() -> None:
    long, names = "x" * 1_000_000, ",".join(f"n{number}" for number in range(50_000))
    shared = {
        "tags": f"[{names}]", "operationId": long, "servers": f"[{{url: '{'{a' * 400_000}'}}]", "summary": long,
        "security": "[{" + names.replace(",", ": 1,") + ": 1}]", "parameters": f"[{{name: {long}, in: query}}]",
        "requestBody": "{content: {" + names.replace(",", ": 1,") + ": 1}}",
    }  # fmt: skip
    paths = "".join(f"  /p{number}: *all\n" for number in range(1_000))
    for word, value in shared.items():
        text = f"openapi: 3.0.3\nx-all: &all\n  get: {{{word}: {value}}}\npaths:\n{paths}"
        began = time.process_time()
        assert len(openapi.read(text.encode())) == 1_000
        assert time.process_time() - began < 2, word
    [odd] = openapi.read(b"openapi: 3.0.3\npaths: {/a: {get: {tags: 5, operationId: [1]}}}")
    assert (odd.words, odd.find) == ("", "get /a")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no OpenAPI"),
        ("[1, 2]", "neither a JSON object"),
        ("just text", "neither a JSON object"),
        ('{"openapi": "3.0.0", "paths": {', "as JSON"),
        ("{" * 5, "as JSON"),
        ('{"swagger": "2.0", "paths": {}}', "Swagger 2"),
        ('{"openapi": "4.0.0"}', "no OpenAPI 3"),
        ("a: b", "no OpenAPI 3"),
        ('{"openapi": "3.0.0"}', "no paths"),
        ('{"openapi": "3.0.0", "paths": {"/a": {"get": 1}, "/b": null}}', "None of"),
        ("a: [1", "as YAML: line 2"),
        ("a: *b", "is of nothing"),
        ("? [a]\n: b", "a key is no text"),
        ("[" * 100_000, "nested deeper"),
        ("a: !!python/object/apply:os.system [x]\nopenapi: '3.0'", "no paths"),
        ("\t a: b", "as YAML"),
        (b"\xff\xfe", "UTF-8"),
        ("a: " + "x" * (4 * 1024 * 1024), "4 MB"),
    ],
)  # fmt: skip
def test_what_is_no_description_is_refused_and_says_why(text: str | bytes, told: str) -> None:
    assert told in refused(text)


def test_yaml_is_read_as_json_would_be_and_aliases_that_stand_for_gigabytes_cost_nothing() -> None:
    read_as = 'a: [1, -2.5, 1e3, true, ~, "7", 2026-01-01, on, 0x1f, !!str 5, 0123]\n<<: {b: 1}\n3: x'
    assert yaml_text.loads(read_as) == {
        "a": [1, -2.5, 1000.0, True, None, "7", "2026-01-01", "on", "0x1f", "5", 123], "<<": {"b": 1}, "3": "x",
    }  # fmt: skip
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 40)]
    example = "paths: {/a: {post: {requestBody: {content: {application/json: {example: *a39}}}}}}"
    (found,) = openapi.read("\n".join([*lines, "openapi: 3.0.0", example]).encode())
    assert found.inputs["body"] == {}
    looped = "openapi: 3.0.0\npaths: {/a: {post: &p {requestBody: {content: {application/json: {example: *p}}}}}}"
    assert openapi.read(looped.encode())[0].inputs["body"] == {}


def test_what_a_page_carries_comes_back_whole_or_not_at_all() -> None:
    operations = openapi.read(YAML.encode())
    packed = openapi.pack(operations)
    assert openapi.unpack(packed) == operations
    made = (b" " * 9_000_000 + b"[]", b'[{"method": 1}]')
    bomb, other = (base64.b64encode(zlib.compress(data)).decode() for data in made)
    for text in ("", "x", packed[:-8], bomb, other):
        with pytest.raises(NotOpenAPI, match="did not come back whole"):
            openapi.unpack(text)


def test_a_search_finds_operations_by_every_word_the_called_so_first() -> None:
    operations = openapi.read(YAML.encode())
    assert openapi.matching(operations, "") == [0, 1]
    assert openapi.matching(operations, "thing PATCH") == [1]
    assert openapi.matching(operations, "change") == [1]
    assert openapi.matching(operations, "nothing") == []


@pytest.mark.skipif(not SPECS, reason="API_SPECS names no folder of official descriptions")
@pytest.mark.parametrize(
    ("file", "method", "path", "expected"),
    [
        ("github/api.github.com.trim.json", "POST", "/repos/{owner}/{repo}/issues",
         {"url": "https://api.github.com/repos/{owner}/{repo}/issues", "body": {"title": "Found a bug"}}),
        ("stripe/spec3.trim.json", "POST", "/v1/refunds", {"url": "https://api.stripe.com/v1/refunds"}),
        ("openai/openapi.trim.json", "POST", "/embeddings", {"url": "https://api.openai.com/v1/embeddings"}),
    ],
)  # fmt: skip
def test_official_descriptions_are_read_within_a_moment(
    file: str, method: str, path: str, expected: dict[str, Any]
) -> None:
    began = time.monotonic()
    operations = openapi.read((Path(SPECS) / file).read_bytes())
    packed = openapi.pack(operations)
    assert time.monotonic() - began < 2
    assert len(packed) < 64_000
    (found,) = [each for each in operations if (each.method, each.path) == (method, path)]
    assert found.inputs.items() >= expected.items()
    for each in operations:
        request.input_schema.model_validate({**each.inputs, "url": "https://a.example"})


@pytest.fixture
def workflow(tenant: Tenant, editor: User) -> Workflow:
    inputs = {"url": "https://old.example", "form": {"a": "1"}, "accept_status": [404]}
    document = {"name": "Calls", "steps": [step("call", "http.request", inputs=inputs), step("other")]}
    return services.workflow_create(actor=actor_for_user(editor, tenant.slug), document=document)


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def at(workflow: Workflow, key: str = "call") -> str:
    return reverse("workflow-step-openapi", args=["acme", workflow.pk, key])


@pytest.mark.django_db
def test_a_step_is_filled_in_without_a_script_and_nothing_else_is_kept(builder: Client, workflow: Workflow) -> None:
    home = reverse("workflow-step", args=["acme", workflow.pk, "call"])
    assert at(workflow) in builder.get(home).content.decode()
    assert builder.get(at(workflow)).status_code == 200
    file = SimpleUploadedFile("api.yaml", YAML.encode())
    html = builder.post(at(workflow), {"file": file, "text": "", "q": "thing"}).content.decode()
    assert re.findall(r'name="pick" value="(\d+)"', html) == ["0", "1"]
    packed = re.search(r'name="packed" value="([^"]+)"', html)
    assert packed is not None
    html = builder.post(at(workflow), {"packed": packed[1], "q": "change"}).content.decode()
    assert re.findall(r'name="pick" value="(\d+)"', html) == ["1"]
    answer = builder.post(at(workflow), {"packed": packed[1], "q": "change", "pick": "1"})
    assert answer.headers["Location"] == home
    inputs = workflow.steps.get(key="call").config["inputs"]
    assert (inputs["method"], inputs["accept_status"], inputs["query"]) == ("PATCH", [404], {"dry": "false"})
    assert "form" not in inputs
    told = " ".join(str(message) for message in get_messages(answer.wsgi_request))
    assert all(
        text in told
        for text in ("PATCH /things/{id}", "{id} in the URL", "by an API key as X-Api-Key or a bearer", "expand, note")
    )
    builder.post(reverse("workflow-undo", args=["acme", workflow.pk]))
    assert workflow.steps.get(key="call").config["inputs"]["url"] == "https://old.example"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "data",
    [{}, {"text": "{"}, {"text": "a: <script>"}, {"packed": "x"}, {"packed": "$", "pick": "9"},
     {"packed": "$", "pick": "x"}, {"text": "\x00"}],
)  # fmt: skip
def test_what_cannot_be_read_is_told_on_the_page(builder: Client, workflow: Workflow, data: dict[str, str]) -> None:
    packed = openapi.pack(openapi.read(YAML.encode()))
    answer = builder.post(at(workflow), {name: packed if value == "$" else value for name, value in data.items()})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert workflow.steps.get(key="call").config["inputs"]["url"] == "https://old.example"


@pytest.mark.django_db
def test_only_an_http_step_can_be_filled_in(builder: Client, workflow: Workflow) -> None:
    assert registry.get("http.request") is request
    assert [builder.get(at(workflow, key)).status_code for key in ("other", "gone")] == [404, 404]
    assert (
        at(workflow, "other")
        not in builder.get(reverse("workflow-step", args=["acme", workflow.pk, "other"])).content.decode()
    )
