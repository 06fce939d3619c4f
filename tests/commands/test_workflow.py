"""``workflow export`` and ``workflow import``: files for a folder under version control, and a check for CI."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.services import workflow_create

pytestmark = pytest.mark.django_db
GOOD: dict[str, Any] = {
    "name": "Greet",
    "slug": "greet",
    "triggers": [{"key": "hand", "type": "manual", "config": {}}],
    "steps": [{"key": "hello", "action": "hello.world", "config": {"inputs": {"name": "Ada"}}}],
}


def run(*words: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("workflow", *words, stdout=out, stderr=err)
    except CommandError as error:
        error.args = (f"{error}\n{err.getvalue()}",)
        raise
    return out.getvalue(), err.getvalue()


def written(folder: Path, name: str, document: Any) -> str:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_a_workflow_goes_to_the_terminal_or_a_file(tenant: Tenant, tmp_path: Path) -> None:
    made = workflow_create(actor=system_actor(tenant), document=GOOD)
    out, err = run("export", "--tenant", "acme", "greet")
    assert (json.loads(out), err) == ({**GOOD, "triggers": [{"key": "hand", "type": "manual"}]}, "")
    target = tmp_path / "greet.json"
    assert run("export", "--tenant", "acme", str(made.pk), "--output", str(target)) == ("", "")
    assert target.read_text() == out


def test_a_tenant_goes_to_a_folder_and_back_byte_for_byte(tenant: Tenant, other_tenant: Tenant, tmp_path: Path) -> None:
    for slug in ("a", "b"):
        workflow_create(actor=system_actor(tenant), document={**GOOD, "slug": slug, "description": "ü"})
    first, second = tmp_path / "first", tmp_path / "deep" / "second"
    out, _err = run("export", "--tenant", "acme", "--all", "--output", str(first))
    assert out.startswith("2 workflows")
    assert sorted(path.name for path in first.iterdir()) == ["a.json", "b.json"]
    run("import", "--tenant", "globex", str(first), "--check")
    assert not Workflow.objects.for_tenant(other_tenant).exists()
    run("import", "--tenant", "globex", str(first))
    assert not Workflow.objects.for_tenant(other_tenant).filter(enabled=True).exists()
    run("export", "--tenant", "globex", "--all", "--output", str(second))
    for path in first.iterdir():
        assert (second / path.name).read_bytes() == path.read_bytes()


def test_a_check_fails_with_every_problem_and_its_path(tenant: Tenant, tmp_path: Path) -> None:
    steps = [
        {"key": "a", "action": "hello.world", "config": {"inputs": {}}},
        {"key": "b", "action": "slack.sendMessage", "credential": "none", "config": {"inputs": {"text": "x"}}},
    ]
    file = written(tmp_path, "bad.json", {**GOOD, "steps": steps})
    with pytest.raises(CommandError) as failed:
        run("import", "--tenant", "acme", file, "--check")
    for path in ("steps[0].config.inputs.name", "steps[1].credential", "steps[1].config.inputs.channel"):
        assert f"{path}: " in str(failed.value), path
    assert not Workflow.objects.for_tenant(tenant).exists()
    # As a draft it may be wrong, and is told.
    out, err = run("import", "--tenant", "acme", file)
    assert "greet: its draft was taken in" in out
    assert "steps[1].credential: " in err


def test_in_a_folder_the_file_is_named(tenant: Tenant, tmp_path: Path) -> None:
    written(tmp_path, "a.json", GOOD)
    written(tmp_path, "b.json", {**GOOD, "slug": "b", "steps": 1})
    written(tmp_path, "c.txt", "no workflow")
    with pytest.raises(CommandError, match=r"b\.json: steps: "):
        run("import", "--tenant", "acme", str(tmp_path))
    written(tmp_path, "b.json", "{")
    with pytest.raises(CommandError, match=r"b\.json: This is not a workflow's file"):
        run("import", "--tenant", "acme", str(tmp_path))
    assert not Workflow.objects.for_tenant(tenant).exists()


def test_a_slug_that_is_taken_is_replaced_when_asked(tenant: Tenant, tmp_path: Path) -> None:
    workflow_create(actor=system_actor(tenant), document=GOOD)
    file = written(tmp_path, "greet.json", {**GOOD, "name": "New"})
    with pytest.raises(CommandError, match="slug: "):
        run("import", "--tenant", "acme", file)
    run("import", "--tenant", "acme", file, "--replace")
    assert Workflow.objects.for_tenant(tenant).get().name == "New"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("export", "--tenant", "nowhere", "x"), "no tenant 'nowhere'"),
        (("export", "--tenant", "acme", "x"), "no workflow 'x'"),
        (("export", "--tenant", "acme"), "Say which workflow"),
        (("export", "--tenant", "acme", "--all"), "give --output FOLDER"),
        (("import", "--tenant", "acme", "/nowhere/at/all.json"), "cannot be read"),
    ],
)
def test_a_mistake_is_one_sentence(tenant: Tenant, words: tuple[str, ...], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        run(*words)


def test_another_tenants_workflow_is_not_there(tenant: Tenant, other_tenant: Tenant) -> None:
    made = workflow_create(actor=system_actor(other_tenant), document=GOOD)
    for name in ("greet", str(made.pk)):
        with pytest.raises(CommandError, match="no workflow"):
            run("export", "--tenant", "acme", name)


def test_what_looks_like_a_secret_is_told_and_left_out(tenant: Tenant) -> None:
    secret = "sk-0123456789abcdefghijkl"
    step = {"key": "say", "action": "hello.world", "config": {"inputs": {"name": secret}}}
    workflow_create(actor=system_actor(tenant), document={**GOOD, "steps": [step]})
    out, err = run("export", "--tenant", "acme", "greet")
    assert secret not in out
    assert "greet: steps[0].config.inputs.name looks like a secret" in err
