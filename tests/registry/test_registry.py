"""The registry: what is in it, what it refuses, and what a request learns from it."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from integrations.registry import DuplicateKey, Registry, RegistryError, base_url_for, http_options, registry
from integrations.sdk import Action, Provider, RunContext, action

PACKAGE = '''
from pydantic import BaseModel
from integrations.sdk import Provider, action

acme = Provider(key="acme", name="Acme")

class Inputs(BaseModel):
    pass

@action(provider=acme, key="acme.{key}", name="Ping", auth_type="none", input_schema=Inputs)
async def ping(ctx):
    """Ping."""
    return "pong"
'''


def make_action(provider: Provider, name: str) -> Action:
    class Inputs(BaseModel):
        pass

    @action(provider=provider, key=f"{provider.key}.{name}", name=name, auth_type="none", input_schema=Inputs)
    async def run(ctx: RunContext[Inputs]) -> None:
        return None

    return run


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Return a function that installs a module, with its text, as another package's entry point."""
    points: list[importlib.metadata.EntryPoint] = []
    made: list[str] = []
    monkeypatch.syspath_prepend(str(tmp_path))
    real = importlib.metadata.entry_points

    def entry_points(**params: str) -> object:
        return tuple(points) if params == {"group": "orchestrator.integrations"} else real(**params)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)

    def install(name: str, text: str, *, target: str = "") -> None:
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        made.append(name.partition(".")[0])
        points.append(importlib.metadata.EntryPoint(name, target or name, "orchestrator.integrations"))

    yield install
    for name in [name for name in sys.modules if name.partition(".")[0] in made]:
        del sys.modules[name]


def test_the_library_is_in_it_and_every_action_has_its_provider() -> None:
    keys = {found.key for found in registry.actions()}
    assert {"hello.world", "slack.sendMessage", "gmail.sendEmail", "openai.chatCompletion"} <= keys
    assert [found.key for found in registry.actions()] == sorted(keys)
    assert all(registry.provider(found.provider.key) is found.provider for found in registry.actions())
    assert registry.get("slack.sendMessage") in registry.actions()
    assert registry.get("slack.nothing") is registry.provider("nothing") is None


def test_another_package_registers_what_its_module_declares(offer: object) -> None:
    offer("acme_one", PACKAGE.format(key="one"))  # type: ignore[operator]
    offer("acme_pack.__init__", "", target="acme_pack")  # type: ignore[operator]
    fresh = Registry()
    fresh.load()
    found = fresh.get("acme.one")
    assert found is not None
    assert found.origin == "acme_one:10"


def test_a_package_may_keep_its_actions_in_a_module_of_that_name(offer: object, tmp_path: Path) -> None:
    offer("acme_two.__init__", "", target="acme_two")  # type: ignore[operator]
    (tmp_path / "acme_two" / "actions.py").write_text(PACKAGE.format(key="two"))
    assert Registry().get("acme.two") is not None


def test_a_key_declared_by_two_packages_stops_the_start_and_names_both_places(offer: object) -> None:
    offer("acme_first", PACKAGE.format(key="same"))  # type: ignore[operator]
    offer("acme_second", PACKAGE.format(key="same"))  # type: ignore[operator]
    with pytest.raises(DuplicateKey, match=r"'acme\.same'.*acme_first:10.*acme_second:10"):
        Registry().load()


def test_a_key_declared_twice_in_one_module_is_seen_although_the_name_is_overwritten(offer: object) -> None:
    text = PACKAGE.format(key="same")
    offer("acme_twice", text + text.partition("class Inputs")[2].partition("@")[2].join(["@", ""]))  # type: ignore[operator]
    with pytest.raises(DuplicateKey, match=r"acme_twice:10.*acme_twice:1\d"):
        Registry().load()


def test_a_provider_declared_twice_names_both_places(offer: object) -> None:
    offer("acme_first", PACKAGE.format(key="one"))  # type: ignore[operator]
    offer("acme_second", PACKAGE.format(key="two"))  # type: ignore[operator]
    with pytest.raises(DuplicateKey, match=r"provider 'acme'.*acme_first:5.*acme_second:5"):
        Registry().load()


def test_a_package_that_cannot_be_imported_stops_the_start_naming_it(offer: object) -> None:
    offer("acme_broken", "import no_such_module_at_all")  # type: ignore[operator]
    with pytest.raises(RegistryError, match=r"'acme_broken'.*no_such_module_at_all"):
        Registry().load()


def test_actions_are_added_for_a_test_and_gone_after_it() -> None:
    acme = Provider(key="acme", name="Acme")
    extra = make_action(acme, "ping")
    with registry.temporarily(extra):
        assert registry.get("acme.ping") is extra
        assert registry.provider("acme") is acme
    assert registry.get("acme.ping") is registry.provider("acme") is None
    with pytest.raises(ZeroDivisionError), registry.temporarily(extra):
        raise ZeroDivisionError
    assert registry.get("acme.ping") is None


def test_even_for_a_test_a_duplicate_is_refused() -> None:
    acme = Provider(key="acme", name="Acme")
    with pytest.raises(DuplicateKey), registry.temporarily(make_action(acme, "ping"), make_action(acme, "ping")):
        pass


def test_the_operators_root_replaces_the_providers_own_by_key_then_by_family() -> None:
    slack, gmail = registry.provider("slack"), registry.provider("gmail")
    assert slack
    assert gmail
    assert base_url_for(slack, {}) == "https://slack.com/api"
    assert base_url_for(slack, {"slack": "http://127.0.0.1:9001/slack/api/"}) == "http://127.0.0.1:9001/slack/api"
    assert base_url_for(gmail, {"google": "http://127.0.0.1:1/g"}) == "http://127.0.0.1:1/g"
    assert base_url_for(gmail, {"google": "http://a", "gmail": "http://b"}) == "http://b"


def test_an_override_for_nobody_is_worth_a_warning() -> None:
    assert registry.unknown_overrides({"slack": "", "google": "", "slakc": "", "gogle": ""}) == ("slakc", "gogle")


SLACK = {"provider": "slack", "type": "bearer_token", "token": "t"}


def test_a_credential_goes_to_its_own_providers_hosts_only() -> None:
    send = registry.get("slack.sendMessage")
    assert send
    options = http_options(send, SLACK, {}, {})
    assert options["base_url"] == "https://slack.com/api"
    assert options["auth_hosts"] == ("https://slack.com",)
    replaced = http_options(send, SLACK, {}, {"slack": "http://127.0.0.1:9001/slack/api"})
    assert replaced["auth_hosts"] == ("http://127.0.0.1:9001",)
    request = httpx.Request("POST", "https://slack.com/api/x")
    assert options["authorize"]
    options["authorize"](request)
    assert request.headers["authorization"] == "Bearer t"


def test_in_another_providers_action_a_credential_still_goes_to_its_own_hosts() -> None:
    http = make_action(Provider(key="anything", name="Any host"), "request")
    with registry.temporarily(http):
        assert http_options(http, SLACK, {}, {})["auth_hosts"] == ("https://slack.com",)
        assert http_options(http, {"type": "none"}, {}, {})["authorize"] is None


def test_a_credential_for_any_host_goes_where_the_step_sends_it_or_to_the_hosts_it_lists() -> None:
    request = registry.get("http.request")
    assert request
    auth = {"provider": "http", "type": "api_key", "api_key": "k"}
    assert http_options(request, auth, {}, {})["auth_hosts"] is None
    pinned = http_options(request, auth, {"hosts": ["api.example.com"], "header": "X-Mine"}, {})
    assert pinned["auth_hosts"] == ("api.example.com",)
    sent = httpx.Request("GET", "https://api.example.com/")
    assert pinned["authorize"]
    pinned["authorize"](sent)
    assert sent.headers["X-Mine"] == "k"
    assert http_options(request, SLACK, {}, {})["auth_hosts"] == ("https://slack.com",)
