"""Finding something by what a person types: words in any order, one typo each. Pure; ``add-step.js`` does the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Shorter words would match nearly everything with one letter wrong.
MIN_FUZZY: Final = 4
_WORD: Final = re.compile(r"[\w#+.-]+")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a text; ``hit`` when it is what was searched for."""

    text: str
    hit: bool = False


def terms(query: str) -> tuple[str, ...]:
    """Return the words of a query, in lower case."""
    return tuple(_WORD.findall(query.lower()))[:12]


def score(wanted: Sequence[str], name: str, haystack: str) -> int | None:
    """Return how well a row fits, the best being 0, or None when it does not.

    ``name`` is what the row shows; ``haystack`` all that is searched, both in lower case.
    """
    if not wanted:
        return 0
    if not all(_found(term, haystack) for term in wanted):
        return None
    if name.startswith(" ".join(wanted)):
        return 0
    if all(term in name for term in wanted):
        return 1
    return 2 if all(term in haystack for term in wanted) else 3


def pieces(text: str, wanted: Sequence[str]) -> tuple[Piece, ...]:
    """Return a text cut where the words of a query stand in it."""
    if not wanted:
        return (Piece(text=text),)
    longest_first = sorted(set(wanted), key=len, reverse=True)
    parts = re.split(f"({'|'.join(map(re.escape, longest_first))})", text, flags=re.IGNORECASE)
    return tuple(Piece(text=part, hit=index % 2 == 1) for index, part in enumerate(parts) if part)


def near(left: str, right: str) -> bool:
    """Whether two words differ by at most one letter: another, one more, one less, or two swapped."""
    if abs(len(left) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    a, b = left[start:], right[start:]
    return (
        a[1:] == b[1:]
        or a[1:] == b
        or a == b[1:]
        or (len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:])
    )


def kept(term: str) -> tuple[str, ...]:
    """Return texts of which every word that is ``near`` the term has one, so that a database can look for them."""
    half = len(term) // 2
    swapped = term[: half - 1] + term[half] + term[half - 1] + term[half + 1 :]
    return term[:half], term[half:], swapped


def _found(term: str, haystack: str) -> bool:
    if term in haystack:
        return True
    # Most texts are told from a term by this alone; comparing word by word is what takes time.
    if len(term) < MIN_FUZZY or not any(part in haystack for part in kept(term)):
        return False
    # Also against beginnings: a word that is not typed to its end may have its typo already.
    lengths = (len(term) - 1, len(term), len(term) + 1)
    words = _WORD.findall(haystack)
    return any(near(term, word) or any(near(term, word[:length]) for length in lengths) for word in words)
