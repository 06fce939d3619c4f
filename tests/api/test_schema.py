"""The API's description: valid, complete, and true about errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from orchestrator.api import urls
from tests.api.conftest import Caller, document


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    generator: Any = SchemaGenerator
    found: dict[str, Any] = generator().get_schema(request=None, public=True)
    return found


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_description_is_valid_and_its_making_warns_of_nothing(described: dict[str, Any]) -> None:
    validate: Any = validate_schema
    validate(described)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache


def test_the_description_is_the_same_whenever_it_is_made(described: dict[str, Any]) -> None:
    generator: Any = SchemaGenerator
    assert generator().get_schema(request=None, public=True) == described


def test_what_a_patch_takes_has_no_defaults_that_a_client_would_send(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    patched = {name: schema for name, schema in schemas.items() if name.startswith("Patched")}
    assert len(patched) >= 3
    assert "required" not in patched["PatchedWorkflowChangesRequest"]
    for name, schema in patched.items():
        assert not [key for key, value in schema["properties"].items() if "default" in value], name
    assert all(schema.get("title", name) == name for name, schema in schemas.items())


def test_every_address_is_described(described: dict[str, Any]) -> None:
    def shape(path: str) -> str:
        return re.sub(r"[{<][^>}]+[>}]", "*", path)

    routes = {"/api/v1/" + str(entry.pattern) for entry in urls.urlpatterns if isinstance(entry, URLPattern)}
    assert {shape(path) for path in described["paths"]} == {shape(route) for route in routes}
    assert get_resolver().resolve("/api/v1/workflows/")


def test_every_operation_names_the_errors_that_it_can_answer(described: dict[str, Any]) -> None:
    for path, method, operation in operations(described):
        wanted = {"400", "401", "403", "404"}
        wanted |= {"409"} if method != "get" else set()
        assert wanted <= set(operation["responses"]), (method, path)
        for status in wanted:
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (method, path, status)


def test_what_goes_beside_the_body_is_described(described: dict[str, Any]) -> None:
    taken = {
        operation["operationId"]: {parameter["name"] for parameter in operation.get("parameters", [])}
        for _path, _method, operation in operations(described)
    }
    lists = ("workflows", "runs", "triggers", "credentials", "tokens", "members", "audit", "versions", "variables")
    assert all({"cursor", "limit"} <= taken[f"{name}_list"] for name in lists)
    assert all("Idempotency-Key" in names for name, names in taken.items() if name.endswith("_create"))
    assert {"wait", "Idempotency-Key"} <= taken["workflows_run"] & taken["steps_test"] & taken["runs_rerun"]
    assert "Idempotency-Key" in taken["runs_bulk"] & taken["workflows_import"]
    changed = ("workflows_replace", "workflows_update", "workflows_publish", "versions_restore", "workflows_undo")
    assert all("If-Match" in taken[name] for name in changed)
    assert "dry_run" in taken["workflows_publish"]


@pytest.mark.django_db
def test_answers_have_the_keys_that_are_described(api: Caller, described: dict[str, Any]) -> None:
    secret = {"provider": "slack", "auth_type": "bearer_token", "secret": {"token": "x"}}
    workflow = api.ok("POST", "workflows/", document())
    path = f"workflows/{workflow['id']}"
    dry = api.ok("POST", f"{path}/publish/?dry_run=1")
    published = api.ok("POST", f"{path}/publish/", {})
    started = api.ok("POST", f"{path}/runs/", {})
    answers = {
        "WorkflowBody": workflow,
        "PublishCheck": dry,
        "PublishBody": published,
        "StartedBody": started,
        "RunBody": api.ok("GET", f"runs/{started['id']}/"),
        "RunSummary": api.ok("GET", "runs/")["results"][0],
        "RunPage": api.ok("GET", "runs/"),
        "StepPage": api.ok("GET", f"runs/{started['id']}/steps/"),
        "VersionBody": api.ok("GET", f"{path}/versions/1/"),
        "DiffBody": api.ok("GET", f"{path}/versions/diff/?from=1&to=1"),
        "TriggerBody": api.ok("GET", "triggers/")["results"][0],
        "CredentialBody": api.ok("POST", "credentials/", {"name": "a", **secret}),
        "CredentialTypeBody": api.ok("GET", "credential-types/")["results"][0],
        "IntegrationBody": api.ok("GET", "integrations/")["results"][0],
        "TokenCreated": api.ok("POST", "tokens/", {"name": "ci"}),
        "TokenBody": api.ok("GET", "tokens/")["results"][0],
        "MemberBody": api.ok("GET", "members/")["results"][0],
        "VariableBody": api.ok("POST", "variables/", {"key": "a", "value": 1}),
        "AuditBody": api.ok("GET", "audit/")["results"][0],
        "ErrorBody": json.loads(api("GET", "workflows/0/").content),
    }
    schemas = described["components"]["schemas"]
    for name, answer in answers.items():
        assert set(answer) == set(schemas[name]["properties"]), name


def test_a_secret_is_taken_and_never_answered(described: dict[str, Any]) -> None:
    schemas = described["components"]["schemas"]
    assert "secret" in schemas["CredentialCreateRequest"]["properties"]
    assert "secret" not in schemas["CredentialBody"]["properties"]


def test_the_description_and_its_viewer_need_no_sign_in_and_nothing_from_elsewhere() -> None:
    assert Client().get("/api/schema/?format=json").headers["Content-Type"] == "application/vnd.oai.openapi+json"
    page = Client().get("/api/docs/")
    text = page.content.decode()
    assert page.status_code == 200
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    assert "<style" in text or "stylesheet" in text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy["style-src"] == "'self' 'unsafe-inline'"
    assert policy["script-src"] == "'self'"
