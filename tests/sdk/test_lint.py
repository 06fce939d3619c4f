"""Each rule of lint, broken once; and what the scaffold writes keeps them all."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model

from integrations.registry import registry
from integrations.sdk import Account, ApiKey, AuthContext, AuthField, AuthKind, Provider, RunContext, action, ui
from integrations.sdk import lint as linting
from integrations.sdk.lint import lint, network_at_import
from integrations.sdk.scaffold import CannotScaffold, as_package, in_library, in_one_file


async def whose(ctx: AuthContext) -> Account:
    return Account(label="me")


class Plain(BaseModel):
    name: str = Field(examples=["Ada"])


class Output(BaseModel):
    count: int


def findings(*, provider: dict[str, Any] | None = None, doc: str = "It counts.", **changes: Any) -> list[str]:
    made = Provider(**{"key": "acme", "name": "Acme", "auth": [ApiKey(test=whose)], **(provider or {})})
    options: dict[str, Any] = {
        "provider": made,
        "key": "acme.count",
        "name": "Count",
        "auth_type": "api_key",
        "input_schema": Plain,
        "output_schema": Output,
        "sample": {"count": 1},
        **changes,
    }

    async def count(ctx: RunContext[Any]) -> None:
        return None

    count.__doc__ = doc
    return [finding.message for finding in lint([action(**options)(count)])]


def test_a_good_declaration_has_no_finding() -> None:
    assert findings() == []
    assert findings(summary=lambda output: f"{output['count']} found") == []
    assert findings(output_schema=None, sample=None) == []


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


def with_words(words: dict[str, str], annotation: Any) -> type[BaseModel]:
    return create_model("WithWords", way=(annotation, Field(json_schema_extra=ui(words=words))))


class WithSecret(BaseModel):
    apiKey: str  # noqa: N815 - the spelling that is looked for
    max_tokens: int = 5
    page_token: str = ""


class WithMarkedSecret(BaseModel):
    password: str = Field(json_schema_extra=ui(secret=True))


class WithWrongExample(BaseModel):
    size: int = Field(ge=1, examples=[0])
    names: list[str] = Field(default=[], examples=[["a"]])


class WithWords(BaseModel):
    way: Literal["post", "get"] = Field(json_schema_extra=ui(words={"post": "Sent", "get": "Asked for"}))
    maybe: Size | None = Field(None, json_schema_extra=ui(words={"s": "Small"}))
    count: Literal[1, 2] = Field(1, json_schema_extra=ui(words={"1": "One"}))


class ShowsItsKey(AuthKind):
    type = "api_key"
    fields = (AuthField(name="api_key", label="Key", secret=False),)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"doc": ""}, "it has no docstring, and so no description"),
        ({"sample": {"count": "many"}}, "the sample does not fit the output schema: count"),
        ({"sample": {}}, "the sample does not fit the output schema: count"),
        ({"input_schema": WithSecret}, "the input 'apiKey' looks like a secret"),
        ({"input_schema": WithWrongExample}, "an example of the input 'size' does not fit it"),
        ({"provider": {"auth": [ApiKey()]}}, "its provider's api_key has no test: give the auth kind test=…"),
        ({"summary": lambda output: output["nothing"]}, "summary(sample) gives no text but KeyError"),
        ({"summary": lambda output: 5}, "summary(sample) gives no text but int"),
        ({"provider": {"auth": [ShowsItsKey(test=whose)]}}, "the field 'api_key' of api_key is a secret"),
        ({"provider": {"icon": "icon.svg", "auth": [ApiKey(test=whose)]}}, "its icon 'icon.svg' does not lie beside"),
    ],
)  # fmt: skip
def test_each_rule_finds_its_fault_and_nothing_else(changes: dict[str, Any], finding: str) -> None:
    (found,) = findings(**changes)
    assert found.startswith(finding)


@pytest.mark.parametrize(
    ("words", "annotation", "finding"),
    [
        ({"psot": "Sent"}, Literal["post"], "the words of 'way' name 'psot', which is none of its values: post"),
        ({"m": "Middle"}, Size | None, "the words of 'way' name 'm', which is none of its values: s, l"),
        ({"post": " "}, Literal["post", "get"], "the words of 'way' say nothing for 'post'"),
        ({"post": "get"}, Literal["post", "get"], "the words of 'way' call two values 'get'"),
        ({"post": "Sent"}, str, "the field 'way' has words for its values and is no choice"),
    ],
)  # fmt: skip
def test_words_are_for_values_that_there_are(words: dict[str, str], annotation: Any, finding: str) -> None:
    assert findings(input_schema=with_words(words, annotation)) == [finding]
    assert findings(output_schema=with_words(words, annotation), sample=None) == [finding]


def test_words_for_some_or_all_values_of_a_choice_are_fine() -> None:
    assert findings(input_schema=WithWords) == []


def test_a_secret_that_is_marked_is_fine() -> None:
    assert findings(input_schema=WithMarkedSecret) == []


@pytest.mark.parametrize(
    "svg",
    [
        '<svg viewBox="0 0 1 1"><script>1</script></svg>',
        '<svg viewBox="0 0 1 1" onload="x()"></svg>',
        '<svg viewBox="0 0 1 1"><image href="https://x.test/a.png"/></svg>',
        '<svg viewBox="0 0 1 1"><rect fill="url(#a)"/></svg>',
        "<svg></svg>",
        "no drawing",
    ],
)
def test_an_icon_that_loads_or_runs_something_is_found(
    svg: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "icon.svg").write_text(svg)
    monkeypatch.setattr(sys.modules[__name__], "__file__", str(tmp_path / "test_lint.py"))
    origin = f"{__name__}:1"
    (finding,) = findings(provider={"icon": "icon.svg", "origin": origin, "auth": [ApiKey(test=whose)]})
    assert "without scripts and references" in finding


def test_the_library_keeps_every_rule() -> None:
    assert [str(finding) for finding in lint(registry.actions())] == []


def test_an_import_that_calls_out_or_fails_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "calls_out.py").write_text("import socket\nsocket.create_connection(('127.0.0.1', 9))")
    (tmp_path / "looks_up.py").write_text(
        "import socket\ntry:\n    socket.getaddrinfo('x.test', 1)\nexcept Exception:\n    pass"
    )
    (tmp_path / "fails.py").write_text("1 / 0")
    (tmp_path / "quiet.py").write_text("x = 1")
    assert network_at_import(["quiet", "integrations.providers.slack.actions"]) == []
    (finding,) = network_at_import(["quiet", "calls_out"])
    assert (finding.place, finding.message) == ("calls_out", "importing it uses the network")
    (finding,) = network_at_import(["looks_up"])
    assert finding.place == "looks_up"
    (finding,) = network_at_import(["fails"])
    assert "ZeroDivisionError" in finding.message
    (tmp_path / "hangs.py").write_text("while True: pass")
    monkeypatch.setattr(linting, "IMPORT_SECONDS", 0.2)
    (finding,) = network_at_import(["hangs"])
    assert "importing it takes longer than 0.2 s" in finding.message


def pytest_of(folder: Path, *, path: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django", path]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_new_package_is_importable_has_no_finding_and_its_test_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = as_package("acme_scaffolded", tmp_path)
    plan.write()
    done = pytest_of(tmp_path, path="tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    monkeypatch.syspath_prepend(str(tmp_path))
    from integrations.registry import declared_in, load_module

    actions = declared_in(load_module(plan.module))
    assert [found.key for found in actions] == ["acme_scaffolded.getItem"]
    assert lint(actions) == []
    assert 'acme_scaffolded = "acme_scaffolded"' in (tmp_path / "pyproject.toml").read_text()


def test_a_new_provider_of_the_library_lies_where_the_others_do(tmp_path: Path) -> None:
    in_library("acme_corp", tmp_path).write()
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        "integrations/providers/acme_corp/__init__.py",
        "integrations/providers/acme_corp/client.py",
        "integrations/providers/acme_corp/actions.py",
        "integrations/providers/acme_corp/icon.svg",
        "integrations/providers/acme_corp/quality.toml",
        "tests/providers/test_acme_corp.py",
        "tests/contract/exchanges/acme_corp.getItem.json",
    }
    for path in tmp_path.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
    for again in (in_library, in_one_file):
        with pytest.raises(CannotScaffold, match="exists already"):
            again("acme_corp", tmp_path).write()


def test_one_file_and_its_test_are_all_of_a_small_integration(tmp_path: Path) -> None:
    in_one_file("acme_corp", tmp_path).write()
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"integrations/providers/acme_corp.py", "tests/providers/test_acme_corp.py"}
    with pytest.raises(CannotScaffold, match="exists already"):
        in_library("acme_corp", tmp_path).write()


@pytest.mark.parametrize("plan", [in_library, in_one_file])
@pytest.mark.parametrize("name", ["x", "acme_corp_of_a_long_name"])
def test_what_is_written_is_as_the_project_checks_it(plan: Any, name: str, tmp_path: Path) -> None:
    plan(name, tmp_path).write()
    (tmp_path / "integrations" / "sdk").mkdir()
    for module in ("__init__", "client", "testing"):
        (tmp_path / "integrations" / "sdk" / f"{module}.py").touch()
    config = str(Path(__file__).parents[2] / "pyproject.toml")
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--no-cache", "--config", config, "."]
        done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["Acme", "acme-corp", "../evil", "a.b", "", "1acme"])
def test_a_name_that_is_no_key_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CannotScaffold, match="snake_case"):
        as_package(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
