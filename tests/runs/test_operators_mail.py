"""A mail step without a credential goes out by the operator's server, from the operator's address alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.services import check, workflow_create
from runs.models import Run
from runs.selectors import run_document
from tests.runs.ground import drive, make_workflow, start
from tests.smtp_server import PASSWORD, USER, SmtpServer

pytestmark = pytest.mark.django_db(transaction=True)

MAIL: dict[str, Any] = {
    "key": "mail",
    "action": "email.send",
    "config": {
        "inputs": {"to": "bob@example.com", "subject": "Hello", "text": "It left."},
        "retry": {"max_attempts": 1},
    },
}


@pytest.fixture
def server(settings: Settings) -> Iterator[SmtpServer]:
    with SmtpServer() as found:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", found.port
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = USER, PASSWORD
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.DEFAULT_FROM_EMAIL = "Flows <flows@example.com>"
        settings.ENV = dataclasses.replace(settings.ENV, egress_allow=("127.0.0.1",))
        yield found


def ran(tenant: Tenant, **more: Any) -> Run:
    config = {**MAIL["config"], "inputs": {**MAIL["config"]["inputs"], **more}}
    run = start(make_workflow(tenant, {**MAIL, "config": config}, slug=f"mail-{len(more.get('from', ''))}"))
    drive()
    return run.refresh()


def test_it_is_sent_from_the_operators_address(tenant: Tenant, server: SmtpServer) -> None:
    run = ran(tenant)
    assert (run.status, run.error) == ("succeeded", None)
    (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("flows@example.com", ("bob@example.com",))
    assert b"From: Flows <flows@example.com>" in mail.data
    assert PASSWORD not in json.dumps(run_document(run), default=str)


def test_another_sender_needs_a_credential(tenant: Tenant, server: SmtpServer) -> None:
    run = ran(tenant, **{"from": "boss@example.com"})
    assert run.status == "failed"
    assert "sends from flows@example.com alone" in run.error["message"]
    assert ran(tenant, **{"from": "Team <FLOWS@example.com>"}).status == "succeeded"
    assert [mail.sender for mail in server.mails] == ["FLOWS@example.com"]


def test_a_relay_without_a_sign_in_is_asked_for_none(tenant: Tenant, server: SmtpServer, settings: Settings) -> None:
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    server.offers = ()
    assert ran(tenant).status == "succeeded"
    assert not [command for command in server.commands if command.startswith("AUTH")]


def test_a_publish_asks_for_a_credential_where_the_operator_has_no_server(
    tenant: Tenant, editor: User, settings: Settings
) -> None:
    actor = actor_for_user(editor, "acme")
    made = workflow_create(actor=actor, document={"name": "Mails", "steps": [MAIL]})
    settings.EMAIL_HOST = ""
    assert "credential_missing" in [each.code for each in check(made, actor=actor)]
    settings.EMAIL_HOST = "mail.example.com"
    assert "credential_missing" not in [each.code for each in check(made, actor=actor)]


def test_without_either_the_run_says_what_to_do(tenant: Tenant, settings: Settings) -> None:
    settings.EMAIL_HOST = ""
    run = ran(tenant)
    assert (run.status, run.error["kind"]) == ("failed", "auth")
