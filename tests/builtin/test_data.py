"""Filter, sort, dedupe and aggregate: on any JSON, in order, without a surprise."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.builtin.data import aggregate, dedupe_items, filter_items, sort_items
from integrations.builtin.lists import look_up, rank
from integrations.sdk import Action, InputError, Timeout
from integrations.sdk.testing import run_action
from orchestrator.flow.items import ItemEvaluator
from orchestrator.flow.values import Context, ExpressionError, same

PEOPLE = [
    {"name": "Ada", "age": 36, "city": "London"},
    {"name": "Grace", "age": 85, "city": "New York"},
    {"name": "Alan", "age": 41, "city": "London"},
]
SCOPE = {"trigger": {"body": {"least": 40}}, "steps": {}}


def run(action: Action, **inputs: Any) -> Any:
    return run_action(action, inputs, evaluator=ItemEvaluator(inputs, SCOPE)).output


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("{{ item.age > 40 }}", ["Grace", "Alan"]),
        ("item.age > 40", ["Grace", "Alan"]),
        ("{{ item.age > trigger.body.least and item.city == 'London' }}", ["Alan"]),
        ("{{ index % 2 == 0 }}", ["Ada", "Alan"]),
        ("{{ true }}", ["Ada", "Grace", "Alan"]),
        ("{{ false }}", []),
    ],
)
def test_filter_keeps_what_the_condition_is_true_for(where: str, kept: list[str]) -> None:
    assert names(run(filter_items, items=PEOPLE, where=where)) == kept


@pytest.mark.parametrize("where", ["{{ item.age }}", "{{ item.name }}", "{{ null }}", "yes {{ true }}", "{{ [true] }}"])
def test_a_filter_that_gives_no_boolean_is_an_input_error(where: str) -> None:
    with pytest.raises(InputError, match="item with index 0") as caught:
        run(filter_items, items=PEOPLE, where=where)
    assert caught.value.field == "where"


def test_a_name_that_an_item_lacks_is_an_error_that_names_the_item_and_the_nearest() -> None:
    with pytest.raises(ExpressionError, match=r"Did you mean item\.age") as caught:
        run(filter_items, items=[{"age": 1}, {"agee": 2, "age": 3}, {"aged": 1}], where="{{ item.age > 0 }}")
    assert caught.value.where == "where, at index 2"


@pytest.mark.parametrize(
    ("by", "descending", "order"),
    [
        ("{{ item.age }}", False, ["Ada", "Alan", "Grace"]),
        ("{{ item.age }}", True, ["Grace", "Alan", "Ada"]),
        ("{{ item.city }}", False, ["Ada", "Alan", "Grace"]),
        ("{{ item.city }}", True, ["Grace", "Ada", "Alan"]),
        ("{{ [item.city, item.name] }}", False, ["Ada", "Alan", "Grace"]),
        ("{{ 0 - index }}", False, ["Alan", "Grace", "Ada"]),
    ],
)
def test_sort_orders_by_an_expression(by: str, descending: bool, order: list[str]) -> None:
    assert names(run(sort_items, items=PEOPLE, by=by, descending=descending)) == order


MIXED: list[Any] = [
    -1, 0, 0.5, 2, 10, "", "B", "a", "ä", False, True, [], [1], [1, "x"], ["a"], {}, {"a": 1}, {"a": 2}, {"b": 0}, None,
]  # fmt: skip


def test_types_have_an_order_and_null_is_last_in_both_directions() -> None:
    assert run(sort_items, items=MIXED[::-1]) == MIXED
    assert run(sort_items, items=MIXED, descending=True) == [*MIXED[-2::-1], None]
    for few in itertools.permutations(MIXED[::5]):
        assert run(sort_items, items=list(few)) == MIXED[::5]


@pytest.mark.parametrize(
    ("items", "by", "left"),
    [
        ([1, 1.0, True, "1", 1, None, None], None, [1, True, "1", None]),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}], None, [{"a": 1, "b": 2}, {"a": 1}]),
        ([[1, 2], [2, 1], [1, 2]], None, [[1, 2], [2, 1]]),
        (["a", "A", "b"], "{{ lower(item) }}", ["a", "b"]),
        ([], "{{ item.x }}", []),
    ],
)
def test_dedupe_keeps_the_first_of_each(items: list[Any], by: str | None, left: list[Any]) -> None:
    found = run(dedupe_items, items=items, **({"by": by} if by else {}))
    assert json.dumps(found) == json.dumps(left)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(_json, _json)
def test_two_values_have_one_rank_only_if_they_are_equal(left: Any, right: Any) -> None:
    assert (rank(left) == rank(right)) is same(left, right, Context(scope={}))
    assert (rank(left) < rank(right)) + (rank(left) > rank(right)) + (rank(left) == rank(right)) == 1


@settings(max_examples=100, deadline=None)
@given(st.lists(_json, max_size=30), st.booleans())
def test_sorting_and_deduping_any_list_gives_its_own_items(items: list[Any], descending: bool) -> None:
    ordered = run(sort_items, items=items, descending=descending)
    assert sorted(map(json.dumps, ordered)) == sorted(map(json.dumps, items))
    assert run(sort_items, items=ordered, descending=descending) == ordered
    left = run(dedupe_items, items=items)
    assert run(dedupe_items, items=left) == left
    assert {rank(item) for item in left} == {rank(item) for item in items}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers()), max_size=40), st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_sort_is_stable(pairs: list[tuple[int, int]], descending: bool) -> None:
    found = run(sort_items, items=[list(pair) for pair in pairs], by="{{ item[0] }}", descending=descending)
    assert found == [list(pair) for pair in sorted(pairs, key=lambda pair: pair[0], reverse=descending)]


ORDERS: list[dict[str, Any]] = [
    {"country": "FR", "amount": 80, "customer": {"plan": "pro"}, "lines": [{"price": 1}]},
    {"country": "DE", "amount": 120.5, "customer": {"plan": "free"}, "lines": [{"price": 2}]},
    {"country": "FR", "amount": 20, "customer": {"plan": "free"}, "lines": []},
    {"country": None, "amount": None, "customer": None, "lines": []},
]


def test_aggregate_groups_in_the_order_of_the_first_item() -> None:
    operations = [
        {"op": "count", "as": "orders"}, {"op": "sum", "field": "amount", "as": "total"},
        {"op": "min", "field": "amount"}, {"op": "max", "field": "amount"}, {"op": "avg", "field": "amount"},
        {"op": "list", "field": "amount", "as": "all"}, {"op": "count", "field": "amount", "as": "paid"},
    ]  # fmt: skip
    assert run(aggregate, items=ORDERS, group_by="country", operations=operations) == [
        {"country": "FR", "orders": 2, "total": 100, "min_amount": 20, "max_amount": 80, "avg_amount": 50,
         "all": [80, 20], "paid": 2},
        {"country": "DE", "orders": 1, "total": 120.5, "min_amount": 120.5, "max_amount": 120.5, "avg_amount": 120.5,
         "all": [120.5], "paid": 1},
        {"country": None, "orders": 1, "total": 0, "min_amount": None, "max_amount": None, "avg_amount": None,
         "all": [], "paid": 0},
    ]  # fmt: skip


def test_without_groups_there_is_one_object_also_of_nothing() -> None:
    total = [{"op": "sum", "field": "amount", "as": "total"}]
    assert run(aggregate, items=ORDERS, operations=total) == [{"total": 220.5}]
    assert run(aggregate, items=[], operations=[*total, {"op": "count", "as": "n"}]) == [{"total": 0, "n": 0}]
    assert run(aggregate, items=[], group_by="country", operations=total) == []


def test_groups_and_fields_are_paths() -> None:
    found = run(
        aggregate,
        items=ORDERS,
        group_by=["country", "customer.plan"],
        operations=[{"op": "sum", "field": "lines[0].price", "as": "first"}],
    )
    assert found == [
        {"country": "FR", "customer.plan": "pro", "first": 1},
        {"country": "DE", "customer.plan": "free", "first": 2},
        {"country": "FR", "customer.plan": "free", "first": 0},
        {"country": None, "customer.plan": None, "first": 0},
    ]


def test_several_fields_are_taken_together_and_none_is_the_item_itself() -> None:
    items = [{"net": 10, "tax": 2}, {"net": 5}]
    assert run(aggregate, items=items, operations=[{"op": "sum", "field": ["net", "tax"], "as": "s"}]) == [{"s": 17}]
    assert run(aggregate, items=[1, 2, 4], operations=[{"op": "sum", "as": "s"}, {"op": "avg"}]) == [
        {"s": 7, "avg": 7 / 3}
    ]


@pytest.mark.parametrize(
    ("item", "path", "value"),
    [
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1), ({"a": {"b": 2}}, "a.b", 2), ({"a": [5, 6]}, "a[-1]", 6),
        ({"a": [5]}, "a[1]", None), ({"a": 1}, "a.b", None), ([7], "[0]", 7), ("text", "a", None), (None, "a", None),
        ({"a": [1]}, "a.0", None), ({"0": 3}, "0", 3),
    ],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_null(item: Any, path: str, value: Any) -> None:
    assert look_up(item, path) == value


def test_ten_dimes_are_a_dollar_and_whole_numbers_stay_whole() -> None:
    (found,) = run(aggregate, items=[0.1] * 10, operations=[{"op": "sum", "as": "s"}])
    assert found == {"s": 1.0}
    (found,) = run(aggregate, items=[2**60, 2**60], operations=[{"op": "sum", "as": "s"}, {"op": "avg", "as": "a"}])
    assert found == {"s": 2**61, "a": 2**60}


@pytest.mark.parametrize("op", ["sum", "avg"])
@pytest.mark.parametrize("value", ["5", True, [1], {"a": 1}])
def test_only_numbers_are_added_up(op: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"{op} takes numbers, and the item with index 1 has") as caught:
        run(aggregate, items=[{"n": 1}, {"n": value}], operations=[{"op": op, "field": "n"}])
    assert caught.value.field == "operations"


@pytest.mark.parametrize("op", ["sum", "avg"])
@pytest.mark.parametrize("items", [[1.7e308, 1.7e308], [10**400, 0.5]])
def test_a_sum_that_is_no_number_is_an_input_error(op: str, items: list[Any]) -> None:
    with pytest.raises(InputError, match="too large"):
        run(aggregate, items=items, operations=[{"op": op}])


@pytest.mark.parametrize(
    ("action", "inputs"),
    [
        (filter_items, {"where": "{{ true }}"}),
        (filter_items, {"items": [], "where": ""}),
        (filter_items, {"items": {"a": 1}, "where": "{{ true }}"}),
        (sort_items, {"items": None}),
        (sort_items, {"items": [], "descending": "down"}),
        (dedupe_items, {"items": [], "by": ""}),
        (aggregate, {"items": []}),
        (aggregate, {"items": [], "operations": []}),
        (aggregate, {"items": [], "operations": [{"op": "median"}]}),
        (aggregate, {"items": [], "operations": [{"op": "count", "extra": 1}]}),
        (aggregate, {"items": [], "operations": [{"op": "count"}, {"op": "count"}]}),
        (aggregate, {"items": [], "group_by": "a", "operations": [{"op": "count", "as": "a"}]}),
        (aggregate, {"items": [], "group_by": [""], "operations": [{"op": "count"}]}),
    ],
)
def test_wrong_inputs_are_input_errors(action: Action, inputs: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run(action, **inputs)


def test_a_long_list_stops_when_the_step_is_out_of_time() -> None:
    with pytest.raises(Timeout, match="1024 of 5000 items"):
        run_action(sort_items, {"items": [1] * 5_000, "by": "x"}, evaluator=lambda name, item, index: item, seconds=0)


HUNDRED_THOUSAND = [
    {"id": index % 50_000, "amount": math.sin(index), "country": "ABCDEFG"[index % 7]} for index in range(100_000)
]


@pytest.mark.parametrize(
    "work",
    [
        lambda items: run(filter_items, items=items, where="{{ item.amount > 0 and item.country != 'A' }}"),
        lambda items: run(sort_items, items=items, by="{{ item.amount }}", descending=True),
        lambda items: run(dedupe_items, items=items, by="{{ item.id }}"),
        lambda items: run(
            aggregate,
            items=items,
            group_by="country",
            operations=[{"op": op, "field": "amount"} for op in ("sum", "avg", "min", "max", "count")],
        ),
    ],
    ids=["filter", "sort", "dedupe", "aggregate"],
)
def test_a_hundred_thousand_items_take_little_time(work: Callable[[list[Any]], Any]) -> None:
    # Of processor time: what other processes of the machine take does not count.
    before = time.process_time()
    assert work(HUNDRED_THOUSAND)
    assert time.process_time() - before < 2
