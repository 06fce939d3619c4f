"""Traces of the real product: sent by its forked workers and its web, and one trace through a kill."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress

import pytest

pytest.importorskip("opentelemetry.proto", reason="the extra otel is not installed")

from runs.traceparents import trace_id
from tests.crash.test_kill import forked
from tests.otlp_sink import sink
from tests.product import product, step, wait_for, workflow
from tests.upstream import upstream

pytestmark = pytest.mark.crash

THEIRS = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_run_whose_workers_are_killed_is_one_trace() -> None:
    host = "http://127.0.0.1"
    with (
        sink() as collector,
        upstream() as called,
        product(
            EGRESS_ALLOW=called.address.removeprefix("http://"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            OTEL_BSP_SCHEDULE_DELAY="100",
            HTTP_PROXY=f"{host}:1",
        ) as found,
    ):
        found.up()
        ask = {"method": "PUT", "url": f"{called.address}/ask?gated=0"}
        made = found.publish(workflow("Trace", [step("ask", "http.request", ask)]))
        waits = found.publish(workflow("Waits", [step("w", "flow.wait", {"seconds": 3600})]))

        named = {"traceparent": f"00-{THEIRS[0]}-{THEIRS[1]}-01"}
        run = found.api("POST", f"workflows/{made}/runs/", json={}, headers=named)["id"]
        wait_for(lambda: called.count()["/ask"] == 1, seconds=20, what="the first request")
        for position in (1, 0):
            with suppress(ProcessLookupError):
                os.kill(forked(position)(found), signal.SIGKILL)
        wait_for(lambda: called.count()["/ask"] == 2, seconds=60, what=lambda: f"the second request:\n{found.log}")
        called.gate.set()
        (root,) = wait_for(collector.roots, seconds=30, what=lambda: f"the run's span:\n{found.log}")
        wait_for(lambda: len(collector.named("ask")) == 2, seconds=10, what="both attempts' spans")
        assert {span.trace for span in collector.spans} == {f"{trace_id(int(run)):032x}"}
        assert (root.status, root.links) == ("ok", [THEIRS])
        assert [span.attributes["orchestrator.step.status"] for span in collector.named("ask")] == ["lost", "succeeded"]
        assert [call.headers["traceparent"].split("-")[1:3] for call in called.calls] == [
            [span.trace, span.span] for span in collector.named("ask")
        ]

        # The web ends what no worker drives.
        waiting = found.api("POST", f"workflows/{waits}/runs/", json={})["id"]
        state = f"runs/{waiting}/"
        wait_for(lambda: found.api("GET", state)["status"] == "waiting", seconds=20, what="the run to wait")
        found.api("POST", f"{state}cancel/", json={})
        wait_for(lambda: len(collector.roots()) == 2, seconds=20, what=lambda: f"its span:\n{found.log}")
        assert [span.attributes["orchestrator.step.status"] for span in collector.named("w")] == ["cancelled"]

        # The SDK writes no lines of its own.
        lines = [json.loads(line) for line in found.log.splitlines() if line.startswith("{")]
        assert all("opentelemetry" not in str(line.get("logger")) for line in lines)
