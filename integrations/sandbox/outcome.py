"""What comes of a piece of code, and the limits that every language shares."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from integrations.words import gettext as _
from integrations.words import gettext_noop, ngettext

NO_NETWORK: Final = gettext_noop("Code steps have no network or packages: write it as a Python action or an HTTP step")

MAX_SECONDS: Final = 30.0
MAX_MEMORY: Final = 64 * 1024 * 1024
MAX_CODE_BYTES: Final = 256 * 1024
MAX_INPUT_BYTES: Final = 4 * 1024 * 1024
MAX_OUTPUT_BYTES: Final = 4 * 1024 * 1024
MAX_LOG_BYTES: Final = 64 * 1024
MAX_LOG_LINES: Final = 500
MAX_DEPTH: Final = 100
MAX_RECURSION: Final = 500


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the code returned, as JSON data, and the lines that it printed."""

    value: Any
    log: tuple[str, ...] = ()


class CodeFailed(Exception):
    """The code is wrong or raised; ``line`` counts from 1. ``log`` is what it printed before that."""

    def __init__(self, message: str, *, line: int | None = None, log: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.line, self.log = message, line, log


class OverLimit(CodeFailed):
    """The code met a limit of the sandbox."""


class NoNetwork(CodeFailed):
    """The code reaches for what is outside the sandbox."""

    def __init__(self, *, line: int | None = None, log: tuple[str, ...] = ()) -> None:
        super().__init__(_(NO_NETWORK), line=line, log=log)


def input_text(code: str, value: Any) -> str:
    """Return the input as JSON text. Raises OverLimit for code or input that is too large."""
    if len(code.encode("utf-8", "surrogatepass")) > MAX_CODE_BYTES:
        raise OverLimit(
            _("The code has more than %(most)s bytes. Move some of it into a Python action.")
            % {"most": f"{MAX_CODE_BYTES:,}"}
        )
    text = json.dumps(value)
    if len(text) > MAX_INPUT_BYTES:
        raise OverLimit(
            _("The input has more than %(most)s bytes. Give the code only what it needs.")
            % {"most": f"{MAX_INPUT_BYTES:,}"}
        )
    return text


def plain(value: Any) -> Any:
    """Return a returned value as JSON data. Raises CodeFailed for what JSON cannot say, OverLimit for too much."""
    budget = [MAX_OUTPUT_BYTES]
    return _plain(value, budget, 0)


def _plain(value: Any, budget: list[int], depth: int) -> Any:
    budget[0] -= len(value) + 2 if isinstance(value, str) else 8
    if budget[0] < 0:
        raise OverLimit(
            _("The code returned more than %(most)s bytes. Return less of it.") % {"most": f"{MAX_OUTPUT_BYTES:,}"}
        )
    if depth > MAX_DEPTH:
        raise OverLimit(
            _("What the code returned is nested deeper than %(most)s levels. Return a flatter value.")
            % {"most": MAX_DEPTH}
        )
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CodeFailed(
                _("The code returned %(value)s, which JSON has no number for. Return null or text instead.")
                % {"value": value}
            )
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, budget, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_name(key): _plain(item, budget, depth + 1) for key, item in value.items()}
    kind = type(value).__name__
    raise CodeFailed(
        _("The code returned a %(kind)s, which is no JSON. Return text, numbers, lists or dictionaries.")
        % {"kind": kind}
    )


def _number(value: int) -> int:
    if value.bit_length() > 1_024:
        raise OverLimit(_("The code returned a whole number of more than 300 digits. Return it as text."))
    return value


def _name(key: Any) -> str:
    if not isinstance(key, str):
        raise CodeFailed(
            _("The code returned a dictionary with the key %(key).40r. JSON's keys are text.") % {"key": key}
        )
    return key


def log_lines(text: str) -> tuple[str, ...]:
    """Return what was printed as lines, cut to the limits."""
    lines = text[:MAX_LOG_BYTES].splitlines()
    if len(lines) > MAX_LOG_LINES:
        more = len(lines) - MAX_LOG_LINES
        return (
            *lines[:MAX_LOG_LINES],
            ngettext("… %(count)d more line", "… %(count)d more lines", more) % {"count": more},
        )
    return tuple(lines)
