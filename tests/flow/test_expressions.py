import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.flow.expressions import (
    ExpressionError,
    OutOfFuel,
    UnresolvedReference,
    compile_template,
    evaluate_condition,
    render,
)

SCOPE = {
    "trigger": {
        "body": {"name": "Ada", "from": "a@b", "class": {"is": 7}, "x-y": 3, "list": [1, 2, {"deep": True}], "n": 812},
        "headers": {"content-type": "application/json"},
    },
    "steps": {"one": {"output": {"name": "Northwind", "employees": 812, "tags": ["a", "b"]}, "status": "succeeded"}},
    "big": "x" * 1_000_000,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ trigger.body.n }}", 812),
        ("  {{ trigger.body.n }}  ", 812),
        ("{{ trigger.body.list }}", [1, 2, {"deep": True}]),
        ("{{ trigger.body.list[2].deep }}", True),
        ("{{ trigger.body.list[-1].deep }}", True),
        ("{{ trigger.body.from }}", "a@b"),
        ("{{ trigger.body.class.is }}", 7),
        ('{{ trigger.body["x-y"] }}', 3),
        ("Hi {{ trigger.body.name }}, {{ trigger.body.n }}{{ null }}{{ true }}", "Hi Ada, 812true"),
        ("{{ trigger.body.list }} ", [1, 2, {"deep": True}]),
        ("list: {{ trigger.body.list }}", 'list: [1,2,{"deep":true}]'),
        ("{{ steps.one.output.employees >= 500 }}", True),
        ("{{ steps.one.output.employees >= 500 and 'a' in steps.one.output.tags }}", True),
        ("{{ 1 == true }}", False),
        ("{{ [1, true] == [1, 1] }}", False),
        ("{{ 10 / 2 }}", 5),
        ("{{ 10 / 4 }}", 2.5),
        ("{{ 7 % 3 + 2 * 5 - 1 }}", 10),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ 'big' if trigger.body.n > 500 else 'small' }}", "big"),
        ("{{ {'a': {'b': [1, 2]}} }}", {"a": {"b": [1, 2]}}),
        ("{{ '}}' + '{{' }}", "}}{{"),
        ('{{ "it\'s" }}', "it's"),
        ("{{ default(trigger.body.nope.at.all, 'x') }}", "x"),
        ("{{ default(null, 1) }}", 1),
        ("{{ first([]) }}", None),
        ("{{ count(trigger.body.list) }}", 3),
        ("{{ join(steps.one.output.tags, '-') }}", "a-b"),
        ("{{ number(' 12.50 ') }}", 12.5),
        ("{{ parse_json('{\"a\": [1]}').a[0] }}", 1),
        ("{{ json({'a': 1}) }}", '{"a":1}'),
        ("{{ format_date('2026-03-29T12:00:00Z', '%d.%m.%Y %H:%M', 'Europe/Paris') }}", "29.03.2026 14:00"),
        ("{{ date(0) }}", "1970-01-01T00:00:00+00:00"),
        ("{{ not trigger.body.list }}", False),
        ("{{ 1\n +\n 2 }}", 3),
        ("{{ round(2.345, 1) }}", 2.3),
    ],
)
def test_an_expression_gives_its_value(text: str, value: object) -> None:
    result = compile_template(text).evaluate(SCOPE)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "words", "column"),
    [
        ("{{ trigger.body.nam }}", "Did you mean trigger.body.name?", 4),
        ("ab {{ steps.one.output.nme }}", "Did you mean steps.one.output.name?", 7),
        ("{{ stesp.one }}", "Did you mean steps?", 4),
        ("{{ trigger.body.name.first }}", "trigger.body.name is a text", 4),
        ("{{ trigger.body.list[9] }}", "the list has 3 item(s)", 4),
        ("{{ 1 + }}", "cannot be read", 7),
        ("{{ 1 + 'a' }}", "+ cannot join a number and a text", 4),
        ("{{ 'é' + nope }}", "nope does not exist", 10),
        ("{{ trigger.body.from + nope }}", "nope does not exist", 24),
        ("{{ uper('x') }}", "Did you mean upper()?", 4),
        ("{{ upper() }}", "takes 1 value(s), not 0", 4),
        ("{{ [x for x in y] }}", "A loop is not possible", 4),
        ("{{ (lambda: 1)() }}", "no function", 4),
        ("{{ f'{1}' }}", "An f-string is not possible", 4),
        ("{{ True }}", "Write true instead", 4),
        ("{{ 1 if }}", "cannot be read", 0),
        ("{{ }}", "nothing between", 3),
        ("{{ 'a", "never closed", 4),
        ("{{ a", "never closed", 1),
        ("{{ 1 / 0 }}", "by zero", 4),
        ("{{ 1e999 }}", "finite", 4),
        ("{{ 2 ** 9 }}", "Only + - * / %", 4),
        ("{{ trigger.__class__ }}", "does not exist", 4),
        ("{{ ''.__class__.__mro__ }}", "does not exist", 0),
        ("{{ trigger.body.get('name') }}", "no function", 4),
        ("{{ __import__('os') }}", "no function", 4),
    ],
)
def test_what_is_wrong_is_said_with_its_column(text: str, words: str, column: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text).evaluate(SCOPE)
    assert words in caught.value.message
    if column:
        assert caught.value.column == column


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "-" * 3_900 + "1 }}",
        "{{ 1" + "+1" * 1_900 + " }}",
        "{{ " + "[" * 150 + "]" * 150 + " }}",
        "{{ " + "9" * 3_900 + " }}",
        "{{ " + "not " * 900 + "1 }}",
        "{{ a" + ".a" * 1_900 + " }}",
        "{{ a" + "[0]" * 1_300 + " }}",
        "{{ '\x00' }}",
        "{{ \ud800 }}",
    ],
)
def test_hostile_nesting_ends_as_a_clear_error(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_template(text).evaluate({"a": None})


def test_work_on_large_data_runs_out_of_fuel() -> None:
    with pytest.raises(OutOfFuel):
        compile_template("{{ " + " + ".join(["big"] * 50) + " }}").evaluate(SCOPE)
    with pytest.raises(OutOfFuel):
        compile_template("{{ [" + ", ".join(["upper(big)"] * 50) + "] }}").evaluate(SCOPE)


def test_data_that_holds_braces_stays_data() -> None:
    assert render({"a": "{{ evil }}!"}, {"evil": "{{ secrets }}"}) == {"a": "{{ secrets }}!"}


def test_a_wrong_text_inside_inputs_says_where_it_is() -> None:
    with pytest.raises(UnresolvedReference) as caught:
        render({"values": {"rows": ["ok", "{{ nope }}"]}}, SCOPE)
    assert caught.value.where == "values.rows[1]"


def test_a_condition_must_give_a_boolean() -> None:
    assert evaluate_condition("trigger.body.n > 1", SCOPE) is True
    with pytest.raises(ExpressionError, match="not a number"):
        evaluate_condition("{{ trigger.body.n }}", SCOPE)


def test_references_are_known_without_running() -> None:
    template = compile_template("{{ steps.a.output.items[0].name }} {{ default(trigger.body.x, item) }}")
    assert [(ref.path, ref.tolerant) for ref in template.references] == [
        ("steps.a.output.items[0].name", False),
        ("trigger.body.x", True),
        ("item", False),
    ]


_fragments = st.lists(
    st.sampled_from(
        [
            *string.ascii_lowercase[:4],
            *string.digits[:3],
            *"()[]{}.,:'\"\\+-*/%<>=! \n#@~|&^;",
            "and",
            "or",
            "not",
            "in",
            "if",
            "else",
            "{{",
            "}}",
            "trigger",
            ".body",
            "default(",
            "join(",
            "lambda",
            "é",
            "\x00",
            "𝒳",
        ]
    ),
    max_size=40,
).map(" ".join)


@settings(max_examples=600, deadline=None)
@given(text=st.one_of(st.text(max_size=60), _fragments, _fragments.map(lambda t: "{{" + t.replace("}}", "") + "}}")))
def test_no_text_raises_anything_but_an_expression_error(text: str) -> None:
    try:
        compile_template(text).evaluate(SCOPE)
    except ExpressionError as caught:
        error = caught
    else:
        return
    assert error.message
    assert 0 <= error.column <= len(text) + 1
