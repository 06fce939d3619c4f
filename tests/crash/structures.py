"""Workflows of every control structure, each with a call that is under way when its worker is killed.

``call`` steps ask the upstream at ``/<run>/<key>``, iterations at ``/<run>/<key>-<index>``. ``gated=0`` keeps a call
without an answer until the upstream's gate is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.crash.chaos import held
from tests.product import step

LOST_THEN_DONE: Final = ["lost", "succeeded"]
DONE: Final = ["succeeded"]
# Longer than a driver keeps a wait in its memory, and than it takes to start every run.
WAIT_SECONDS: Final = 7.0
TIME_LIMIT: Final = 9.0


@dataclass(frozen=True, kw_only=True)
class Structure:
    """One workflow, and what has to be true of its run in the end.

    ``middle`` are the calls that are under way at the kill, ``parked`` that the run waits then and has no driver.
    ``rows`` are statuses of a path's attempts in order; a path that is not named was done at once. ``calls`` is how
    often the upstream was asked, once where it is not named. ``lines`` are the words of lines of the run's page, by
    path, of those that are no step outside of loops; ``said`` are sentences of it.
    """

    steps: Sequence[Mapping[str, Any]]
    paths: Sequence[str]
    middle: Sequence[str] = ("mid",)
    parked: bool = False
    status: str = "succeeded"
    kind: str | None = None
    output: Any = None
    expected: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"mid": LOST_THEN_DONE})
    calls: Mapping[str, int] = field(default_factory=lambda: {"mid": 2})
    never: Sequence[str] = ()
    lines: Mapping[str, str] = field(default_factory=dict)
    said: Sequence[str] = ()

    def attempts(self) -> dict[str, list[str]]:
        return {path: list(self.rows.get(path, DONE)) for path in self.paths}


def structures(address: str) -> dict[str, Structure]:
    """Return every structure by the slug of its workflow; ``address`` is the upstream's."""
    return {**_lanes(address), **_loops(address), **_waits(address), **_rest(address), **_lost(address)}


def call(address: str, key: str, method: str = "POST", *, at: str = "", options: str = "", **more: Any) -> Any:
    """Return a step that calls the upstream, with a name that the run's page shows."""
    body = more.pop("inputs", {})
    url = f"{address}/{{{{ run.id }}}}/{key}{at}?{options}"
    return {**step(key, "http.request", {"method": method, "url": url, **body}, **more), "name": key}


def _lanes(address: str) -> dict[str, Structure]:
    def post(key: str, **more: Any) -> Any:
        return call(address, key, **more)

    def mid(key: str = "mid") -> Any:
        return call(address, key, "PUT", options="gated=0")

    then = [post("first"), mid(), post("last")]
    check = held("check", "flow.if", {"condition": "{{ trigger.body.n > 1 }}"}, then=then, **{"else": [post("other")]})
    kind = held("kind", "flow.switch", {"value": "{{ trigger.body.plan }}"}, a=[post("in_a")], b=then, default=[])
    left, right = [post("l1"), mid(), post("l3")], [post("r1"), mid("mid2"), post("r3")]
    both = held("par", "flow.parallel", {}, left=left, right=right)
    two = {"mid": LOST_THEN_DONE, "mid2": LOST_THEN_DONE}
    return {
        "if": Structure(
            steps=[check, post("after")], paths=["check", "first", "mid", "last", "after"], never=["other"],
            output="{{ steps.check.output.lane }}", expected="then", said=["Then", "Not taken: Else"],
        ),
        "switch": Structure(
            steps=[kind, post("after")], paths=["kind", "first", "mid", "last", "after"], never=["in_a"],
            output="{{ steps.kind.output }}", expected={"lane": "b"}, said=["b", "Not taken: a, Anything else"],
        ),
        "parallel": Structure(
            steps=[both, post("after")], paths=["par", "l1", "mid", "l3", "r1", "mid2", "r3", "after"], rows=two,
            middle=["mid", "mid2"], calls={"mid": 2, "mid2": 2}, said=["left", "right"],
            output="{{ steps.par.output.left.status + steps.par.output.right.status }}", expected=400,
        ),
    }  # fmt: skip


def _loops(address: str) -> dict[str, Structure]:
    def put(key: str, first: int) -> Any:
        """Return a call that is kept waiting from an item on."""
        return call(address, key, "PUT", at="-{{ index }}", options=f"gated={{{{ 0 if index >= {first} else 9 }}}}")

    body = [call(address, "send", at="-{{ index }}"), put("mid", 2)]
    each = held("each", "flow.foreach", {"items": list("abcde"), "concurrency": 2}, body=body)
    lanes = {"left": [put("mid", 0)], "right": [call(address, "side", at="-{{ index }}")]}
    inside = held("par", "flow.parallel", {}, **lanes)
    deep = held("each", "flow.foreach", {"items": [1, 2], "concurrency": 2}, body=[inside])
    stop = step("halt", "flow.stop", {"output": {"at": "{{ index }}"}})
    enough = held("enough", "flow.if", {"condition": "{{ index == 1 }}"}, then=[stop], **{"else": []})
    until = held("each", "flow.foreach", {"items": list("abc")}, body=[put("mid", 1), enough])
    return {
        "foreach": Structure(
            steps=[each, call(address, "after")], middle=["mid-2", "mid-3"],
            paths=["each", *(f"each[{item}].{key}" for item in range(5) for key in ("send", "mid")), "after"],
            rows={"each[2].mid": LOST_THEN_DONE, "each[3].mid": LOST_THEN_DONE}, calls={"mid-2": 2, "mid-3": 2},
            output="{{ count(steps.each.output) }}", expected=5, said=["5 of 5 done"],
            lines={f"each[{item}]": "Succeeded" for item in range(5)},
        ),
        "nested": Structure(
            steps=[held("check", "flow.if", {"condition": True}, then=[deep], **{"else": []}), call(address, "after")],
            paths=["check", "each", *(f"each[{n}].{key}" for n in range(2) for key in ("par", "mid", "side")), "after"],
            middle=["mid-0", "mid-1"], calls={"mid-0": 2, "mid-1": 2}, said=["Then", "2 of 2 done", "left", "right"],
            rows={"each[0].mid": LOST_THEN_DONE, "each[1].mid": LOST_THEN_DONE},
            lines={"each[0]": "Succeeded", "each[1]": "Succeeded", "each[1].par": "Succeeded"},
        ),
        "stop": Structure(
            steps=[until, call(address, "never")], middle=["mid-1"], never=["never", "mid-2"], calls={"mid-1": 2},
            paths=["each", "each[0].mid", "each[0].enough", "each[1].mid", "each[1].enough", "each[1].halt"],
            rows={"each[1].mid": LOST_THEN_DONE}, expected={"at": 1}, said=["1 step was not reached: never"],
            lines={"each[1]": "Succeeded", "each[1].halt": "Succeeded"},
        ),
    }  # fmt: skip


def _waits(address: str) -> dict[str, Structure]:
    def beside(*steps: Any) -> list[Any]:
        """Return lanes, so that the run has a driver while these steps wait."""
        other = [call(address, "mid", "PUT", options="gated=0")]
        return [held("par", "flow.parallel", {}, left=list(steps), right=other), call(address, "after")]

    def told(key: str) -> Any:
        return call(address, "told", inputs={"body": {"url": f"{{{{ run.links.{key} }}}}"}})

    def alone(*steps: Any) -> list[Any]:
        return [*steps, call(address, "after")]

    wait = step("pause", "flow.wait", {"seconds": WAIT_SECONDS})
    ask, back = step("ok", "flow.approve", {"message": "Go on?"}), step("back", "flow.callback", {})
    by = "{{ steps.ok.output.decision }}"
    one = step("one", "workflow.call", {"workflow": "callee", "payload": {"n": 7}})
    retry = {"max_attempts": 4, "delay": WAIT_SECONDS, "jitter": False}
    flaky = call(address, "flaky", "GET", options="away=1", retry=retry)
    inside, flaky_twice = ["par", "mid", "after"], {"mid": LOST_THEN_DONE, "flaky": ["failed", "succeeded"]}
    return {
        "wait": Structure(steps=beside(wait, call(address, "go")), paths=[*inside, "pause", "go"]),
        "wait-parked": Structure(
            steps=alone(call(address, "before"), wait), paths=["before", "pause", "after"], middle=[], parked=True
        ),
        "approve": Structure(
            steps=beside(ask, call(address, "go")), paths=[*inside, "ok", "go"], output=by, expected="approved"
        ),
        "approve-parked": Structure(
            steps=alone(ask), paths=["ok", "after"], middle=[], parked=True, output=by, expected="approved"
        ),
        "callback": Structure(
            steps=beside(told("back"), back, call(address, "go")), paths=[*inside, "told", "back", "go"],
            output="{{ steps.back.output.body.n }}", expected=5,
        ),
        "callback-parked": Structure(
            steps=alone(told("back"), back), paths=["told", "back", "after"], middle=[], parked=True,
            output="{{ steps.back.output.body.n }}", expected=5,
        ),
        "call": Structure(
            steps=alone(call(address, "before"), one), paths=["before", "one", "after"], middle=[], parked=True,
            output="{{ steps.one.output }}", expected={"got": 7}, said=["Called run, succeeded:"],
        ),
        "callee": Structure(
            steps=[call(address, "deep", "PUT", options="gated=0")], middle=["deep"], paths=["deep"],
            rows={"deep": LOST_THEN_DONE}, calls={"deep": 2}, output={"got": "{{ trigger.body.n }}"},
            expected={"got": 7},
        ),
        "retry-pause": Structure(
            steps=beside(flaky, call(address, "go")), paths=[*inside, "flaky", "go"], rows=flaky_twice,
            calls={"mid": 2, "flaky": 2},
        ),
    }  # fmt: skip


def _rest(address: str) -> dict[str, Structure]:
    mid, after = call(address, "mid", "PUT", options="gated=0"), call(address, "after")
    rows = [{"n": 3, "k": "a"}, {"n": 1, "k": "b"}, {"n": 2, "k": "a"}, {"n": 3, "k": "a"}]
    some = step("some", "data.filter", {"items": rows, "where": "{{ item.n > 1 }}"})
    in_order = step("in_order", "data.sort", {"items": "{{ steps.some.output }}", "by": "{{ item.n }}"})
    once = step("once", "data.dedupe", {"items": "{{ steps.in_order.output }}", "by": "{{ item.n }}"})
    operations = [{"op": "sum", "field": "n", "as": "total"}]
    total = {"items": "{{ steps.once.output }}", "group_by": "k", "operations": operations}
    broken = step("halt", "flow.stop", {"status": "failed", "message": "broken"})
    endless = call(address, "mid", "PUT", options="slow=60", timeout=60)
    flaky = call(address, "mid", "GET", options="away=1&gated=1", retry={"max_attempts": 4, "delay": 0.2})
    failed = {"mid": LOST_THEN_DONE, "halt": ["succeeded"]}
    limits = {"max_concurrent_runs": 1}
    return {
        "data": Structure(
            steps=[some, in_order, mid, once, step("sums", "data.aggregate", total)],
            paths=["some", "in_order", "mid", "once", "sums"], output="{{ steps.sums.output }}",
            expected=[{"k": "a", "total": 5}],
        ),
        "error": Structure(
            steps=[mid, broken], paths=["mid", "halt"], rows=failed, status="failed", kind="permanent",
            settings={"error_workflow": "alarm"},
        ),
        "alarm": Structure(
            steps=[call(address, "noted"), mid, after], paths=["noted", "mid", "after"],
            output="{{ trigger.body.error.message }}", expected="broken",
        ),
        "timeout": Structure(
            steps=[call(address, "before"), endless, after], paths=["before", "mid"], status="failed", kind="timeout",
            rows={"mid": ["lost", "failed"]}, never=["after"], settings={"timeout": TIME_LIMIT},
        ),
        "retry": Structure(
            steps=[flaky, after], paths=["mid", "after"], rows={"mid": ["failed", *LOST_THEN_DONE]}, calls={"mid": 3}
        ),
        "queue": Structure(steps=[mid, after], paths=["mid", "after"], settings={**limits, "on_limit": "queue"}),
        "skip": Structure(steps=[mid, after], paths=["mid", "after"], settings={**limits, "on_limit": "skip"}),
        "cancel-older": Structure(
            steps=[mid, after], paths=["mid", "after"], settings={**limits, "on_limit": "cancel_older"}
        ),
    }  # fmt: skip


def _lost(address: str) -> dict[str, Structure]:
    """A call that must not be repeated was under way: what becomes of it is the step's choice."""

    def steps(**more: Any) -> list[Any]:
        return [call(address, "mid", options="gated=0", **more), call(address, "after")]

    return {
        "lost-fail": Structure(
            steps=steps(), paths=["mid"], rows={"mid": ["lost"]}, calls={"mid": 1}, never=["after"], status="failed",
            kind="outcome_unknown", said=["1 step was not reached: after"],
        ),
        "lost-ask": Structure(
            steps=steps(on_lost="ask"), paths=["mid", "after"], calls={"mid": 1}, output="{{ steps.mid.output }}",
            expected={"seen": True},
        ),
        "lost-retry": Structure(steps=steps(on_lost="retry"), paths=["mid", "after"]),
    }  # fmt: skip
