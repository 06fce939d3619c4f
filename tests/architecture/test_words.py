"""What a script says to a person comes with the page, where it is translated: no words stand in a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from django.conf import settings

STATIC: Final = Path(settings.BASE_DIR) / "orchestrator/static"
# What is written like words and is none: keys, headers, classes, a list of selectors.
_NO_WORDS: Final = frozenset({
    "Escape", "Enter", "Backspace", "Alt", "Shift", "Space", "Ctrl", "Tab", "ArrowDown", "ArrowUp", "Accept",
    "Mod+k", "in chips", "js pick", 'in chips${isLong ? " area" : ""}',
    "input:not(tr.go input),select,textarea,[contenteditable]",
})  # fmt: skip
# A text, or a template with what is computed in it; what stands before it tells markup from words.
_LITERAL: Final = re.compile(r"`(?:[^`\\]|\\.)*`|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_SELECTS: Final = re.compile(r"(?:querySelector(?:All)?|closest|matches|getElementById)\($")
_SHOWS: Final = re.compile(
    r"(?:(?:textContent|innerText|title|placeholder|ariaLabel) = |(?:note|announce|showError)\()$"
)
_WORDS: Final = re.compile(r"\A\s*[A-Z][a-z]+\b(?![\w.(:])|[a-z]{2,}[.,;…]? [a-z]{2,}")
# Comments, and regular expressions, which hold quotes of their own.
_LEFT_OUT: Final = re.compile(
    r"^\s*//.*$|(?:(?<=[=,:] )|(?<=\()|(?<=\[))/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[gimsuy]*", re.M
)


def words_in(source: str) -> list[str]:
    """Return the texts of a script that a person would read, in order."""
    code = _LEFT_OUT.sub("", source)
    found = []
    for match in _LITERAL.finditer(code):
        text, before = match.group()[1:-1], code[max(0, match.start() - 40) : match.start()]
        if text in _NO_WORDS or _SELECTS.search(before):
            continue
        said = re.sub(r"\$\{[^{}]*\}", "", text)
        if _WORDS.search(said) or (_SHOWS.search(before) and re.search(r"[^\W\d_]{2,}", said)):
            found.append(text)
    return found


@pytest.mark.parametrize("source", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_no_words_stand_in_a_script(source: Path) -> None:
    assert words_in(source.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        'label.textContent = "Copied";',
        'const shown = "Copied";',
        "say('Saving…');",
        'note("saved");',
        "node.textContent = `${count} changes`;",
        'const fallback = "it was not saved";',
        "showError(elt, `The server answered ${status}. Nothing was lost.`);",
        'box.title = found ? name : "x"; box.ariaLabel = "choose";',
    ],
)
def test_words_would_be_seen(line: str) -> None:
    assert len(words_in(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        'form.querySelector("fieldset input");',
        'const key = "Mod+k";',
        "say(saved.dataset.again);",
        'element.setAttribute("aria-selected", "false");',
        "const next = text.replace(/\"Some words\"/, 'x');",
        '// say("Not saved") was here',
    ],
)
def test_what_is_no_words_is_left_alone(line: str) -> None:
    assert words_in(line) == []
