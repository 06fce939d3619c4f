"""``credential_check`` against a provider on 127.0.0.1, over real connections."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent
from orchestrator.vault import checks, services
from orchestrator.vault.models import Credential, Health

TOKEN = "xoxb-canary-4711"


class FakeSlack(ThreadingHTTPServer):
    """Answers every request with ``status`` and ``body`` and keeps the Authorization headers it saw."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.body: Any = {}
        self.seen: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: FakeSlack

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(self.headers.get("Authorization"))
        data = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer  # noqa: N815  (names of the standard library)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def slack(settings: Settings) -> Iterator[FakeSlack]:
    """A provider that slack's root was moved to, as an operator does with INTEGRATIONS_BASE_URLS."""
    server = FakeSlack()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.ENV = dataclasses.replace(
        settings.ENV, base_urls={"slack": f"http://127.0.0.1:{server.server_address[1]}/api"}
    )
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def credential(actor: Actor) -> Credential:
    return services.credential_create(
        actor=actor, name="s", provider="slack", auth_type="bearer_token", secret={"token": TOKEN}
    )


def test_a_secret_that_works_says_whose_it_is(actor: Actor, credential: Credential, slack: FakeSlack) -> None:
    slack.body = {"ok": True, "team": "Acme", "user": "bot", "user_id": "U1", "team_id": "T1", "url": "https://x"}
    checked = checks.credential_check(actor=actor, credential=credential)
    assert (checked.health, slack.seen) == (Health.WORKING, [f"Bearer {TOKEN}"])
    assert "Acme" in checked.health_message
    assert checked.health_checked_at is not None
    assert AuditEvent.unscoped.filter(action="credential.checked").count() == 1


def test_what_works_and_ends_within_a_week_is_about_to_end(
    actor: Actor, credential: Credential, slack: FakeSlack
) -> None:
    slack.body = {"ok": True, "team": "Acme", "user": "bot", "user_id": "U1", "team_id": "T1", "url": "https://x"}
    services.credential_update(actor=actor, credential=credential, expires_at=timezone.now() + timedelta(days=3))
    assert checks.credential_check(actor=actor, credential=credential).health == Health.EXPIRING
    services.credential_update(actor=actor, credential=credential, expires_at=timezone.now() + timedelta(days=30))
    assert credential.refresh().health == Health.NOT_CHECKED
    assert checks.credential_check(actor=actor, credential=credential).health == Health.WORKING


def test_what_had_ended_and_is_given_more_time_is_asked_about_again(
    actor: Actor, credential: Credential, slack: FakeSlack
) -> None:
    now = timezone.now()
    services.credential_update(actor=actor, credential=credential, expires_at=now - timedelta(days=1))
    checks.credentials_mark_expiring(now=now)
    assert credential.refresh().health == Health.RECONNECT
    changed = services.credential_update(actor=actor, credential=credential, expires_at=None)
    assert (changed.health, changed.health_message) == (Health.NOT_CHECKED, "")
    assert changed.next_check_at is not None


def test_a_secret_that_is_refused_must_be_connected_again(
    actor: Actor, credential: Credential, slack: FakeSlack
) -> None:
    slack.body = {"ok": False, "error": "invalid_auth", "token": TOKEN}
    checked = checks.credential_check(actor=actor, credential=credential)
    assert checked.health == Health.RECONNECT
    assert checked.health_message
    assert TOKEN not in checked.health_message


def test_a_provider_out_of_order_leaves_the_health_as_it_was(
    actor: Actor, credential: Credential, slack: FakeSlack
) -> None:
    slack.status = 503
    checked = checks.credential_check(actor=actor, credential=credential)
    assert checked.health == Health.NOT_CHECKED
    assert checked.health_message.startswith("The check could not be made: ")


def test_a_secret_that_was_replaced_meanwhile_is_not_judged_by_the_old_answer(
    actor: Actor, credential: Credential, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack.body = {"ok": False, "error": "invalid_auth"}
    ask: Callable[..., Any] = checks.account.ask_account

    def replaced_meanwhile(*args: Any, **kwargs: Any) -> Any:
        services.credential_update(actor=actor, credential=credential, secret={"token": "another"})
        return ask(*args, **kwargs)

    monkeypatch.setattr(checks.account, "ask_account", replaced_meanwhile)
    assert checks.credential_check(actor=actor, credential=credential).health == Health.NOT_CHECKED


def test_a_provider_without_a_test_says_so(actor: Actor) -> None:
    own = services.credential_create(
        actor=actor, name="h", provider="my_own_shop", auth_type="bearer_token", secret={"token": TOKEN}
    )
    with pytest.raises(Invalid, match="test a step"):
        checks.credential_check(actor=actor, credential=own)


def test_a_sign_in_that_nobody_has_made_yet_has_nothing_to_test(actor: Actor, slack: FakeSlack) -> None:
    app = {"client_id": "app", "client_secret": "a client secret"}
    found = checks.credential_try(actor=actor, provider="slack", auth_type="oauth2", secret=app, settings={})
    assert (found.health, slack.seen) == (None, [])
    assert found.message == "There is no token to test yet: save it, then press Connect."
