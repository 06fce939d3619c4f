"""What is kept of an object lives as long as that."""

from __future__ import annotations

import gc

from orchestrator.flow.definition import StepConfig
from runs.engine.memo import Memo


def test_it_is_made_once_for_the_very_object_and_let_go_with_it() -> None:
    made: list[int] = []
    memo = Memo[StepConfig, int](lambda config: made.append(len(made)) or len(made))
    one, equal = StepConfig(inputs={"a": 1}), StepConfig(inputs={"a": 1})
    assert [memo(one), memo(one), memo(equal), memo(one)] == [1, 1, 2, 1]
    assert len(memo) == 2
    del one
    gc.collect()
    assert len(memo) == 1
    assert memo(equal) == 2
    for number in range(1000):
        # Of objects that come and go at the same address none gets what was made of another.
        assert memo(StepConfig(inputs={"n": number})) == number + 3
    gc.collect()
    assert len(memo) == 1
