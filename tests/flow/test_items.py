"""Expressions over items: evaluated for each, within the bounds of one and of all."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.flow.items import LIST_FUEL, ItemEvaluator, as_template
from orchestrator.flow.values import ExpressionError, OutOfFuel, UnresolvedReference


def test_item_and_index_come_before_those_of_a_loop_around() -> None:
    evaluate = ItemEvaluator({"by": "{{ [item, index, trigger] }}"}, {"item": "outer", "index": 9, "trigger": "t"})
    assert [evaluate("by", item, index) for index, item in enumerate("ab")] == [["a", 0, "t"], ["b", 1, "t"]]


def test_the_scope_it_was_given_stays_as_it_was() -> None:
    scope = {"item": "outer"}
    ItemEvaluator({"by": "{{ item }}"}, scope)("by", "inner", 0)
    assert scope == {"item": "outer"}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{{ item.n }}", 5),
        ("item.n", 5),
        ("n is {{ item.n }}", "n is 5"),
        (True, True),
        (None, None),
        (["{{ item.n }}", "as it is", {"n": "{{ item.n }}"}], [5, "as it is", {"n": 5}]),
    ],
)
def test_a_text_is_an_expression_and_anything_larger_holds_templates(written: Any, value: Any) -> None:
    assert ItemEvaluator({"x": written}, {})("x", {"n": 5}, 0) == value


def test_data_that_looks_like_an_expression_stays_data() -> None:
    assert ItemEvaluator({"x": "{{ item }}"}, {})("x", "{{ secret }}", 0) == "{{ secret }}"


@pytest.mark.parametrize("text", ["{{ item.x }}", "nothing", "{{ 1 + }}"])
def test_an_error_says_which_input_and_item(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        ItemEvaluator({"by": text}, {})("by", {}, 7)
    assert caught.value.where == "by, at index 7"


def test_one_item_may_not_take_what_the_whole_list_may() -> None:
    evaluate = ItemEvaluator({"by": "{{ item in trigger }}"}, {"trigger": [0] * 1_100_000})
    with pytest.raises(OutOfFuel) as caught:
        evaluate("by", 1, 0)
    assert "for one item" in caught.value.message


def test_all_items_together_are_bounded_too() -> None:
    evaluate = ItemEvaluator({"by": "{{ 0 in trigger }}"}, {"trigger": [0] * 500_000})
    most = LIST_FUEL // 500_020
    for index in range(most):
        assert evaluate("by", None, index) is True
    with pytest.raises(OutOfFuel) as caught:
        evaluate("by", None, most)
    assert "for one list" in caught.value.message


def test_a_reference_that_is_missing_keeps_its_kind() -> None:
    with pytest.raises(UnresolvedReference):
        ItemEvaluator({"by": "{{ item.a.b }}"}, {})("by", {"a": {}}, 0)


def test_braces_may_be_left_out() -> None:
    assert as_template("item.a") == "{{ item.a }}"
    assert as_template("{{ item.a }}!") == "{{ item.a }}!"
