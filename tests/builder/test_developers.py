"""The developers' page and the reference: complete, true to the source, and open to every member."""

from __future__ import annotations

import html
import importlib
import importlib.resources
import inspect
import re
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from integrations import sdk
from orchestrator.builder.examples import weather
from orchestrator.tenants.models import Tenant

EXAMPLES = ("slack", "gmail", "openai")
# How mail is read, what starts runs and what lists choices is left out, for the page's size.
LEFT_OUT = {"reading.py", "triggers.py", "options.py"}


@pytest.fixture
def browser(client: Client, viewer: User) -> Client:
    client.force_login(viewer)
    return client


@pytest.fixture
def guide(browser: Client) -> str:
    return browser.get(reverse("developers", args=["acme"])).text


def codes(text: str) -> dict[str, str]:
    """Return what stands in each code block, by the file's name."""
    found = re.findall(r'<pre id="[^"]+" tabindex="0" aria-label="([^"]+)">(.*?)</pre>', text, re.DOTALL)
    return {name: html.unescape(re.sub(r"<[^>]+>", "", source)) for name, source in found}


def test_every_part_of_the_guide_is_there_and_linked(guide: str) -> None:
    assert "Build integrations in minutes" in guide
    contents = re.findall(r'<a class="lk" href="#([\w-]+)"', guide)
    for part in ("quick-start", "structure", "authentication", "errors", "examples", "testing", "library"):
        assert part in contents
    assert "Add your integration to the library" in guide
    ids = re.findall(r'\sid="([^"]+)"', guide)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', guide)) <= set(ids)
    assert set(re.findall(r'data-copy-from="#([^"]+)"', guide)) <= set(ids)


def test_the_guide_says_where_assistants_find_the_workflows(guide: str) -> None:
    assert "http://testserver/mcp" in guide
    assert "get_run" in guide
    assert 'href="#mcp"' in guide


@pytest.mark.parametrize("key", EXAMPLES)
def test_the_examples_are_the_librarys_own_files_as_they_run(guide: str, key: str) -> None:
    package = importlib.import_module(f"integrations.providers.{key}")
    files = sorted(path.name for path in Path(str(package.__file__)).parent.glob("*.py"))
    shown = codes(guide)
    assert {"__init__.py", "actions.py", "client.py"} <= set(files)
    for name in set(files) - LEFT_OUT:
        module = f"integrations.providers.{key}.{name.removesuffix('.py')}".removesuffix(".__init__")
        source = inspect.getsource(importlib.import_module(module))
        assert shown[f"integrations/providers/{key}/{name}"].strip() == source.strip()


def test_the_quick_start_and_its_test_work_as_they_are_shown(guide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = codes(guide)
    assert shown["integrations/providers/weather.py"].strip() == inspect.getsource(weather).strip()
    monkeypatch.setitem(sys.modules, "integrations.providers.weather", weather)
    names: dict[str, object] = {}
    exec(shown["tests/providers/test_weather.py"], names)  # noqa: S102  (the page's own example)
    tests = [value for name, value in names.items() if name.startswith("test_") and callable(value)]
    assert len(tests) == 1
    tests[0]()


def test_the_preview_is_made_from_the_code_beside_it(guide: str) -> None:
    preview = guide[guide.index('aria-labelledby="preview"') :]
    for words in (weather.forecast.name, "Choose a Weather key", "City", "Days ahead", "temperature", "summary"):
        assert words in preview


def test_every_kind_of_credential_and_every_error_is_told(guide: str) -> None:
    for name in ("OAuth2", "ApiKey", "BearerToken", "Basic", "NoAuth"):
        assert f'<td class="mono">{name}</td>' in guide
    errors = [
        name
        for name, value in vars(sdk).items()
        if isinstance(value, type) and issubclass(value, sdk.IntegrationError) and value is not sdk.IntegrationError
    ]
    assert len(errors) > 4
    for name in errors:
        assert f'<td class="mono">{name}</td>' in guide


def test_the_commands_it_shows_are_there(guide: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = set(re.findall(r"python manage\.py integration (\w+)", guide))
    assert shown == {"new", "try", "lint"}
    for command in shown:
        with pytest.raises(SystemExit) as ended:
            call_command("integration", command, "--help")
        assert ended.value.code == 0
    capsys.readouterr()


def test_the_javascript_example_is_the_file(guide: str) -> None:
    folder = importlib.resources.files("orchestrator.builder.examples")
    assert codes(guide)["code.javascript"].strip() == (folder / "greet.js").read_text(encoding="utf-8").strip()


def test_the_form_beside_the_code_is_the_one_of_the_builder(guide: str) -> None:
    preview = guide[guide.index('aria-labelledby="preview"') :]
    assert '<fieldset class="stack" disabled>' in preview
    assert 'data-field="city"' in preview
    assert 'placeholder="Rotterdam"' in preview
    assert "1 to 7" in preview


@pytest.mark.parametrize("query", ["", "\x00", "(", "💥", "<script>", "a" * 5_000, "%00", "'\""])
def test_the_catalogue_is_searched_with_anything(browser: Client, query: str) -> None:
    answer = browser.get(reverse("integrations", args=["acme"]), {"q": query})
    assert answer.status_code == 200
    assert "<script>" not in answer.text.replace('<script src="', "")


@pytest.mark.parametrize("name", ["developers", "developers-reference", "developers-text", "integrations"])
def test_strangers_see_no_tenant_and_others_sign_in(client: Client, tenant: Tenant, stranger: User, name: str) -> None:
    url = reverse(name, args=[tenant.slug])
    assert client.get(url)["Location"].startswith("/sign-in/")
    client.force_login(stranger)
    assert client.get(url).status_code == 404
