"""System checks: each setting that can be wrong in a way that still starts, and what is refused before."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import get_commands, load_command_class
from pytest_django import Settings

from integrations.registry import DuplicateKey, registry
from orchestrator import checks, env
from orchestrator.env import ConfigurationError
from orchestrator.management.terminal import TerminalCommand

RANDOM = bytes(range(32))
PUBLIC = "https://flows.example.com"

Ids = Callable[..., list[str]]


@pytest.fixture
def ids(settings: Settings) -> Ids:
    """Return a function that changes settings and gives the ids of what the checks say."""

    def found(**changes: Any) -> list[str]:
        sqlite = "sqlite:////srv/orchestrator.sqlite3"
        good = dataclasses.replace(
            django_settings.ENV, vault_keys=(RANDOM,), workers=1, database_url=sqlite, redis_url=None
        )
        settings.ENV = dataclasses.replace(good, **changes)
        return [str(message.id).removeprefix("orchestrator.") for message in checks.check_settings()]

    return found


def test_good_settings_give_no_message(ids: Ids) -> None:
    assert ids() == []
    assert ids(base_url=PUBLIC, database_url="postgresql://u:p@db/x", redis_url="redis://cache:6379/0") == []
    assert ids(base_url="http://127.0.0.1:8000", debug=True, keys_are_self_made=True) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"debug": True, "base_url": PUBLIC}, "E001"),
        ({"egress_allow": ("bad host",)}, "E002"),
        ({"keys_are_self_made": True, "base_url": PUBLIC}, "W001"),
        ({"vault_keys": (b"a" * 32,)}, "W003"),
        ({"vault_keys": (RANDOM, RANDOM)}, "W004"),
        ({"base_url": "http://flows.example.com"}, "W005"),
        ({"base_url": "http://192.168.1.5:8000"}, "W005"),
        ({"allowed_hosts": ("flows.example.com",)}, "W006"),
        ({"allowed_hosts": ("*",), "base_url": PUBLIC}, "W007"),
        ({"egress_allow": ("0.0.0.0/0",)}, "W008"),
        ({"egress_allow": ("::/0",)}, "W008"),
        ({"base_urls": {"slak": "http://127.0.0.1:9001"}}, "W009"),
        ({"oauth_clients": {"gogle": {"client_id": "a", "client_secret": "b"}}}, "W009"),
        ({"base_urls": {"slack": "http://proxy.example.com"}}, "W010"),
        ({"oauth_token_urls": {"slack": "http://proxy.example.com"}}, "W010"),
        ({"admin_password": "secret", "base_url": PUBLIC}, "W011"),
        ({"workers": 100_000}, "W012"),
        ({"database_url": "postgresql://u:p@db.example.com/x?sslmode=disable"}, "W013"),
        ({"redis_url": "redis://cache.example.com:6379"}, "W014"),
        ({"email_url": "smtp://u:p@mail.example.com:25"}, "W015"),
    ],
)
def test_a_setting_that_is_wrong_in_a_way_that_starts_is_told(ids: Ids, changes: dict[str, Any], expected: str) -> None:
    assert expected in ids(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"egress_allow": ("10.0.0.0/8", "intranet.example:8080", "[::1]:9000", "127.0.0.1:9001")},
        {"base_urls": {"slack": "http://127.0.0.1:9001/slack/api"}},
        {"allowed_hosts": ("localhost",)},
        {"admin_password": "secret"},
        {"redis_url": "redis://10.0.0.5:6379"},
        {"email_url": "smtp://u:p@mail.example.com:587?tls=1"},
        {"email_url": "smtp://127.0.0.1:1025"},
        {"database_url": "postgresql://u:p@10.0.0.5/x?sslmode=disable"},
    ],
)
def test_what_is_common_and_sound_is_not_warned_about(ids: Ids, changes: dict[str, Any]) -> None:
    assert ids(**changes) == []


def test_keys_that_others_can_read_are_told(ids: Ids, tmp_path: Path) -> None:
    path = env.make_keys(tmp_path)
    assert ids(data_dir=tmp_path) == []
    path.chmod(0o644)
    assert ids(data_dir=tmp_path) == ["W002"]


def test_a_data_folder_that_is_none_is_told(ids: Ids, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert ids(data_dir=tmp_path / "file") == ["E003"]


def test_an_integration_that_cannot_be_loaded_is_told(ids: Ids, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DuplicateKey("The action 'a.b' is declared twice, at x:1 and y:2: rename one.")

    monkeypatch.setattr(registry, "load", fail)
    assert ids(base_urls={"slak": "http://127.0.0.1:9001"}) == ["E004"]


def test_every_id_is_given_once_and_documented_where_it_is_given() -> None:
    source = inspect.getsource(checks)
    used = re.findall(r"_(error|warning)\(\s*(\d+),", source)
    numbered = [f"{kind[0].upper()}{int(number):03}" for kind, number in used]
    assert len(set(numbered)) == len(numbered)
    documented = {found for check in checks.CHECKS for found in re.findall(r"[EW]\d{3}", check.__doc__ or "")}
    assert documented == set(numbered)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., env.Environment]]:
    """Return a function that reads an environment of these variables alone."""
    monkeypatch.setattr(env, "ROOT", tmp_path)

    def read(**values: str) -> env.Environment:
        for name in _names():
            monkeypatch.delenv(name, raising=False)
        for name, value in {"DATA_DIR": str(tmp_path / "data"), **values}.items():
            monkeypatch.setenv(name, value)
        env.load.cache_clear()
        return env.load()

    yield read
    env.load.cache_clear()


def _names() -> list[str]:
    return [*re.findall(r'"([A-Z_]{5,})"', inspect.getsource(env)), "DEBUG"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "maybe"),
        ("WORKERS", "0"),
        ("WORKERS", "two"),
        ("VAULT_KEYS", "short"),
        ("VAULT_KEYS", base64.urlsafe_b64encode(b"x" * 31).decode()),
        ("DATABASE_URL", "mysql://h/x"),
        ("DATABASE_URL", "postgresql://h"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("DATABASE_URL", "postgresql://h:port/x"),
        ("REDIS_URL", "http://h"),
        ("REDIS_URL", "redis://h/zero"),
        ("BASE_URL", "flows.example.com"),
        ("BASE_URL", "https://flows.example.com/app"),
        ("BASE_URL", "https://user@flows.example.com"),
        ("ALLOWED_HOSTS", "https://flows.example.com"),
        ("ALLOWED_HOSTS", "flows.example.com:8000"),
        ("EGRESS_ALLOW", "http://intranet"),
        ("EGRESS_ALLOW", "intranet:port"),
        ("EGRESS_ALLOW", "10.0.0.0/33"),
        ("INTEGRATIONS_BASE_URLS", "{"),
        ("INTEGRATIONS_BASE_URLS", "[]"),
        ("INTEGRATIONS_BASE_URLS", '{"slack": "slack.com"}'),
        ("INTEGRATIONS_BASE_URLS", '{"slack": "http://"}'),
        ("INTEGRATIONS_RATE_LIMITS", '{"slack": 0}'),
        ("INTEGRATIONS_RATE_LIMITS", '{"slack": "5"}'),
        ("INTEGRATIONS_RATE_LIMITS", '{"slack": 1e400}'),
        ("INTEGRATIONS_RATE_LIMITS", '{"slack": 1e-320}'),
        ("INTEGRATIONS_RATE_LIMITS", '{"slack": true}'),
        ("INTEGRATIONS_OAUTH_TOKEN_URLS", '{"slack": 5}'),
        ("INTEGRATIONS_OAUTH_CLIENTS", '{"google": {"client_id": "x"}}'),
        ("MODEL_PRICES", '{"gpt-x": 5}'),
        ("MODEL_PRICES", '{"gpt-x": {"input": 1}}'),
        ("MODEL_PRICES", '{"gpt-x": {"input": -1, "output": 2}}'),
        ("MODEL_PRICES", '{"gpt-x": {"input": 1' + "0" * 400 + ', "output": 2}}'),
        ("EMAIL_URL", "http://mail"),
        ("EMAIL_URL", "smtp://"),
        ("EMAIL_URL", "smtp://mail?tls=perhaps"),
        ("EMAIL_URL", "smtp://mail?ssl=1"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:password@127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://127.0.0.1:4317"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_one_sentence(
    load: Callable[..., env.Environment], name: str, value: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}") as caught:
        load(**{name: value})
    message = str(caught.value)
    assert message.endswith((".", "`."))
    assert "\n" not in message


def test_traces_are_sent_where_an_endpoint_is_named_and_nothing_says_otherwise(
    load: Callable[..., env.Environment], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS": "key=a secret"}
    assert load(OTEL_SERVICE_NAME="flows").telemetry == {}
    (tmp_path / ".env").write_text("OTEL_TRACES_SAMPLER=always_on\n")
    found = load(**there)
    assert found.telemetry == {**there, "OTEL_SERVICE_NAME": "flows", "OTEL_TRACES_SAMPLER": "always_on"}
    assert "a secret" not in repr(found)
    with pytest.raises(ConfigurationError, match=r"^OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', and"):
        load(**there, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    for name, value in (("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")):
        assert load(**there, **{name: value}).telemetry == {}
        monkeypatch.delenv(name)


def test_good_values_are_read(load: Callable[..., env.Environment]) -> None:
    found = load(
        DATABASE_URL="postgresql:///orchestrator?host=/run/postgresql",
        REDIS_URL="unix:///run/redis.sock",
        BASE_URL="https://flows.example.com/",
        ALLOWED_HOSTS="flows.example.com, .example.org, 10.0.0.1, [::1]",
        EGRESS_ALLOW="intranet, intranet.example:8080, 10.0.0.0/8, fd00::/8, [::1]:9000, 127.0.0.1:9001",
        INTEGRATIONS_BASE_URLS='{"slack": "http://127.0.0.1:9001/slack/api/"}',
        INTEGRATIONS_RATE_LIMITS='{"airtable": 0.5, "slack": null}',
        EMAIL_URL="smtp://user:p%40ss@mail.example.com:587?tls=1",
        MODEL_PRICES='{"gpt-x": {"input": 1, "output": 2.5}}',
    )
    assert found.model_prices == {"gpt-x": {"input": 1.0, "output": 2.5}}
    assert found.base_url == PUBLIC
    assert len(found.egress_allow) == 6
    assert found.rate_limits == {"airtable": 0.5, "slack": None}
    assert found.base_urls == {"slack": "http://127.0.0.1:9001/slack/api"}


def test_the_deployment_checks_are_clean_with_https_and_keys(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(env.ROOT / "manage.py"), "check", "--deploy", "--fail-level", "WARNING"],
        env={
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(tmp_path),
            "BASE_URL": PUBLIC,
            "SECRET_KEY": base64.b64encode(os.urandom(60)).decode(),
            "VAULT_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, "no issues" in done.stdout) == (0, "", True), done.stdout + done.stderr


def test_commands_look_at_the_operators_settings_and_load_no_pages_to_check_them() -> None:
    ours = {name: load_command_class(app, name) for name, app in get_commands().items() if app == "orchestrator"}
    checked = {name: made.requires_system_checks for name, made in ours.items() if isinstance(made, TerminalCommand)}
    assert checked.pop("doctor") == ()
    assert "token" in checked
    assert set(checked.values()) == {("orchestrator",)}
