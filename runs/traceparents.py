"""Ids of traces and spans, made from those of runs, and the header that carries them. Pure.

Whoever drives a run makes the same ids: several drivers, a crash and a takeover are one trace. The header is
``traceparent`` of the W3C's Trace Context.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

HEADER: Final = "traceparent"
# A later version may have more behind the flags.
_FORM: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?")
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a trace, by their ids."""

    trace: int
    span: int


def trace_id(run_id: int) -> int:
    """Return the 128-bit id of a run's trace."""
    return _number(f"run/{run_id}", 16)


def span_id(run_id: int, path: str = "", number: int = 0) -> int:
    """Return the 64-bit id of an attempt's span; without a path, of the run's own."""
    return _number(f"span/{run_id}/{number}/{path}", 8)


def place(run_id: int, path: str = "", number: int = 0) -> Place:
    """Return where an attempt is; without a path, the run itself."""
    return Place(trace_id(run_id), span_id(run_id, path, number))


def written(place: Place, *, sampled: bool) -> str:
    """Return the header's value."""
    return f"00-{place.trace:032x}-{place.span:016x}-{'01' if sampled else '00'}"


def parsed(value: object) -> Place | None:
    """Return what a header's value names, None where it is none."""
    found = _FORM.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _MOST else None
    if found is None or (found[1] == "00" and found[4]):
        return None
    named = Place(int(found[2], 16), int(found[3], 16))
    return named if named.trace and named.span else None


def of_trigger(trigger: Any) -> Place | None:
    """Return what the sender of a run's trigger named, None where it named nothing."""
    headers = trigger.get("headers") if isinstance(trigger, Mapping) else None
    return parsed(headers.get(HEADER)) if isinstance(headers, Mapping) else None


def _number(text: str, size: int) -> int:
    # Zero is no id.
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()) or 1
