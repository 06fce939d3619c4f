"""``manage.py integration``, as a person types it."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from pydantic import BaseModel, Field

from integrations.registry import registry
from integrations.sdk import Provider, RunContext, action, ui
from orchestrator.management import trying
from orchestrator.tenants.models import Tenant
from tests.registry.terminal import TOKEN, integration, server
from tests.sdk.server import answer


def test_every_action_and_trigger_is_listed_with_what_it_needs() -> None:
    text = integration("list")
    assert "slack.sendMessage" in text
    assert "bearer_token or oauth2" in text
    described = {row["key"]: row for row in json.loads(integration("list", "--json"))}
    assert set(described) == {found.key for found in (*registry.actions(), *registry.triggers())}
    assert described["hello.world"]["input_schema"]["required"] == ["name"]


def test_lint_finds_nothing_in_the_library_nor_in_one_provider() -> None:
    assert "nothing to correct" in integration("lint")
    assert integration("lint", "slack") == "2 actions, 1 trigger, nothing to correct.\n"


def test_lint_says_what_to_correct_and_fails() -> None:
    class Inputs(BaseModel):
        password: str

    @action(
        provider=Provider(key="acme", name="Acme"), key="acme.bad", name="Bad", auth_type="none", input_schema=Inputs
    )
    async def bad(ctx: RunContext[Inputs]) -> None:
        return None

    out = StringIO()
    with registry.temporarily(bad), pytest.raises(CommandError, match="to correct in 1 action"):
        call_command("integration", "lint", "acme", stdout=out)
    assert "looks like a secret" in out.getvalue()
    assert "no docstring" in out.getvalue()


def test_a_new_package_is_written_and_its_next_steps_are_named(tmp_path: Path) -> None:
    text = integration("new", "acme_typed", "--package", str(tmp_path / "acme"))
    assert f"pytest {tmp_path}/acme/tests/test_acme_typed.py" in text
    assert (tmp_path / "acme" / "acme_typed" / "actions.py").is_file()
    with pytest.raises(CommandError, match="exists already"):
        integration("new", "acme_typed", "--package", str(tmp_path / "acme"))


@pytest.mark.parametrize("name", ["json", "django", "integrations"])
def test_a_name_that_python_knows_already_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="already"):
        integration("new", name, "--package", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_action_is_tried_from_the_terminal() -> None:
    assert json.loads(integration("try", "hello.world", "--input", "name=Ada=1")) == {"message": "Hello Ada=1"}


def test_try_evaluates_expressions_over_items() -> None:
    words = ("data.filter", "--input", "items=[1, 5, 9]", "--input", "where={{ item > 4 and index < 2 }}")
    assert json.loads(integration("try", *words)) == [5]
    with pytest.raises(CommandError, match="input: triger does not exist"):
        integration("try", *words[:3], "--input", "where={{ triger.body }}")


class DoorInputs(BaseModel):
    code: str | None = Field(None, json_schema_extra=ui(secret=True))


door = Provider(key="door", name="Door")


@action(provider=door, key="door.open", name="Open", auth_type="none", input_schema=DoorInputs, http=False)
async def open_door(ctx: RunContext[DoorInputs]) -> Any:
    """Open."""
    ctx.log(f"with {ctx.inputs.code}")
    return {"length": len(ctx.inputs.code or ""), "code": ctx.inputs.code}


def test_try_takes_a_secret_input_as_it_is_and_prints_none_of_it() -> None:
    with registry.temporarily(open_door):
        said = integration("try", "door.open", "--input", "code=4711004711")
    assert "4711004711" not in said
    assert '"length": 10' in said


def test_try_says_that_control_flow_takes_a_workflow() -> None:
    with pytest.raises(CommandError, match=r"input: flow\.wait cannot be tried by itself.*Put it into a workflow"):
        integration("try", "flow.wait", "--input", "seconds=1")


def test_a_credential_of_the_tenant_is_used_and_not_shown(credential: str, slack_at: Any) -> None:
    told = json.dumps({"ok": True, "channel": "C1", "ts": "1", "message": {"text": f"saw {TOKEN}"}}).encode()
    with server(answer(body=told)) as slack:
        slack_at(f"{slack.url}/slack/api")
        words = ("--input", "channel=#a", "--input", "text=5", "--input", "unfurl_links=false")
        text = integration("try", "slack.sendMessage", *words, "--credential", credential, "--tenant", "acme")
    (seen,) = slack.requests
    assert seen.path == "/slack/api/chat.postMessage"
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(seen.body) == {"channel": "#a", "text": "5", "unfurl_links": False}
    assert '"ts": "1"' in text
    assert TOKEN not in text


def test_a_failure_is_one_sentence_with_its_kind_and_without_the_secret(credential: str, slack_at: Any) -> None:
    with server(answer(body=json.dumps({"ok": False, "error": f"bad {TOKEN}"}).encode())) as slack:
        slack_at(slack.url)
        with pytest.raises(CommandError, match=r"^permanent: Slack refused") as caught:
            integration("try", "slack.sendMessage", "--input", "channel=#a", "--input", "text=x",
                        "--credential", credential, "--tenant", "acme")  # fmt: skip
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("slack.nothing",), "no action or trigger 'slack.nothing'"),
        (("hello.world", "--input", "name"), "no equals sign"),
        (("hello.world",), "input: name"),
        (
            ("slack.sendMessage", "--input", "channel=a", "--input", "text=b"),
            "auth: Slack requires a sign-in (OAuth 2) or a bearer token",
        ),
        (("hello.world", "--input", "name=a", "--credential", "x"), "give --tenant"),
        (("hello.world", "--input", "name=a", "--credential", "x", "--tenant", "nobody"), "no tenant 'nobody'"),
        (("hello.world", "--input", "name=a", "--credential", "x", "--tenant", "acme"), "no longer exists"),
        (("http.request", "--input", "url=http://127.0.0.1:9/"), "steps may not reach"),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(words: tuple[str, ...], says: str, tenant: Tenant) -> None:
    with pytest.raises(CommandError) as caught:
        integration("try", *words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_checked_or_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenant: Tenant
) -> None:
    with pytest.raises(CommandError, match=r"no provider and no module 'slak': `manage\.py integration list` shows"):
        integration("lint", "slak")
    with pytest.raises(CommandError, match="declares no action: decorate a function of it with @action"):
        integration("lint", "json")
    with pytest.raises(CommandError, match=r"a provider 'http' already, declared at integrations\.builtin\.http"):
        integration("new", "http", "--one-file")
    (tmp_path / "a-file").touch()
    with pytest.raises(CommandError, match="choose a folder that you may write to"):
        integration("new", "acme_typed", "--package", str(tmp_path / "a-file"))

    def broken(**_: Any) -> None:
        raise DatabaseError("no such table: vault_credential")

    monkeypatch.setattr(trying, "fresh_credential", broken)
    with pytest.raises(CommandError, match=r"no such table.*run `python manage\.py setup` once"):
        integration("try", "hello.world", "--input", "name=a", "--credential", "x", "--tenant", "acme")
