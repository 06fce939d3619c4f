"""The developers' page of errors: grouped by action and kind, the most frequent first, bounded."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import WorkflowVersion
from orchestrator.workflows.publishing import publish
from runs import failures as module
from runs.failures import failures
from tests.builder.ground import DOCUMENT, plain, put_run

EVENTS = "/w/acme/developers/events/"


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


def published(actor: Actor, **more: Any) -> WorkflowVersion:
    workflow = services.workflow_create(actor=actor, document={**DOCUMENT, **more})
    version = publish(actor=actor, workflow=workflow).version
    assert version is not None
    return version


def error(kind: str, path: str, message: str = "It was refused.", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "message": message, "hint": "", "retryable": False, "path": path, **more}


def test_failures_are_grouped_the_most_frequent_first(actor: Actor, viewer: User, other_tenant: Tenant) -> None:
    version, second = published(actor), published(actor, slug="second")
    put_run(version, "failed", error=error("auth", "keep", "Refused."))
    for message in ("Once.", "Twice."):
        put_run(version, "failed", error=error("input", "greet", message, hint="Look at the name."))
    put_run(second, "failed", error=error("input", "greet", "Thrice."))
    put_run(version, "failed", error=error("timeout", "", "The time was over."))
    put_run(version, "failed", error=None)
    put_run(version, "succeeded")
    found = failures(actor.tenant)
    assert (found.failed, found.looked_at, found.is_cut) == (6, 7, False)
    first, *rest = found.groups
    assert (first.action, first.kind, first.count, first.workflows, first.message) == (
        "hello.world",
        "input",
        3,
        2,
        "Thrice.",
    )
    assert {(group.action, group.kind) for group in rest} == {("data.set", "auth"), ("", "timeout"), ("", "")}
    assert failures(other_tenant).groups == ()

    client = Client()
    client.force_login(viewer)
    text = plain(client.get(EVENTS).text)
    assert "6 of 7 runs of the last seven days failed." in text
    assert text.index("wrong input Thrice.") < text.index("credential refused Refused.")


def test_what_third_parties_wrote_is_text(actor: Actor, viewer: User) -> None:
    put_run(published(actor), "failed", error=error("<b>", "greet", "<script>x</script>", hint="<img src=x>"))
    client = Client()
    client.force_login(viewer)
    text = client.get(EVENTS).text
    assert "<script>x" not in text
    assert "<img src=x" not in text


def test_a_busy_tenant_is_looked_at_in_part(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    version = published(actor)
    for number in range(6):
        put_run(version, "failed" if number < 3 else "succeeded", error=error("input", "greet"))
    monkeypatch.setattr(module, "LOOKED_AT", 4)
    found = failures(actor.tenant)
    assert (found.failed, found.looked_at, found.is_cut) == (1, 4, True)


def test_queries_do_not_grow_with_what_failed(actor: Actor, viewer: User) -> None:
    client = Client()
    client.force_login(viewer)

    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            client.get(EVENTS)
        return len(found)

    put_run(published(actor), "failed", error=error("input", "greet"))
    queries()
    with_one = queries()
    for number in range(5):
        put_run(published(actor, slug=f"more-{number}"), "failed", error=error("auth", "keep", str(number)))
    queries()
    assert queries() == with_one <= 9
