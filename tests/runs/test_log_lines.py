"""Lines that a worker logs about a run say which run and which tenant it is, in fields of their own."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from integrations.registry import registry
from orchestrator.logs import json_formatter
from orchestrator.tenants.models import Tenant
from runs import tracing
from runs.engine.interpreter import Interpreter
from runs.traceparents import trace_id
from tests.runs.ground import drive, make_workflow, start, step
from tests.runs.test_driver import make_action

pytestmark = pytest.mark.django_db(transaction=True)

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return a function that returns what was logged, as the product writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(json_formatter())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)


async def _breaks(ctx: Any) -> None:
    await asyncio.sleep(0.05)
    raise KeyError(ctx.step_key)


def test_each_of_two_runs_at_once_has_its_own_lines(tenant: Tenant, other_tenant: Tenant, lines: Lines) -> None:
    with registry.temporarily(make_action("odd.breaks", _breaks)):
        runs = [start(make_workflow(of, step(f"in_{of.slug}", "odd.breaks"))) for of in (tenant, other_tenant)]
        drive()
    told = {line["run_id"]: line for line in lines() if line["event"].startswith("Step in_")}
    assert set(told) == {str(run.pk) for run in runs}
    for run, of in zip(runs, (tenant, other_tenant), strict=True):
        line = told[str(run.pk)]
        assert line["event"].startswith(f"Step in_{of.slug} (odd.breaks): KeyError")
        assert (line["tenant_id"], line["logger"], line["level"]) == (str(of.pk), "runs.engine.attempt", "error")
        assert "trace_id" not in line


def test_a_run_that_is_given_up_says_which_it_is(tenant: Tenant, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_self: Interpreter) -> None:
        raise RuntimeError("of our own")

    monkeypatch.setattr(Interpreter, "execute", broken)
    run = start(make_workflow(tenant, step("a")))
    drive()
    assert run.refresh().status == "failed"
    (line,) = [line for line in lines() if "given up" in line["event"]]
    assert (line["run_id"], line["tenant_id"]) == (str(run.pk), str(tenant.pk))


def test_a_traced_run_says_which_trace_it_is(
    tenant: Tenant, lines: Lines, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
    found = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    settings.ENV = dataclasses.replace(django_settings.ENV, telemetry=found)
    try:
        with registry.temporarily(make_action("odd.breaks", _breaks)):
            run = start(make_workflow(tenant, step("a", "odd.breaks")))
            drive()
    finally:
        tracing.close()
    (line,) = [line for line in lines() if line["event"].startswith("Step a")]
    assert line["trace_id"] == f"{trace_id(run.pk):032x}"


def test_what_is_logged_outside_a_run_is_about_none(lines: Lines) -> None:
    logging.getLogger("runs").warning("A line")
    assert [line.keys() & {"run_id", "tenant_id", "trace_id"} for line in lines()] == [set()]
