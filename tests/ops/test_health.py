"""What a load balancer is told: that the process answers, and whether it can do its work."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from orchestrator import health
from orchestrator.tenants.models import Tenant
from runs.models import Run, WorkerBeat
from tests.runs.ground import make_workflow, start


def late(run: Run) -> None:
    Run.unscoped.filter(pk=run.pk).update(wake_at=timezone.now() - timedelta(seconds=11))


def test_healthz_answers_without_asking_the_database(client: Client) -> None:
    # No database here: a query would raise.
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["Cache-Control"] == "no-store"
    assert not response.cookies


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_they_are_only_read(path: str, method: str, client: Client) -> None:
    assert getattr(client, method)(path).status_code == 405


@pytest.mark.django_db
def test_readyz_is_ready_where_nothing_waits(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "broker": "ok", "workers": "ok", "clock": "ok"},
    }
    assert response["Cache-Control"] == "no-store"
    assert client.head("/readyz").status_code == 200


def test_readyz_is_not_ready_while_a_run_waits_and_no_worker_lives(tenant: Tenant, client: Client) -> None:
    run = start(make_workflow(tenant))
    assert client.get("/readyz").status_code == 200, "it has only just come"
    late(run)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not_ready"
    assert response.json()["checks"]["workers"] == (
        "Runs wait and no worker drives them: start `python manage.py worker`."
    )
    beat = WorkerBeat.objects.create(name="a", host="h", pid=1, beat_at=timezone.now())
    assert client.get("/readyz").status_code == 200, "a busy worker is no reason to take the web away"
    WorkerBeat.objects.filter(pk=beat.pk).update(beat_at=timezone.now() - timedelta(seconds=11))
    assert client.get("/readyz").status_code == 503


def test_a_run_that_waits_for_a_time_to_come_is_not_late(tenant: Tenant, client: Client) -> None:
    run = start(make_workflow(tenant))
    Run.unscoped.filter(pk=run.pk).update(status="waiting", wake_at=timezone.now() + timedelta(hours=1))
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_readyz_says_that_the_database_is_away_and_tells_nothing_of_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    def away() -> str:
        raise OperationalError("connection to server at db.internal failed: password for user secret")

    monkeypatch.setattr(health, "_workers", away)
    monkeypatch.setattr(connection, "close", lambda: closed.append(True))
    response = client.get("/readyz")
    monkeypatch.undo()
    assert response.status_code == 503
    assert response.json()["checks"] == {
        "database": "The database does not answer.",
        **dict.fromkeys(("broker", "workers", "clock"), "Unknown while the database does not answer."),
    }
    assert "secret" not in json.dumps(response.json())
    assert closed, "the next request begins with a connection of its own"


@pytest.mark.django_db
def test_they_answer_over_plain_http_behind_a_proxy_that_speaks_tls(client: Client, settings: object) -> None:
    settings.SECURE_SSL_REDIRECT = True  # type: ignore[attr-defined]
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    assert client.get("/sign-in/").status_code == 301


@pytest.mark.django_db
def test_a_broker_that_is_away_is_told_and_takes_no_web_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health.settings, "ENV", replace(health.settings.ENV, redis_url="redis://127.0.0.1:9"))
    response = client.get("/readyz")
    assert response.status_code == 200
    assert "check REDIS_URL" in response.json()["checks"]["broker"]


@pytest.mark.django_db
def test_a_clock_that_is_far_away_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "database_now", lambda: timezone.now() + timedelta(minutes=2))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "set it by NTP" in response.json()["checks"]["clock"]
