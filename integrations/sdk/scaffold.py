"""A new integration, written out: importable, linted and with a passing test from its first minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from integrations.sdk.provider import PROVIDER_KEY

_DECLARATION: Final = '''"""$title: what it is and what for."""

from $package import client
from integrations.sdk import ApiKey, Provider

$name = Provider(
    key="$name",
    name="$title",
    base_url=client.BASE_URL,
    auth=[
        ApiKey(
            header="Authorization",
            prefix="Bearer",
            help="Say here where a person finds the key.",
            test=client.account,
        )
    ],
    description="Say in one line what $title is for.",
    docs_url="https://example.com/docs",
    icon="icon.svg",
    category="Apps",
    tile="gray",
)
'''

_CLIENT: Final = '''"""How $title is spoken to: every address of it stands here."""

from pydantic import BaseModel, ConfigDict, Field

from integrations.sdk import Account, AuthContext
from integrations.sdk.client import StepHttp

BASE_URL = "https://api.example.com/v1"


class Item(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Id")
    name: str = Field(title="Name")


async def get_item(http: StepHttp, item_id: str) -> Item:
    """Return one item. Raises the classified error of a status outside 2xx, and of an answer that is no item."""
    response = await http.get("items", params={"id": item_id})
    return response.raise_for_status().parsed(Item)


async def account(ctx: AuthContext) -> Account:
    """Ask whose key this is: the test of a credential."""
    response = await ctx.http.get("me")
    return Account(label=str(response.raise_for_status().json_object().get("name", "$title")))
'''

_ACTIONS: Final = '''"""What can be done with $title."""

from pydantic import BaseModel, Field

from $package import $name
from $package.client import Item, get_item
from integrations.sdk import RunContext, action


class GetItemInputs(BaseModel):
    item_id: str = Field(min_length=1, title="Item", description="The item's id.", examples=["42"])


@action(
    provider=$name,
    key="$name.getItem",
    name="Get item",
    auth_type="api_key",
    input_schema=GetItemInputs,
    output_schema=Item,
    sample={"id": "42", "name": "Answer"},
    idempotent=True,
    effect="read",
    synonyms=("read", "fetch"),
)
async def get(ctx: RunContext[GetItemInputs]) -> Item:
    """Get one item by its id."""
    return await get_item(ctx.http, ctx.inputs.item_id)
'''

# All of it in one file: for a first action, and for what never leaves one's own installation.
_ONE_FILE: Final = '''"""$title: what it is and what for."""

from pydantic import BaseModel, Field

from integrations.sdk import Account, ApiKey, AuthContext, Provider, RunContext, action


async def account(ctx: AuthContext) -> Account:
    """Ask whose key this is: the test of a credential."""
    found = (await ctx.http.get("me")).raise_for_status().json_object()
    return Account(label=str(found.get("name", "$title")))


$name = Provider(
    key="$name",
    name="$title",
    base_url="https://api.example.com/v1",
    auth=[ApiKey(test=account)],
)


class GetItemInputs(BaseModel):
    item_id: str = Field(min_length=1, title="Item", examples=["42"])


class GetItemOutput(BaseModel):
    id: str
    name: str


@action(
    provider=$name,
    key="$name.getItem",
    name="Get item",
    auth_type="api_key",
    input_schema=GetItemInputs,
    output_schema=GetItemOutput,
    sample={"id": "42", "name": "Answer"},
    idempotent=True,
    effect="read",
)
async def get(ctx: RunContext[GetItemInputs]) -> GetItemOutput:
    """Get one item by its id."""
    answer = await ctx.http.get("items", params={"id": ctx.inputs.item_id})
    return answer.raise_for_status().parsed(GetItemOutput)
'''

_ONE_FILE_TEST: Final = '''"""$title: what goes out and what comes back."""

import httpx

from $package import get
from integrations.sdk.testing import run_action


def test_an_item_is_fetched_with_the_key() -> None:
    answer = httpx.Response(200, json=get.sample)
    result = run_action(get, {"item_id": "42"}, auth={"api_key": "k-1"}, http=[answer])
    assert result.output == get.sample
    assert result.request.headers["x-api-key"] == "k-1"
'''

_TEST: Final = '''"""$title: what goes out and what comes back."""

import httpx
import pytest

from $package import $name
from $package.actions import get
from integrations.sdk import AuthError
from integrations.sdk.testing import check_account, run_action

KEY = {"type": "api_key", "api_key": "k-1"}


def test_an_item_is_fetched_with_the_key() -> None:
    result = run_action(get, {"item_id": "42"}, auth=KEY, http=[httpx.Response(200, json=get.sample)])
    assert result.output == get.sample
    assert result.request.url.path.endswith("/items")
    assert dict(result.request.url.params) == {"id": "42"}
    assert result.request.headers["authorization"] == "Bearer k-1"


def test_a_wrong_key_is_an_auth_error() -> None:
    with pytest.raises(AuthError):
        run_action(get, {"item_id": "42"}, auth=KEY, http=[httpx.Response(401)])


def test_a_key_is_asked_whose_it_is() -> None:
    account, _ = check_account($name, KEY, [httpx.Response(200, json={"name": "Acme"})])
    assert account.label == "Acme"
'''

_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6">'
    '<circle cx="8" cy="8" r="5.5"/><circle cx="8" cy="8" r="1.5"/></svg>\n'
)

_EXCHANGE: Final = '{\n  "inputs": {"item_id": "42"},\n  "answer": {"id": "42", "name": "Answer"}\n}\n'

_PROJECT: Final = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "orchestrator-$dashed"
version = "0.1.0"
description = "$title for Orchestrator."
requires-python = ">=3.11"
dependencies = ["orchestrator"]

# The product imports this module and registers the actions of its package.
[project.entry-points."orchestrator.integrations"]
$name = "$name"

[tool.setuptools]
packages = ["$name"]

[tool.setuptools.package-data]
$name = ["*.svg", "*.toml"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""

_FOLDER: Final = {
    "__init__.py": _DECLARATION,
    "client.py": _CLIENT,
    "actions.py": _ACTIONS,
    "icon.svg": _ICON,
    "quality.toml": 'level = "bronze"\n',
}


class CannotScaffold(Exception):
    """The integration cannot be written; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The files to write, by path, the module that declares the provider, and what must not be there beside it."""

    module: str
    files: Mapping[Path, str]
    against: Path | None = None

    def write(self) -> None:
        """Write every file. Raises CannotScaffold, with nothing written, where one is there already."""
        looked_for = (*self.files, *((self.against,) if self.against else ()))
        there = next((path for path in looked_for if path.exists()), None)
        if there is not None:
            raise CannotScaffold(f"{there} exists already: choose another name, or remove it first.")
        for path, text in self.files.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            except OSError as error:
                raise CannotScaffold(
                    f"{path} cannot be written ({error.strerror}): choose a folder that you may write to."
                ) from None


def in_library(name: str, root: Path) -> Plan:
    """Plan a provider of the library, in the product's own tree at ``root``."""
    words = _words(name, f"integrations.providers.{name}")
    folder = root / "integrations" / "providers" / name
    files = {folder / file: _filled(text, words) for file, text in _FOLDER.items()}
    files[root / "tests" / "providers" / f"test_{name}.py"] = _filled(_TEST, words)
    files[root / "tests" / "contract" / "exchanges" / f"{name}.getItem.json"] = _EXCHANGE
    return Plan(module=words["package"], files=files, against=folder.with_suffix(".py"))


def in_one_file(name: str, root: Path) -> Plan:
    """Plan the same as one module and its test: the least that is an integration."""
    words = _words(name, f"integrations.providers.{name}")
    module = root / "integrations" / "providers" / f"{name}.py"
    files = {
        module: _filled(_ONE_FILE, words),
        root / "tests" / "providers" / f"test_{name}.py": _filled(_ONE_FILE_TEST, words),
    }
    return Plan(module=words["package"], files=files, against=module.with_suffix(""))


def as_package(name: str, directory: Path) -> Plan:
    """Plan a package of its own in ``directory``, which registers through its entry point once installed."""
    words = _words(name, name)
    files = {directory / name / file: _filled(text, words) for file, text in _FOLDER.items()}
    files[directory / "tests" / f"test_{name}.py"] = _filled(_TEST, words)
    files[directory / "pyproject.toml"] = _filled(_PROJECT, words)
    return Plan(module=name, files=files)


def _words(name: str, package: str) -> dict[str, str]:
    if not PROVIDER_KEY.fullmatch(name):
        raise CannotScaffold(f"{name!r} is not a provider's key: use snake_case, like google_sheets.")
    title = " ".join(part.capitalize() for part in name.split("_"))
    return {"name": name, "package": package, "title": title, "dashed": name.replace("_", "-")}


def _filled(text: str, words: Mapping[str, str]) -> str:
    return Template(text).substitute(words)
