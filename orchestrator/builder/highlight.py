"""Source code as HTML with classes for its colours, made on the server by Python's own tokenizer."""

from __future__ import annotations

import io
import keyword
import re
import token
import tokenize
from collections.abc import Iterator
from typing import Final

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

_STRING, _COMMENT, _KEYWORD, _FUNCTION, _DECORATOR = "s", "c", "k", "fn", "d"
_LINE_STARTS: Final = {token.NEWLINE, tokenize.NL, token.INDENT, token.DEDENT}
_JAVASCRIPT: Final = re.compile(
    r"(?P<c>//[^\n]*|/\*.*?\*/)|(?P<s>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`)"
    r"|(?P<k>\b(?:async|await|const|default|else|export|for|function|if|import|let|new|of|return|throw|true|false|null)\b)",
    re.DOTALL,
)


def python(source: str) -> SafeString:
    """Return Python source with ``<span class=…>`` around strings, comments, keywords, definitions and decorators."""
    lines = source.splitlines(keepends=True)
    marks = list(_marks(source))
    parts: list[SafeString] = []
    row, column = 1, 0
    for (start_row, start), (end_row, end), css in marks:
        parts.append(_plain(_between(lines, (row, column), (start_row, start))))
        parts.append(_span(css, _between(lines, (start_row, start), (end_row, end))))
        row, column = end_row, end
    parts.append(_plain(_between(lines, (row, column), (len(lines) + 1, 0))))
    return _joined(parts)


def javascript(source: str) -> SafeString:
    """Return JavaScript source with the same classes; enough for our own examples."""
    parts: list[SafeString] = []
    at = 0
    for found in _JAVASCRIPT.finditer(source):
        parts += [_plain(source[at : found.start()]), _span(str(found.lastgroup), found.group())]
        at = found.end()
    return _joined([*parts, _plain(source[at:])])


def _marks(source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Yield start, end and class of each coloured token, in order."""
    before, opener = "", None
    for found in tokenize.generate_tokens(io.StringIO(source).readline):
        css = _class_of(found, before)
        if found.type == token.OP and found.string == "@" and before in {"", "\n"}:
            opener = found.start
        elif opener is not None and found.type == token.NAME:
            yield opener, found.end, _DECORATOR
            opener = None
        elif css:
            yield found.start, found.end, css
        before = "\n" if found.type in _LINE_STARTS else found.string


def _class_of(found: tokenize.TokenInfo, before: str) -> str:
    if found.type == token.NAME:
        if keyword.iskeyword(found.string):
            return _KEYWORD
        return _FUNCTION if before in {"def", "class"} else ""
    return {token.STRING: _STRING, tokenize.COMMENT: _COMMENT, token.NUMBER: _STRING}.get(found.type, "")


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    (row, column), (end_row, end_column) = start, end
    if row == end_row:
        return lines[row - 1][column:end_column] if row <= len(lines) else ""
    middle = lines[row : end_row - 1]
    last = lines[end_row - 1][:end_column] if end_row <= len(lines) else ""
    return "".join([lines[row - 1][column:] if row <= len(lines) else "", *middle, last])


def _plain(text: str) -> SafeString:
    return SafeString(escape(text))


def _span(css: str, text: str) -> SafeString:
    return format_html('<span class="{}">{}</span>', css, text)


def _joined(parts: list[SafeString]) -> SafeString:
    # Every part was escaped above.
    return mark_safe("".join(parts))  # noqa: S308
