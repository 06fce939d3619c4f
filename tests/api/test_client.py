"""A typed client that a well-known tool generates of the API's description, used against a live server."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from drf_spectacular.generators import SchemaGenerator
from rest_framework.utils.encoders import JSONEncoder

from orchestrator.tenants.models import Tenant
from tests.api.conftest import MakeCaller, document
from tests.runs.ground import driving, until

NAME: Final = "generated_orchestrator_client"
CONFIG: Final = (
    f"post_hooks: []\npackage_name_override: {NAME}\ncontent_type_overrides:\n  application/x-ndjson: text/plain\n"
)

pytestmark = pytest.mark.skipif(
    find_spec("openapi_python_client") is None, reason="openapi-python-client is not installed: it is in the extra test"
)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Generate the client without a warning, in a folder of its own; return its package."""
    folder = tmp_path_factory.mktemp("client")
    generator: Any = SchemaGenerator
    described = generator().get_schema(request=None, public=True)
    (folder / "schema.json").write_text(json.dumps(described, cls=JSONEncoder))
    (folder / "config.yml").write_text(CONFIG)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "schema.json"]
    command += ["--meta", "none", "--output-path", NAME, "--config", "config.yml", "--fail-on-warning"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(NAME)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]


class Client:
    """The generated client of one token: operations by their names, models by theirs."""

    def __init__(self, address: str, token: str) -> None:
        self._client = importlib.import_module(NAME).AuthenticatedClient(base_url=address, token=token)
        self._models = importlib.import_module(f"{NAME}.models")

    def close(self) -> None:
        self._client.get_httpx_client().close()

    def model(self, name: str, value: Any) -> Any:
        return getattr(self._models, name).from_dict(value)

    def __call__(self, operation: str, *path: Any, **given: Any) -> Any:
        """Call ``runs.runs_list`` and the like; return status and the typed answer."""
        module = importlib.import_module(f"{NAME}.api.{operation}")
        answer = module.sync_detailed(*path, client=self._client, **given)
        return int(answer.status_code), answer.parsed


@pytest.fixture
def client_of_owner(
    generated: ModuleType, live_server: Any, caller_for: MakeCaller, owner: User, tenant: Tenant
) -> Iterator[Client]:
    client = Client(live_server.url, caller_for(owner).token)
    yield client
    client.close()


@pytest.mark.django_db(transaction=True)
def test_a_workflow_is_made_published_run_and_read_with_types(client_of_owner: Client) -> None:
    ask = client_of_owner
    status, made = ask("workflows.workflows_create", body=ask.model("WorkflowDocumentRequest", document()))
    assert (status, made.name, made.enabled) == (201, "Greet", False)
    status, checked = ask("workflows.workflows_publish", made.id, dry_run=True)
    assert (status, checked.problems) == (200, [])
    status, published = ask("workflows.workflows_publish", made.id, if_match=str(made.revision))
    assert (status, published.number) == (201, 1)
    with driving():
        body = ask.model("RunStartRequest", {"payload": {"name": "Ada"}})
        status, run = ask("workflows.workflows_run", made.id, body=body, wait=30.0, idempotency_key="k")
    assert (status, run.status.value) == (200, "succeeded")
    assert "Ada" in run.output
    assert run.steps[0].key == "greet"
    _status, listed = ask("runs.runs_list", workflow=made.id)
    assert [each.id for each in listed.results] == [run.id]
    status, exported = ask("runs.runs_export")
    assert (status, json.loads(exported)["id"]) == (200, run.id)


@pytest.mark.django_db(transaction=True)
def test_a_patch_leaves_alone_what_is_not_sent(client_of_owner: Client) -> None:
    ask = client_of_owner
    body = ask.model("WorkflowDocumentRequest", document(description="Kept"))
    _status, made = ask("workflows.workflows_create", body=body)
    change = ask.model("PatchedWorkflowChangesRequest", {"output": "New"})
    status, changed = ask("workflows.workflows_update", made.id, body=change, if_match=str(made.revision))
    assert (status, changed.output, changed.name, changed.description) == (200, "New", "Greet", "Kept")
    assert len(changed.steps) == 1
    status, error = ask("workflows.workflows_update", made.id, body=change, if_match=str(made.revision))
    assert (status, error.error.code) == (409, "revision_conflict")


@pytest.mark.django_db(transaction=True)
def test_files_and_bulk_changes_have_their_types(client_of_owner: Client) -> None:
    ask = client_of_owner
    wrong = ask.model("WorkflowDocumentRequest", {"name": "x", "steps": [{"key": "a", "action": "hello.world"}]})
    status, checked = ask("workflows.workflows_import", body=wrong, dry_run=True)
    assert (status, [problem.path for problem in checked.problems]) == (200, ["steps[0].config.inputs.name"])
    body = ask.model("WorkflowDocumentRequest", document())
    status, taken = ask("workflows.workflows_import", body=body)
    assert (status, taken.workflow.enabled, taken.problems) == (201, False, [])
    status, exported = ask("workflows.workflows_export", taken.workflow.id)
    assert (status, exported.name) == (200, "Greet")
    status, error = ask("workflows.workflows_retrieve", "1")
    assert (status, error.error.code) == (404, "not_found")
    request = ask.model("BulkRequestRequest", {"action": "cancel", "filter": {"status": "queued"}})
    status, batch = ask("runs.runs_bulk", body=request)
    assert (status, batch.done, batch.left, batch.next_) == (200, 0, 0, None)


@pytest.mark.django_db(transaction=True)
def test_a_run_is_watched_step_by_step_and_cancelled(client_of_owner: Client) -> None:
    ask = client_of_owner
    steps = [{"key": "first", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}]
    steps += [{"key": "pause", "action": "flow.wait", "config": {"inputs": {"seconds": 3600}}}]
    body = ask.model("WorkflowDocumentRequest", document(steps=steps, output=None))
    _status, made = ask("workflows.workflows_create", body=body)
    assert ask("workflows.workflows_publish", made.id)[0] == 201
    with driving():
        status, started = ask("workflows.workflows_run", made.id, body=ask.model("RunStartRequest", {"payload": 1}))
        assert (status, started.status, started.url) == (202, "queued", f"/api/v1/runs/{started.id}/")
        run = until(lambda: _in_status(ask, started.id, "waiting"))
    assert (run.waiting_for.path, run.waiting_for.kind.value, run.payload) == ("pause", "time", 1)
    assert ask("runs.runs_retrieve", started.id, after=run.revision) == (204, None)
    status, page = ask("runs.runs_steps", started.id)
    assert [(step.path, step.attempt, step.status.value) for step in page.results] == [
        ("first", 1, "succeeded"),
        ("pause", 1, "waiting"),
    ]
    assert (status, page.results[0].output, page.next_) == (200, {"a": 1}, None)
    status, cancelled = ask("runs.runs_cancel", started.id)
    assert (status, cancelled.status.value, cancelled.finished_at is None) == (200, "cancelled", False)
    status, error = ask("runs.runs_cancel", started.id)
    assert (status, error.error.code) == (409, "conflict")


@pytest.mark.django_db(transaction=True)
def test_a_credential_is_made_bound_changed_and_deleted_and_never_shown(client_of_owner: Client) -> None:
    ask = client_of_owner
    secret = {"name": "crm", "provider": "http", "auth_type": "bearer_token", "secret": {"token": "swordfish"}}
    status, made = ask("credentials.credentials_create", body=ask.model("CredentialCreateRequest", secret))
    assert (status, made.name, made.auth_type.value, made.used_by) == (201, "crm", "bearer_token", [])
    step = {"key": "get", "action": "http.request", "credential": "crm"}
    step["config"] = {"inputs": {"method": "GET", "url": "https://api.example.com/"}}
    _status, workflow = ask(
        "workflows.workflows_create",
        body=ask.model("WorkflowDocumentRequest", document(steps=[step], output=None)),
    )
    change = ask.model("PatchedCredentialUpdateRequest", {"name": "crm two"})
    status, changed = ask("credentials.credentials_update", made.id, body=change)
    assert (status, changed.name, [use.workflow for use in changed.used_by]) == (200, "crm two", [workflow.id])
    _status, listed = ask("credentials.credentials_list")
    assert [each.id for each in listed.results] == [made.id]
    assert "swordfish" not in repr([made, changed, listed])
    status, error = ask("credentials.credentials_delete", made.id)
    assert (status, error.error.code) == (409, "in_use")
    assert ask("credentials.credentials_delete", made.id, force=True) == (204, None)
    assert ask("credentials.credentials_retrieve", made.id)[0] == 404


def _in_status(ask: Client, run_id: str, status: str) -> Any:
    found = ask("runs.runs_retrieve", run_id)[1]
    return found if found.status.value == status else None
