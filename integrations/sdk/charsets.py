"""Bytes as the text that somebody else says they are: whatever charset is named, in a time that they are worth.

Some of Python's codecs are for host names, and take the square of a text's length: a minute for half a megabyte.
"""

from __future__ import annotations

import codecs
from typing import Final

USUAL: Final = "utf-8"
_FOR_NAMES: Final = frozenset({"punycode", "idna"})


def is_for_names(charset: str) -> bool:
    """Whether it is a charset that no text is written in, only host names are."""
    try:
        return codecs.lookup(charset).name in _FOR_NAMES
    except (LookupError, ValueError):
        return False


def known(charset: str) -> str:
    """Return the charset if bytes can be read by it, else an empty text."""
    try:
        # Not every codec makes text of bytes, which it says when there are any.
        is_fit = not is_for_names(charset) and b"<".decode(charset, "replace") != ""
    except (LookupError, ValueError):
        return ""
    return charset if is_fit else ""


def decoded(data: bytes, charset: str) -> str:
    """Return the text, as UTF-8 where nothing can be read by the charset; what is none of its letters is U+FFFD."""
    try:
        return data.decode(known(charset) or USUAL, "replace")
    except ValueError:
        return data.decode(USUAL, "replace")
