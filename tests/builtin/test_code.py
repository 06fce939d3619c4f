"""The code actions: what they return, what they print, how they fail; and unregistered steps that run as one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from integrations import sandbox
from integrations.builtin.code import run_javascript, run_python
from integrations.sdk import Action, InputError
from integrations.sdk.testing import make_context
from orchestrator.tenants.models import Tenant
from runs.states import RunStatus
from tests.runs.ground import drive, make_workflow, rows, start, step

PYTHON = "def main(input):\n    print('adding')\n    return {'total': sum(input['numbers'])}"
JAVASCRIPT = "function main(input) { console.log('adding'); return { total: input.numbers.length } }"


def run(action: Action, inputs: dict[str, Any]) -> tuple[Any, list[str]]:
    """Run an action in a loop of its own; return its output and log."""
    ctx, _ = make_context(action, inputs)

    async def main() -> Any:
        try:
            return await action.run(ctx)
        finally:
            await sandbox.aclose()

    return asyncio.run(main()), [line.text for line in ctx.log.lines]


@pytest.mark.parametrize(("action", "code", "total"), [(run_python, PYTHON, 6), (run_javascript, JAVASCRIPT, 3)])
def test_main_gets_the_input_and_prints_to_the_log(action: Action, code: str, total: int) -> None:
    assert run(action, {"code": code, "input": {"numbers": [1, 2, 3]}}) == ({"total": total}, ["adding"])


@pytest.mark.parametrize("action", [run_python, run_javascript])
def test_wrong_code_is_an_input_error_with_its_line(action: Action) -> None:
    with pytest.raises(InputError, match=r"^Line 2: ") as caught:
        run(action, {"code": "const a = 1;\nnope()" if action is run_javascript else "a = 1\nnope()"})
    assert caught.value.field == "code"


@pytest.mark.parametrize(
    ("action", "code"), [(run_python, "import requests"), (run_javascript, "function main() { return fetch('x') }")]
)
def test_what_needs_a_network_is_refused_in_the_same_words(action: Action, code: str) -> None:
    with pytest.raises(InputError) as caught:
        run(action, {"code": code})
    assert caught.value.message == sandbox.NO_NETWORK
    assert caught.value.hint.startswith("Line 1: ")


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_what_code_returned_printed_and_said(tenant: Tenant) -> None:
    workflow = make_workflow(
        tenant,
        step("add", "code.python", inputs={"code": PYTHON, "input": {"numbers": "{{ trigger.body.numbers }}"}}),
        step("count", "code.javascript", inputs={"code": JAVASCRIPT, "input": "{{ trigger.body }}"}),
        step("bad", "code.python", inputs={"code": "raise ValueError('boom')"}),
    )
    started = start(workflow, {"numbers": [1, 2, 3]})
    drive()
    started.refresh_from_db()
    add, count, bad = rows(started)
    assert (add.output, count.output) == ({"total": 6}, {"total": 3})
    assert [line["text"] for line in add.logs or []] == ["adding"]
    assert (bad.status, bad.failure_kind, bad.attempt) == ("failed", "input", 1)
    assert "Line 1: ValueError: boom" in bad.error["message"]
    assert started.status == RunStatus.FAILED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        ({"code": "input['a'] + 1", "input": {"a": 1}}, 2),
        ({"code": "def main(input):\n    return input", "language": "python", "input": 5, "other": "left out"}, 5),
        ({"code": "function main(input) { return input + 1 }", "language": "javascript", "input": 1}, 2),
    ],
)
def test_an_unregistered_step_with_code_runs_in_the_sandbox_and_says_so(
    tenant: Tenant, inputs: dict[str, Any], output: Any
) -> None:
    started = start(make_workflow(tenant, step("odd", "weather.forecast", inputs=inputs)))
    drive()
    (row,) = rows(started)
    assert (row.status, row.resolved_as, row.output) == ("succeeded", "sandbox", output)
