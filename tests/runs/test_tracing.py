"""Traces: what a collector is sent of runs, what upstreams are told, and that neither is needed."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from pytest_django import Settings

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
pytest.importorskip("opentelemetry.proto", reason="the extra otel is not installed")

from integrations.registry import registry
from integrations.sdk import Permanent
from orchestrator import env
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import Tenant
from orchestrator.vault.services import credential_create
from runs import heartbeat, services, tracing
from runs.models import Run
from runs.states import RunKind
from runs.traceparents import span_id, trace_id
from tests.otlp_sink import Sink, sink
from tests.runs.ground import drive, driving, make_workflow, rows, start, step, until
from tests.runs.test_driver import make_action
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)

THEIRS = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary-5d1c0ffee5ecret"

Turn = Callable[..., None]


@pytest.fixture
def called(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        host = found.address.removeprefix("http://")
        settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(host,))
        yield found


@pytest.fixture
def turn_on(called: Upstream, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turn]:
    """Return a function that has traces sent to an address."""
    # Nothing but the flush at a driver's end may have it sent.
    variables = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": ""}

    def turn(address: str, **more: str) -> None:
        found = {**variables, "OTEL_EXPORTER_OTLP_ENDPOINT": address, **more}
        for name, value in found.items():
            monkeypatch.setenv(name, value)
        telemetry = {name: value for name, value in found.items() if name.startswith("OTEL_")}
        settings.ENV = dataclasses.replace(django_settings.ENV, telemetry=telemetry)

    yield turn
    tracing.close()


@pytest.fixture
def collector(turn_on: Turn) -> Iterator[Sink]:
    with sink() as found:
        turn_on(found.address)
        yield found
        tracing.close()


def trace_of(run: Run) -> str:
    return f"{trace_id(run.pk):032x}"


def span_of(run: Run, path: str = "", number: int = 0) -> str:
    return f"{span_id(run.pk, path, number):016x}"


def http(key: str, address: str, **config: Any) -> dict[str, Any]:
    inputs = {"url": address, **config.pop("inputs", {})}
    return step(key, "http.request", inputs=inputs, **config)


RETRY = {"max_attempts": 3, "delay": 0.01, "max_delay": 0.01}


def test_a_run_is_a_trace_with_a_span_for_each_attempt(tenant: Tenant, called: Upstream, collector: Sink) -> None:
    document = (
        step("first"),
        http("again", f"{called.address}/again?away=1", retry=RETRY),
        step("each", "flow.foreach", inputs={"items": [1, 2]})
        | {"lanes": {"body": [step("inside"), step("which", "flow.if", inputs={"condition": True})
                            | {"lanes": {"then": [step("deep")], "else": []}}]}},
        step("broken", inputs={"values": "{{ steps.none.output.x }}"}),
    )  # fmt: skip
    run = start(make_workflow(tenant, *document, slug="orders"), {"secret": CANARY})
    drive()
    run.refresh()
    assert run.status == "failed"
    assert len(collector.spans) == len(rows(run)) + 1
    assert {span.trace for span in collector.spans} == {trace_of(run)}
    assert {span.service for span in collector.spans} == {"orchestrator"}
    (root,) = collector.roots()
    assert (root.span, root.name, root.status) == (span_of(run), "run orders", "error")
    assert root.attributes == {
        "orchestrator.run.id": str(run.pk),
        "orchestrator.tenant.id": str(tenant.pk),
        "orchestrator.tenant.slug": tenant.slug,
        "orchestrator.workflow.id": str(run.workflow_id),
        "orchestrator.workflow.slug": "orders",
        "orchestrator.workflow.version": 1,
        "orchestrator.run.status": "failed",
        "orchestrator.run.kind": "live",
        "orchestrator.trigger.type": "manual",
        "orchestrator.failed_step": "broken",
        "error.type": run.failure_kind,
    }
    assert run.finished_at is not None
    assert root.seconds == pytest.approx((run.finished_at - run.created_at).total_seconds(), abs=0.001)
    parents = {span.attributes["orchestrator.step.path"]: span.parent for span in collector.spans if span.parent}
    assert parents == {
        "first": root.span,
        "again": root.span,
        "each": root.span,
        "broken": root.span,
        **{f"each[{index}].{key}": span_of(run, "each", 1) for index in (0, 1) for key in ("inside", "which")},
        **{f"each[{index}].deep": span_of(run, f"each[{index}].which", 1) for index in (0, 1)},
    }
    assert [(span.status, span.attributes.get("error.type")) for span in collector.named("again")] == [
        ("error", "transient"),
        ("ok", None),
    ]
    second = collector.named("again")[1]
    assert second.attributes["orchestrator.action"] == "http.request"
    assert second.attributes["orchestrator.provider"] == "http"
    (broken,) = collector.named("broken")
    assert (broken.status, broken.message) == ("error", rows(run, "broken")[0].error["message"])
    # A proxy that the environment names for others was not asked, or nothing would be here.
    assert {found["path"] for found in collector.headers} == {"/v1/traces"}
    assert not any(CANARY.encode() in body for body in collector.bodies)


def test_upstreams_are_told_which_attempt_asks(tenant: Tenant, called: Upstream, collector: Sink) -> None:
    own = {"traceparent": f"00-{THEIRS[0]}-{THEIRS[1]}-00"}
    document = (
        http("again", f"{called.address}/again?away=1", retry=RETRY),
        http("own", f"{called.address}/own", inputs={"headers": own}),
    )
    trigger = {
        **services.manual_trigger(None),
        "type": "webhook",
        "headers": {**own, "tracestate": "vendor=1", "baggage": "user=1"},
    }
    workflow = make_workflow(tenant, *document)
    assert workflow.published_version is not None
    run = services.run_start(
        tenant=tenant, workflow=workflow, version=workflow.published_version, trigger=trigger, trigger_type="webhook"
    )
    drive()
    first, second, third = called.calls
    assert first.headers["traceparent"] == f"00-{trace_of(run)}-{span_of(run, 'again', 1)}-01"
    assert second.headers["traceparent"] == f"00-{trace_of(run)}-{span_of(run, 'again', 2)}-01"
    assert [span.span for span in collector.named("again")] == [span_of(run, "again", 1), span_of(run, "again", 2)]
    assert third.headers["traceparent"] == own["traceparent"]
    assert not {"tracestate", "baggage"} & {name for call in called.calls for name in call.headers}
    # Whoever sent the trigger chose its ids: the run has a trace of its own, with a link.
    (root,) = collector.roots()
    assert (root.trace, root.links) == (trace_of(run), [THEIRS])


def test_a_called_run_links_the_step_that_called_it(tenant: Tenant, collector: Sink) -> None:
    make_workflow(tenant, step("a"), slug="other")
    caller = start(make_workflow(tenant, step("c", "workflow.call", inputs={"workflow": "other"})))
    drive()
    (child,) = Run.objects.for_tenant(tenant).filter(parent=caller)
    root = next(span for span in collector.roots() if span.span == span_of(child))
    assert root.links == [(trace_of(caller), span_of(caller, "c", 1))]
    assert [span.span for span in collector.named("c")] == [span_of(caller, "c", 1)]


def test_a_takeover_goes_on_with_the_trace(tenant: Tenant, called: Upstream, collector: Sink) -> None:
    # The first request is never answered while its driver lives; the second is, since another one gets it.
    document = (step("a"), http("b", f"{called.address}/b?gated=0"), step("c"))
    run = start(make_workflow(tenant, *document))
    with driving() as lost:
        until(lambda: called.count()["/b"] == 1)
        until(lambda: any(row.path == "b" for row in rows(run)))
        # As if it had died: it claims nothing more, and what it still writes of this run is refused.
        lost.slots.close()
        gone = {"lease_owner": "gone", "fence": 5, "lease_expires_at": timezone.now() - timedelta(seconds=1)}
        assert Run.unscoped.filter(pk=run.pk, status="running").update(**gone)
        with driving():
            until(lambda: called.count()["/b"] == 2)
            called.gate.set()
            until(lambda: run.refresh().status == "succeeded")
        lost.request_stop()
    assert {span.trace for span in collector.spans} == {trace_of(run)}
    assert [span.status for span in collector.named("b")] == ["error", "ok"]
    assert [span.attributes["orchestrator.step.status"] for span in collector.named("b")] == ["lost", "succeeded"]
    assert len(collector.named("a")) == len(collector.named("c")) == len(collector.roots()) == 1
    assert {call.headers["traceparent"].split("-")[1] for call in called.calls} == {trace_of(run)}


def test_a_run_that_is_stopped_in_the_moment_of_its_end_is_told_of(
    tenant: Tenant, collector: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The heart finds a run that has just ended to be nobody's any more, and stops its task.
    monkeypatch.setattr(heartbeat, "WATCH_SECONDS", 0.02)
    workflow = make_workflow(tenant, step("a"))
    runs = [start(workflow) for _ in range(100)]
    drive()
    assert {root.span for root in collector.roots()} == {span_of(run) for run in runs}


def test_a_trace_that_cannot_be_told_stops_no_run(
    tenant: Tenant, collector: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing.RunTrace, "_parent", lambda *_: 1 / 0)
    run = start(make_workflow(tenant, step("a")))
    drive()
    assert run.refresh().status == "succeeded"


def test_a_message_with_half_a_character_is_sent(tenant: Tenant, collector: Sink) -> None:
    async def fails(_ctx: Any) -> None:
        raise Permanent("no \ud800 here")

    with registry.temporarily(make_action("odd.fails", fails)):
        start(make_workflow(tenant, step("a", "odd.fails")))
        drive()
    (span,) = collector.named("a")
    assert (span.status, span.message[:3]) == ("error", "no ")


def test_ids_are_the_same_in_every_process_and_release() -> None:
    assert f"{trace_id(1):032x}" == "138b25de5a45fcef4868ddea431519af"
    assert f"{span_id(1, 'each[3].send', 2):016x}" == "fe171bf3ce1f341f"


def test_a_run_that_is_cancelled_while_it_waits_is_told_of(tenant: Tenant, collector: Sink) -> None:
    run = start(make_workflow(tenant, step("w", "flow.wait", inputs={"seconds": 3600})))
    drive()
    assert collector.spans == []
    services.run_cancel(actor=system_actor(tenant), run=run.refresh())
    tracing.close()
    (root,) = collector.roots()
    assert (root.span, root.status) == (span_of(run), "unset")
    assert root.attributes["orchestrator.run.status"] == "cancelled"
    assert root.attributes["orchestrator.workflow.slug"] == "test"
    assert [(span.parent, span.attributes["orchestrator.step.status"]) for span in collector.named("w")] == [
        (root.span, "cancelled")
    ]


def test_an_attempt_whose_next_one_is_called_off_is_told_of_once(
    tenant: Tenant, called: Upstream, collector: Sink
) -> None:
    later = {"max_attempts": 3, "delay": 2.9, "max_delay": 2.9}
    run = start(make_workflow(tenant, http("a", f"{called.address}/a?away=9", retry=later)))
    with driving():
        until(lambda: rows(run, "a") and rows(run, "a")[0].retry_at)
        services.run_cancel(actor=system_actor(tenant), run=run.refresh())
        until(lambda: run.refresh().status == "cancelled")
    assert rows(run, "a")[0].retry_at is None
    assert [span.status for span in collector.named("a")] == ["error"]
    assert collector.roots()[0].attributes["orchestrator.run.status"] == "cancelled"


def test_no_span_has_a_secret(tenant: Tenant, called: Upstream, collector: Sink) -> None:
    credential = credential_create(
        actor=system_actor(tenant), name="key", provider="http", auth_type="bearer_token", secret={"token": CANARY}
    )
    called.answers["/echo"] = {"error": f"no such key {CANARY}", "message": f"no such key {CANARY}"}
    ask = http("ask", f"{called.address}/echo?away=9", credential="key", on_error="continue")
    code = step("code", "code.python", inputs={"code": f"raise ValueError('{CANARY}')"})
    run = start(make_workflow(tenant, ask, code, bindings={"key": credential.pk}), {"body": CANARY})
    drive()
    assert called.calls[0].headers["authorization"] == f"Bearer {CANARY}"
    for path in ("ask", "code"):
        assert collector.named(path)[0].message == rows(run, path)[0].error["message"]
    assert collector.roots()[0].status == "error"
    assert not any(CANARY.encode() in body for body in collector.bodies)


def test_a_sampler_leaves_traces_out_and_says_so_to_upstreams(tenant: Tenant, called: Upstream, turn_on: Turn) -> None:
    with sink() as found:
        turn_on(found.address, OTEL_TRACES_SAMPLER="traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
        run = start(make_workflow(tenant, http("a", f"{called.address}/a")))
        drive()
        assert run.refresh().status == "succeeded"
        assert called.calls[0].headers["traceparent"] == f"00-{trace_of(run)}-{span_of(run, 'a', 1)}-00"
        tracing.close()
        assert found.spans == []


@pytest.mark.parametrize("kind", ["away", "broken", "slow"])
def test_a_collector_that_is_away_costs_runs_nothing(
    tenant: Tenant, turn_on: Turn, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with sink() as found:
        found.status, found.slow = 400, 3.0 if kind == "slow" else 0.0
        few = {"OTEL_EXPORTER_OTLP_TIMEOUT": "4", "OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
        turn_on("http://127.0.0.1:1" if kind == "away" else found.address, **few)
        workflow = make_workflow(tenant, *(step(f"s{index}") for index in range(10)))
        runs = [start(workflow) for _ in range(20)]
        began = time.monotonic()
        with caplog.at_level(logging.INFO):
            drive()
            assert time.monotonic() - began < 8, "the end waits for the last spans, and not for long"
            tracing.close()
    assert {run.refresh().status for run in runs} == {"succeeded"}
    told = [record for record in caplog.records if record.name == "runs.spans" or "opentelemetry" in record.name]
    assert len(told) <= 1
    if kind != "slow":
        assert "Traces cannot be sent" in told[0].getMessage()


def test_variables_that_the_sdk_refuses_stop_no_run(
    tenant: Tenant, turn_on: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    turn_on("http://127.0.0.1:1", OTEL_BSP_MAX_QUEUE_SIZE="-1")
    run = start(make_workflow(tenant, step("a")))
    drive()
    assert run.refresh().status == "succeeded"
    assert "OTEL_" in caplog.text


def test_without_a_collector_nothing_is_traced(
    tenant: Tenant, called: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing.RunTrace, "__init__", lambda *_: pytest.fail("a trace without a collector"))
    run = start(make_workflow(tenant, http("a", f"{called.address}/a")))
    drive()
    assert run.refresh().status == "succeeded"
    assert "traceparent" not in called.calls[0].headers


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    code = (
        "import sys, django; django.setup(); import runs.driver, runs.cluster, runs.warmth, orchestrator.urls\n"
        "from runs import tracing; assert tracing.here() is None\n"
        "print(*(name for name in sys.modules if name.startswith('opentelemetry')))"
    )
    clean = {"PATH": "/usr/bin", "PYTHONPATH": str(env.ROOT), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_with_a_collector_and_without_the_package_the_start_stops_with_one_sentence() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.exporter.otlp.proto.http'] = None\n"
        "from orchestrator.env import ConfigurationError\n"
        "try:\n    import orchestrator.settings\nexcept ConfigurationError as error: print(error)"
    )
    clean = {"PATH": "/usr/bin", "PYTHONPATH": str(env.ROOT), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, timeout=120)
    assert done.stdout == (
        "OTEL_EXPORTER_OTLP_ENDPOINT needs the package opentelemetry.exporter.otlp.proto.http, which is not "
        "installed: run `pip install 'orchestrator[otel]'`.\n"
    )
    with pytest.raises(env.ConfigurationError, match=r"^X needs"):
        env.require_driver("X", "no_such_package.inside.it", "x")


def test_a_step_that_is_tested_alone_is_below_its_run(tenant: Tenant, collector: Sink) -> None:
    document = step("each", "flow.foreach", inputs={"items": [1]}) | {"lanes": {"body": [step("inside")]}}
    run = start(make_workflow(tenant, document), kind=RunKind.TEST, seed={"only": "inside"})
    drive()
    assert run.refresh().status == "succeeded"
    assert [span.parent for span in collector.named("inside")] == [span_of(run)]
