"""Paths of steps: what they lead through, and which texts are none."""

from __future__ import annotations

import pytest

from runs import paths


@pytest.mark.parametrize(
    ("path", "key", "prefix", "around"),
    [
        ("send", "send", "", ()),
        ("each[3].send", "send", "each[3].", (("each", 3),)),
        ("each[3]", "each", "", (("each", 3),)),
        ("each[3].lines[0].pack", "pack", "each[3].lines[0].", (("each", 3), ("each[3].lines", 0))),
        ("each[3].lines[12]", "lines", "each[3].", (("each", 3), ("each[3].lines", 12))),
    ],
)
def test_a_path_tells_its_key_and_the_items_around_it(
    path: str, key: str, prefix: str, around: tuple[tuple[str, int], ...]
) -> None:
    assert paths.is_path(path)
    assert (paths.key_of_path(path), paths.prefix_of(path), paths.items_around(path)) == (key, prefix, around)
    assert paths.is_item(path) == (path[-1] == "]")


@pytest.mark.parametrize(
    "text",
    ["", "Send", "each[]", "each[-1]", "each[01].a", "each[1]send", "each.send", ".a", "a.", "a[1].", "a[9999999999]",
     "a\n", "a[1].b\0", "a" * 64, "@trigger", "a[1]][2]"],
)  # fmt: skip
def test_what_is_no_path_is_told(text: str) -> None:
    assert not paths.is_path(text)


def test_the_same_step_of_all_items_has_one_path_without_them() -> None:
    assert paths.without_items("each[3].lines[12].pack") == "each.lines.pack"
    assert paths.item_path("each[3].lines", 12) == "each[3].lines[12]"
