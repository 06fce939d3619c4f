"""One attempt: what it costs a step that does not need it, and what it records."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sdk import Action, Retry, RunContext, Transient, action
from integrations.sdk.sensitive import MASK
from runs.engine.records import Failed, Succeeded, idempotency_key
from runs.engine.values import INLINE_BYTES
from tests.engine.world import Anything, World, order, provider, step

NAMESPACE = uuid.UUID("5b0e4f0c-6a3e-4d0e-9d57-0c8f5d3f7a11")


@given(st.integers(0, 2**63), st.text(st.characters(exclude_categories=["Cs"])))
def test_the_key_of_a_step_is_a_name_based_uuid_and_stays_what_it_is(run_id: int, path: str) -> None:
    assert idempotency_key(run_id, path) == str(uuid.uuid5(NAMESPACE, f"{run_id}/{path}"))


def test_a_client_is_made_when_a_step_asks_for_it_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world, made = World(), []

    def ask(world: World, ctx: RunContext[Any]) -> None:
        assert made == []
        assert ctx.http is ctx.http
        assert len(made) == 1

    world.behave("b", ask)
    monkeypatch.setattr("tests.engine.world.NoClients.client", lambda self, *args, **options: made.append(args))
    assert isinstance(world.run(order(step("a", "sim.put"))), Succeeded)
    assert made == []
    assert isinstance(world.run(order(step("b", "sim.put"))), Succeeded)
    assert len(made) == 1


def test_large_inputs_and_outputs_are_recorded_as_they_are_to_be_stored() -> None:
    world, text = World(), "x" * INLINE_BYTES
    world.behave("a", lambda world, ctx: [text])
    assert isinstance(world.run(order(step("a", "sim.put", inputs={"value": text}))), Succeeded)
    (record,) = world.rows("a")
    assert record.packed_inputs is not None
    assert record.packed_inputs.value is record.inputs
    assert record.packed_output is not None
    assert record.packed_output.value is record.output
    assert (record.inputs, record.output) == ({"value": text}, [text])


def declared(run: Callable[[RunContext[Anything]], Any], **more: Any) -> Action:
    made = action(provider=provider, key="sim.own", name="Own", auth_type="none", input_schema=Anything, **more)
    return made(run)


def test_sensitive_parts_of_an_output_are_nowhere_on_record() -> None:
    async def makes_a_key(ctx: RunContext[Anything]) -> Any:
        """Make a key."""
        ctx.log("made sk-canary-9911 for you")
        ctx.progress(1, text="made sk-canary-9911")
        return {"key": {"id": 7, "secret": "sk-canary-9911"}, "copy": "it is sk-canary-9911"}

    world = World()
    world.catalog["sim.own"] = declared(makes_a_key, sensitive=("key.secret",))
    outcome = world.run(order(step("a", "sim.own"), output="{{ steps.a.output }}"))
    assert isinstance(outcome, Succeeded)
    (record,) = world.rows("a")
    assert "canary" not in repr((outcome, record.output, record.logs, record.progress))
    assert record.output["key"] == {"id": 7, "secret": MASK}  # type: ignore[index, call-overload]
    assert record.progress == {"done": 1, "total": None, "text": "made ••••••"}


def test_no_progress_is_beyond_what_a_page_can_reckon_with() -> None:
    async def exaggerates(ctx: RunContext[Anything]) -> None:
        """Tell."""
        ctx.progress(1e308, -1e308)

    world = World()
    world.catalog["sim.own"] = declared(exaggerates)
    world.run(order(step("a", "sim.own")))
    assert world.rows("a")[0].progress == {"done": 10**15, "total": -(10**15), "text": ""}


@pytest.mark.parametrize(("policy", "attempts"), [(None, 5), ({"max_attempts": 2}, 2)])
def test_an_action_says_how_often_it_is_tried_where_a_step_does_not(policy: Any, attempts: int) -> None:
    async def fails(ctx: RunContext[Anything]) -> None:
        """Fail."""
        raise Transient("away")

    world = World()
    world.catalog["sim.own"] = declared(fails, retry=Retry(max_attempts=5, delay=0, backoff="fixed"), idempotent=True)
    assert isinstance(world.run(order(step("a", "sim.own", retry=policy))), Failed)
    assert len(world.rows("a")) == attempts
