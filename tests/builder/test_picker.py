"""What the data column offers for a value is an expression that gives exactly that value."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.builder import picker
from orchestrator.flow.expressions import compile_template

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def offered(value: Any) -> list[str]:
    return [html.unescape(text) for text in re.findall(r'data-insert="([^"]*)"', picker.tree(value, "trigger.body"))]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict | list) and value:
        inner = value.values() if isinstance(value, dict) else value
        return [value, *(leaf for each in inner for leaf in leaves(each))]
    return [value]


@pytest.mark.parametrize(
    "key",
    ["a", "from", "class", "x-y", "x y", "1st", "", "true", "None", "é", "ﬁ", "ª", '"', "'", "\\", "\n", "}}",
     "{{ a }}", "a.b", "[0]", "😀", "\u2028", "\x00", "_x", "len", "İ"],
)  # fmt: skip
def test_any_key_can_be_offered(key: str) -> None:
    value = {key: {"inner": [7]}}
    for text in offered(value)[-1:]:
        assert compile_template(text).evaluate({"trigger": {"body": value}}) == 7, text


@settings(max_examples=300, deadline=None)
@given(_json)
def test_each_expression_gives_its_own_value(value: Any) -> None:
    scope = {"trigger": {"body": value}}
    given_back = [compile_template(text).evaluate(scope) for text in offered(value)]
    for each in leaves(value)[1:] if isinstance(value, dict | list) and value else [value]:
        assert each in given_back


def test_a_huge_value_is_cut_and_says_so() -> None:
    value = {f"k{index}": [{"a": index}] * 100 for index in range(300)}
    drawn = picker.tree(value, "trigger.body")
    assert len(offered(value)) <= 2 * picker.MAX_ENTRIES
    assert "more" in drawn


def test_a_deep_value_ends_in_one_that_can_still_be_used() -> None:
    value: Any = 1
    for _level in range(40):
        value = {"a": value}
    deepest = offered(value)[-1]
    assert compile_template(deepest).evaluate({"trigger": {"body": value}})["a"]


def test_markup_in_data_is_text() -> None:
    drawn = picker.tree({"<b>": '"><script>alert(1)</script>'}, "trigger.body")
    assert "<script>" not in drawn
    assert "<b>" not in drawn


def kinds(drawn: str) -> dict[str, str]:
    """Return the type that is told of what each expression gives."""
    found = re.findall(r'data-insert="{{ ([^"]*) }}"[^>]*? data-t="(\w+)"', drawn)
    return {html.unescape(path): kind for path, kind in found}


def test_every_value_tells_its_type() -> None:
    value = {"t": "x", "n": 1.5, "yes": True, "no": None, "none": [], "o": {"a": 1}, "l": [{"b": "c"}], "flat": ["x"]}
    assert kinds(picker.tree(value, "a")) == {
        "a.t": "text", "a.n": "number", "a.yes": "boolean", "a.no": "null", "a.none": "list",
        "a.o": "object", "json(a.o)": "text", "a.o.a": "number",
        "a.l": "list", "json(a.l)": "text", "first(a.l)": "object", "count(a.l)": "number",
        "a.l[0]": "object", "json(a.l[0])": "text", "a.l[0].b": "text",
        "a.flat": "list", "json(a.flat)": "text", "first(a.flat)": "text", "count(a.flat)": "number",
        'join(a.flat, ", ")': "text", "a.flat[0]": "text",
    }  # fmt: skip


def test_the_item_of_a_loop_tells_its_type_once_there_was_one() -> None:
    assert kinds(picker.loop()) == {"index": "number"}
    assert kinds(picker.loop({"a": 1})) == {"item": "object", "item.a": "number", "index": "number"}


@settings(max_examples=100, deadline=None)
@given(_json)
def test_a_told_type_is_that_of_what_is_inserted(value: Any) -> None:
    for path, kind in kinds(picker.tree(value, "trigger.body")).items():
        given_back = compile_template(f"{{{{ {path} }}}}").evaluate({"trigger": {"body": value}})
        assert picker.kind_of(given_back) == kind, path
