"""Two versions beside each other: marked words and lines, chips, members, places, and bounds whatever they hold."""

from __future__ import annotations

import time
from typing import Any, Final

import pytest
from django.template.loader import render_to_string

from orchestrator.builder.broken import put_instead
from orchestrator.builder.changes import MAX_BLOCKS, MAX_LINES, Block, blocks, document_blocks, grouped
from orchestrator.builder.marks import Bit, Marker, Row
from orchestrator.flow.definition import WorkflowDefinition
from tests.flow.documents import if_, step

TOKEN: Final = "xoxb-" + "1234567890-abcdef"
HOSTILE: Final = "<script>alert(1)</script>\"'&\u202e" + "x" * 10_000


def document(*steps: dict[str, Any], **more: Any) -> WorkflowDefinition:
    return WorkflowDefinition.model_validate({"name": "Test", "slug": "test", "steps": list(steps), **more})


def changed(before: Any, after: Any, action: str = "http.request") -> Block:
    old, new = (document(step("a", action, inputs=value)) for value in (before, after))
    (block,) = blocks(old, new).shown
    return block


def drawn(old: WorkflowDefinition | None, new: WorkflowDefinition) -> str:
    return render_to_string("builder/publish_changes.html", {"changes": blocks(old, new)})


def test_texts_are_compared_by_words_and_chips_with_the_numbers_of_their_time() -> None:
    marked = Marker(old={"a": 2}, new={"b": 3}).compared(
        "New lead {{ steps.a.output.name }} now", "New lead {{ steps.b.output.name }} now"
    )
    assert marked.bits == (
        Bit(text="New lead "),
        Bit(text="name", kind="del", chip=True, source="2"),
        Bit(text="name", kind="ins", chip=True, source="3"),
        Bit(text=" now"),
    )


def test_an_expression_that_is_more_than_a_reference_is_a_chip_of_its_own_words() -> None:
    (bit,) = Marker().whole("{{ upper(trigger.body.name) }}")
    assert bit == Bit(text="upper(trigger.body.name)", chip=True)


def test_long_texts_are_compared_line_by_line_around_what_changed() -> None:
    lines = [f"line {number}" for number in range(40)]
    rows = Marker().compared("\n".join(lines), "\n".join([*lines[:20], "new", *lines[21:]])).rows
    assert rows == (
        Row(gap="… 18 lines as before"),
        *(Row(bits=(Bit(text=f"line {number}"),)) for number in (18, 19)),
        Row(kind="del", bits=(Bit(text="line 20", kind="del"),)),
        Row(kind="ins", bits=(Bit(text="new", kind="ins"),)),
        *(Row(bits=(Bit(text=f"line {number}"),)) for number in (21, 22)),
        Row(gap="… 17 lines as before"),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "a"),
        ("a", None),
        ({"a": 1}, [1]),
        (3600.0, 60),
        ("", {}),
        ("word " * 5_000, "other " * 5_000),
        ("a\n" * 20_000, "b\n" * 20_000),
        (True, False),
    ],
)
def test_values_of_any_kind_compare_within_bounds(before: Any, after: Any) -> None:
    marked = Marker().compared(before, after)
    bits = [*marked.bits, *(bit for row in marked.rows for bit in row.bits)]
    assert all(bit.text for bit in bits)
    assert len("".join(bit.text for bit in bits)) < 10_000
    assert len(marked.rows) <= 61


def test_what_looks_like_a_secret_is_not_shown_and_its_change_is() -> None:
    block = changed({"url": f"https://a.b/?t={TOKEN}"}, {"url": f"https://a.b/?t={TOKEN}9"})
    assert [bit.kind for bit in block.lines[0].marked.bits] == ["del", "ins"]
    headers = {"headers": {"Authorization": "abcdef1234567890"}}
    for shown in (block, changed({}, headers), document_blocks(document(step("a", inputs=headers))).shown[0]):
        assert "••••••" in str(shown)
        assert TOKEN not in str(shown)
        assert "abcdef" not in str(shown)


def test_members_are_told_by_their_path_counted_from_one() -> None:
    block = changed({"headers": {"accept": "a"}}, {"headers": {"accept": "b", "more": ["x"]}})
    assert [line.label for line in block.lines] == ["Headers · accept", "Headers · more · item 1"]


def test_a_move_is_told_in_words() -> None:
    old = document(step("first"), if_("gate", [step("a")], []))
    new = document(step("a"), step("first"), if_("gate", [], []))
    (block,) = blocks(old, new).shown
    assert [words for _name, words in block.tags] == ["moved"]
    assert [bit.text for bit in block.lines[0].marked.bits] == ["in “Then” of step 3, first", "first"]


def test_a_credential_that_was_made_anew_is_a_change() -> None:
    same = document(step("a", "slack.sendMessage", credential="team", inputs={"channel": "#a"}))
    assert blocks(same, same).count == 0
    (block,) = blocks(same, same, rebound={"team"}).shown
    assert block.lines[0].label == "Credential"
    assert "".join(bit.text for bit in block.lines[0].marked.bits).endswith("team, made anew")


def test_whatever_is_in_a_document_is_shown_as_text() -> None:
    old = document(step("a", inputs={"values": {"k": "x"}}))
    hostile = {**step("a", inputs={"values": {HOSTILE[:90]: HOSTILE, "k": HOSTILE}}), "name": HOSTILE[:200]}
    for page in (drawn(old, document(hostile)), drawn(None, document(hostile)), drawn(document(hostile), old)):
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert len(page) < 40_000


def test_a_page_shows_so_much_and_counts_the_rest() -> None:
    many = document(*(step(f"s{n}", inputs={"values": {str(k): k for k in range(9)}}) for n in range(400)))
    found = blocks(None, many)
    assert (len(found.shown), found.count, found.more) == (MAX_BLOCKS, 400, 400 - MAX_BLOCKS)
    assert 0 < sum(len(block.lines) for block in found.shown) <= MAX_LINES
    assert len(grouped(None, many)) == 400
    assert drawn(None, many).count("<") / 2 < 2_500
    assert len(document_blocks(many).shown) == MAX_BLOCKS


def test_a_text_of_chips_alone_makes_few_elements() -> None:
    chips = " ".join(f"{{{{ trigger.body.a{n} }}}}" for n in range(300))
    other = chips.replace("a1", "b1")
    for value in ((None, chips), (chips, other), (f"a\n{chips}", f"b\n{other}")):
        assert Marker().compared(*value).elements <= 160


def test_what_is_hard_to_compare_is_replaced_once_the_pages_effort_is_used_up() -> None:
    old = " ".join("ab"[n % 2] for n in range(190))
    marker = Marker(effort=300_000)
    kinds = [len(marker.compared(old, f"c {old[::-1]} c").bits) for _ in range(4)]
    assert kinds[0] > 2
    assert kinds[-1] == 2
    assert marker.effort < 0


def test_expressions_that_are_never_closed_take_no_longer_than_others() -> None:
    begun = time.process_time()
    before, after = "{{" * 50_000, "{{ a }} " + "{{" * 50_000
    assert Marker().compared(before, after).bits
    assert put_instead({"in.url": [before]}, '["steps.a", "steps.b", "url"]')[0] == {"in.url": [before]}
    assert time.process_time() - begun < 3
    assert Marker().whole("{{ trigger.body.a }} and {{") == (
        Bit(text="a", chip=True, source="trigger"), Bit(text=" and {{")
    )  # fmt: skip


def test_values_of_a_choice_are_told_in_words() -> None:
    block = changed({"on_budget": "fail"}, {"on_budget": "stop"}, action="ai.agent")
    assert [bit.text for bit in block.lines[0].marked.bits] == ["The step fails", "It ends with what it has"]
    (whole,) = document_blocks(document(step("a", "ai.agent", inputs={"provider": "own"}))).shown
    assert [bit.text for bit in whole.lines[0].marked.bits] == ["own"], "what is no value of it stays"
