"""A first start: in this process, and by several real processes at once on SQLite and PostgreSQL."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django import Settings

from orchestrator import bootstrap, env
from orchestrator.bootstrap import FirstStart, first_start
from orchestrator.errors import Conflict
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from orchestrator.workflows import services as workflow_services
from orchestrator.workflows.models import Workflow

BASE_URL = "http://127.0.0.1:8000"
Start = Callable[[bool], FirstStart]


@pytest.fixture
def start(db: None) -> Start:
    return lambda demo: first_start(demo=demo, base_url=BASE_URL)


def test_a_first_start_makes_tenant_and_superuser_with_a_password_shown_once(start: Start) -> None:
    done = start(False)
    user = User.objects.get()
    assert (done.tenant, user.username, user.is_superuser, user.is_staff) == ("demo", "admin", True, True)
    assert done.password_made is not None
    assert user.check_password(done.password_made)
    assert done.password_made not in repr(done)
    assert actor_for_user(user, "demo").role == Role.OWNER
    assert start(False) == FirstStart(tenant="demo", user="admin", made_tenant=False, made_user=False)


def test_the_operators_password_is_taken_and_not_shown(start: Start, settings: Settings) -> None:
    settings.ENV = dataclasses.replace(settings.ENV, admin_password="pw")
    done = start(False)
    assert done.password_made is None
    assert done.weak
    assert User.objects.get().check_password("pw")
    settings.ENV = dataclasses.replace(settings.ENV, admin_password="another, later")
    start(False)
    assert User.objects.get().check_password("pw"), "first start only"


def test_examples_are_made_once_and_do_not_come_back(start: Start) -> None:
    assert start(False).examples == ()
    made = start(True).examples
    assert len(made) == 3
    tenant = Tenant.objects.get()
    assert all(w.published_version_id and w.enabled for w in Workflow.objects.for_tenant(tenant))
    actor = actor_for_user(User.objects.get(), "demo")
    for workflow in Workflow.objects.for_tenant(tenant):
        workflow_services.workflow_delete(actor=actor, workflow=workflow)
    assert start(True).examples == ()
    assert not Workflow.objects.for_tenant(tenant).exists()


def test_what_the_first_start_made_is_in_the_audit_log(start: Start) -> None:
    start(False)
    events = AuditEvent.objects.for_tenant(Tenant.objects.get()).order_by("id")
    assert [(event.actor_label, event.action) for event in events] == [
        ("system", "tenant.created"),
        ("system", "member.set"),
    ]


def test_who_waits_too_long_for_another_start_is_told(db: None) -> None:
    with bootstrap.only_one():
        if bootstrap.connection.vendor == "postgresql":
            pytest.skip("the advisory lock belongs to the session, which this process already has")
        with pytest.raises(Conflict, match="Another process has been setting up"), bootstrap.only_one(seconds=0.2):
            pass
    with bootstrap.only_one(seconds=0):
        pass


def test_setup_turns_a_refusal_into_one_sentence(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> FirstStart:
        raise Conflict("Another process has been at it.")

    monkeypatch.setattr("orchestrator.management.commands.setup.first_start", refuse)
    with pytest.raises(CommandError, match=r"^Another process has been at it\.$"):
        call_command("setup")


def postgres_url() -> str | None:
    try:
        socket.create_connection(("127.0.0.1", 5432), timeout=1).close()
    except OSError:
        return None
    return f"postgresql://postgres@127.0.0.1:5432/setup_{os.getpid()}"


@pytest.fixture(params=["sqlite", "postgresql"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with a database of its own; on PostgreSQL with keys, which every host must share."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    if request.param == "sqlite":
        yield {**kept, "DATA_DIR": str(tmp_path)}
        return
    url = postgres_url()
    if url is None:
        pytest.skip("no PostgreSQL at 127.0.0.1:5432")
    import psycopg

    name = url.rpartition("/")[2]
    with psycopg.connect("postgresql://postgres@127.0.0.1:5432/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield {
            **kept,
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": url,
            "SECRET_KEY": os.environ["SECRET_KEY"],
            "VAULT_KEYS": os.environ["VAULT_KEYS"],
        }
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_several_hosts_may_set_up_at_once(environment: dict[str, str]) -> None:
    command = [sys.executable, str(env.ROOT / "manage.py"), "setup", "--no-demo"]
    processes = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    shown = [re.search(r"with the password (\S+) \(shown once\)", out) for out, _ in outputs]
    assert sum(match is not None for match in shown) == 1
    if "VAULT_KEYS" not in environment:
        keys = Path(environment["DATA_DIR"]) / env.KEYS_FILE
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert sum("Keys were made by this machine" in out for out, _ in outputs) == 3


def test_a_database_server_without_keys_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(env.ROOT / "manage.py"), "setup"],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "DATABASE_URL": "postgresql://127.0.0.1/x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "`setup` needs SECRET_KEY and VAULT_KEYS" in done.stderr
