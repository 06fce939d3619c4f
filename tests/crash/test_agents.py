"""An agent whose workers are killed in its middle: no tool is used twice, no answer is asked for again."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import Any, Final

import pytest

from tests.models import PATH, call, completions
from tests.product import Product, product, step, wait_for, workflow
from tests.upstream import Call, Upstream, upstream

pytestmark = pytest.mark.crash

HEALS_SECONDS: Final = 60
SCRIPT: Final = ([call("look", 1), call("put", 2, body={"a": 1})], [call("send", 3, body={"b": 2})], "All is done.")


def agent(called: Upstream, **inputs: Any) -> dict[str, Any]:
    def tool(key: str, method: str) -> dict[str, Any]:
        url = f"{called.address}/{{{{ run.id }}}}/{key}"
        return step(key, "http.request", {"method": method, "url": url})

    given = {"provider": "endpoint", "endpoint": f"{called.address}/v1", "model": "scripted", "prompt": "Do it."}
    tools = [tool("look", "GET"), tool("put", "PUT"), tool("send", "POST")]
    return {**step("agent", "ai.agent", {**given, **inputs}), "lanes": {"tools": tools}}


def kill_the_drivers(installation: Product) -> None:
    """Kill -9 whatever drives runs, or waits for work to drive."""
    with closing(sqlite3.connect(installation.folder / "orchestrator.sqlite3", timeout=20)) as database:
        told = {int(pid) for (pid,) in database.execute("SELECT pid FROM runs_workerbeat")}
    drivers = told & {process.pid for process in installation.processes()}
    assert drivers
    for pid in drivers:
        os.kill(pid, signal.SIGKILL)


def test_an_agent_goes_on_from_its_record_after_kill_9_and_another_stops_at_its_budget() -> None:
    answer, asked, gate = completions(SCRIPT), Counter[int](), threading.Event()

    def model(question: Call) -> Any:
        turn = sum(message["role"] == "assistant" for message in question.json()["messages"])
        asked[turn] += 1
        if turn == 1 and asked[turn] == 1:
            gate.wait(30)
        return answer(question)

    with upstream() as called, product(EGRESS_ALLOW=called.address.removeprefix("http://")) as installation:
        called.answers[PATH] = model
        installation.up()
        document = workflow("Agent", [agent(called, approval="writes")], output="{{ steps.agent.output }}")
        started = installation.api("POST", f"workflows/{installation.publish(document)}/runs/", json={})["id"]

        def state() -> Any:
            return installation.api("GET", f"runs/{started}/")

        def approve(path: str) -> None:
            def waits() -> bool:
                return (state()["waiting_for"] or {}).get("path") == path

            wait_for(waits, seconds=HEALS_SECONDS, what=lambda: f"a question at {path}: {state()}")
            installation.api("POST", f"runs/{started}/resolve/", json={"path": path, "decision": "approved"})

        approve("agent[2].agent_approval")
        wait_for(lambda: asked[1], seconds=HEALS_SECONDS, what="the second question")
        kill_the_drivers(installation)
        gate.set()
        approve("agent[4].agent_approval")
        wait_for(lambda: state()["finished_at"], seconds=HEALS_SECONDS, what=lambda: f"an end: {state()}")

        run = state()
        assert (run["status"], run["output"]["text"]) == ("succeeded", "All is done.")
        assert run["output"]["usage"]["tool_calls"] == 3
        used = called.count()
        assert {key: used[f"/{started}/{key}"] for key in ("look", "put", "send")} == {"look": 1, "put": 1, "send": 1}
        # Only the question that was under way is asked again.
        assert asked == {0: 1, 1: 2, 2: 1}
        assert {row["path"]: row["status"] for row in run["steps"]} == {
            "agent": "succeeded",
            **{f"agent[{item}].agent_model": "succeeded" for item in (0, 3, 5)},
            **{f"agent[{item}].agent_{row}": "succeeded" for item in (2, 4) for row in ("proposed", "approval")},
            **{f"agent[{item}].{key}": "succeeded" for item, key in ((1, "look"), (2, "put"), (4, "send"))},
        }

        short = workflow(
            "Short", [agent(called, max_tool_calls=2, on_budget="stop")], output="{{ steps.agent.output }}"
        )
        bounded = installation.api(
            "POST", f"workflows/{installation.publish(short)}/runs/?wait=30", json={}, timeout=60
        )
        assert (bounded["status"], bounded["output"]["stopped"]) == ("succeeded", "budget")
        assert bounded["output"]["limit"] == "max_tool_calls"
        assert called.count()[f"/{bounded['id']}/send"] == 0
