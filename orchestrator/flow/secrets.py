"""What looks like a secret in a text, so that it can be warned of and left out. Pure.

By its shape alone: comparing texts with stored secrets would let whoever may edit a workflow guess at them.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "••••••"
# Third parties' texts are looked through too: whatever may be long begins where no other can, so that the time taken
# grows with the text's length and not with its square.
_SHAPES: Final = re.compile(
    r"xox[abprs]-[\w-]{10,}|\b[sr]k[-_][A-Za-z0-9_-]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{16,}|\bnpm_[A-Za-z0-9]{30,}|\bAIza[\w-]{30,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\bAKIA[0-9A-Z]{16}"
    r"|Bearer\s+[\w.~+/=-]{16,}|(?<![\w-])(?=[\w-]*eyJ)[\w-]{13,}+\.eyJ[\w-]{10,}[\w.-]*"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    r"|(?<=://)[^\s/:@{}]{1,100}:[^\s/@{}]{4,200}(?=@)"
)
# What a member of this name holds is one, if it is a single word of both letters and digits.
_NAMES: Final = re.compile(
    r"(?:^|[_.-])(?:authorization|password|passwd|secret|api[_-]?key|access[_-]?token|private[_-]?key)$", re.I
)
_WORD: Final = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])[^\s{}]{12,}")


def looks_secret(text: str, name: str = "") -> bool:
    """Whether a text holds what looks like a secret; ``name`` is that of the field or member that it stands in."""
    return _SHAPES.search(text) is not None or _is_named(text, name)


def hidden(text: str, name: str = "") -> str:
    """Return the text without what looks like a secret in it."""
    return HIDDEN if _is_named(text, name) else _SHAPES.sub(HIDDEN, text)


def _is_named(text: str, name: str) -> bool:
    return _NAMES.search(name) is not None and _WORD.fullmatch(text) is not None
