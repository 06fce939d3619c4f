"""A step whose action is not registered runs by what its inputs are, and the run says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from orchestrator.tenants.models import Tenant
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def called(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        host = found.address.removeprefix("http://")
        settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(host,))
        yield found


def test_a_url_is_called(tenant: Tenant, called: Upstream) -> None:
    called.answers["/weather"] = {"degrees": 12}
    inputs = {"url": f"{called.address}/weather", "method": "POST", "body": {"city": "Oslo"}, "units": "left out"}
    started = start(make_workflow(tenant, step("odd", "weather.get", inputs=inputs)))
    drive()
    (row,) = rows(started)
    assert (row.status, row.action, row.resolved_as) == ("succeeded", "weather.get", "http")
    assert row.output["body"] == {"degrees": 12}
    (call,) = called.calls
    assert (call.method, call.json()) == ("POST", {"city": "Oslo"})


def test_with_neither_a_url_nor_code_the_step_fails_and_names_the_action(tenant: Tenant) -> None:
    started = start(make_workflow(tenant, step("odd", "weather.get", inputs={"city": "Oslo"})))
    drive()
    (row,) = rows(started)
    assert (row.status, row.failure_kind) == ("failed", "input")
    assert "weather.get" in row.error["message"]


def test_code_in_an_unknown_language_fails_in_words(tenant: Tenant) -> None:
    inputs = {"code": "puts 1", "language": "ruby"}
    started = start(make_workflow(tenant, step("odd", "weather.get", inputs=inputs)))
    drive()
    (row,) = rows(started)
    assert (row.status, row.failure_kind) == ("failed", "input")
