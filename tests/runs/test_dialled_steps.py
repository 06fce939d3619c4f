"""Steps that speak no HTTP: they reach what a step may reach, with their credential's settings."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.services import postgres_database
from tests.smtp_server import PASSWORD, USER, SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _reach(settings: Settings) -> None:
    settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=("127.0.0.1",))


def made(tenant: Tenant, provider: str, settings: dict[str, Any], **secret: str) -> dict[str, int]:
    credential = vault.credential_create(
        actor=system_actor(tenant), name="ours", provider=provider, auth_type="basic", secret=secret, settings=settings
    )
    return {"ours": credential.pk}


def ran(tenant: Tenant, action: str, bindings: dict[str, int], payload: Any, **inputs: Any) -> Any:
    asks = step("ask", action, credential="ours", inputs=inputs)
    started = start(make_workflow(tenant, asks, bindings=bindings), payload)
    drive()
    (row,) = rows(started)
    return row


@pytest.mark.usefixtures("_reach")
def test_a_query_gets_data_as_parameters_and_never_as_sql(tenant: Tenant) -> None:
    with postgres_database() as url:
        there = {"host": "127.0.0.1", "database": urlsplit(url).path[1:], "tls": "disable"}
        bindings = made(tenant, "postgres", there, username="postgres", password="")
        given = {"name": "'; DROP TABLE x; --", "ids": [1, 2]}
        row = ran(
            tenant, "postgres.executeQuery", bindings, given,
            sql="SELECT $1::text AS name, $2::int[] AS ids, '{{1}}' AS t",
            parameters=["{{ trigger.body.name }}", "{{ trigger.body.ids }}"],
        )  # fmt: skip
    assert row.status == "succeeded", row.error
    assert row.output["rows"] == [{"name": "'; DROP TABLE x; --", "ids": [1, 2], "t": "{{1}}"}]


@pytest.mark.usefixtures("_reach")
def test_a_mail_is_sent_by_the_server_of_its_credential(tenant: Tenant) -> None:
    with SmtpServer() as server:
        bindings = made(tenant, "email", server.settings, username=USER, password=PASSWORD)
        row = ran(
            tenant, "email.send", bindings, "Ada", to="bob@example.com", subject="Hi {{ trigger.body }}", text="x"
        )
    assert row.status == "succeeded", row.error
    assert b"Subject: Hi Ada\r\n" in server.mails[0].data
    assert row.output["recipients"] == ["bob@example.com"]


def test_what_steps_may_not_reach_is_not_dialled(tenant: Tenant) -> None:
    with SmtpServer() as server:
        bindings = made(tenant, "email", server.settings, username=USER, password=PASSWORD)
        row = ran(tenant, "email.send", bindings, "Ada", to="bob@example.com", subject="Hi", text="x")
    assert (row.status, row.failure_kind, server.commands) == ("failed", "permanent", [])
    assert "may not reach" in row.error["message"]
    assert PASSWORD not in json.dumps(row.error)
