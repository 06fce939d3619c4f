"""What of a run's page is asked for: all of it is in the address, so that a link shows the same to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from runs.outline import TRIGGER
from runs.paths import is_item, is_path

SHOWN: Final = ("input", "output", "item")
_MOST: Final = 1_000_000_000
_LONGEST: Final = 2_000


@dataclass(frozen=True, kw_only=True)
class Address:
    """``step`` is the path that is selected, ``loop`` the one whose items are shown, beginning with ``start``.

    ``failed`` narrows these to the failed ones, ``rows`` is the first line of the timeline, ``show`` a large value.
    ``value`` and ``at`` are an entry of a value that is looked at by itself, as a ``table`` if it can be one; ``find``
    is what is searched for in the values.
    """

    base: str
    step: str = ""
    attempt: int | None = None
    tab: str = ""
    loop: str = ""
    start: int | None = None
    failed: bool = False
    rows: int | None = None
    show: str = ""
    value: str = ""
    at: str = ""
    find: str = ""
    table: bool = False

    @classmethod
    def read(cls, base: str, query: Mapping[str, str]) -> Address:
        """Return what a query string asks for; what makes no sense is as if it were not there."""
        step, loop = query.get("step", ""), query.get("loop", "")
        return cls(
            base=base,
            step=step if step == TRIGGER or is_path(step) else "",
            attempt=_number(query.get("attempt", "")),
            tab=query.get("tab", ""),
            loop=loop if is_path(loop) and not is_item(loop) else "",
            start=_number(query.get("from", "")),
            failed=query.get("failed") == "1",
            rows=_number(query.get("rows", "")),
            show=query["show"] if query.get("show") in SHOWN else "",
            value=query["value"] if query.get("value") in SHOWN else "",
            at=query.get("at", "")[:_LONGEST],
            find=query.get("find", "").strip()[:200],
            table=query.get("as") == "table",
        )

    def opening(self, loop: str, start: int | None = None, *, failed: bool = False) -> Address:
        """Return the address with the items of a loop shown."""
        return replace(self, loop=loop, start=start, failed=failed)

    def selecting(self, step: str) -> Address:
        """Return the address with a step selected, and the rest of the timeline as it is."""
        return replace(self.whole, step=step, attempt=None, tab="", show="")

    @property
    def whole(self) -> Address:
        """Return the address with nothing of a value looked at by itself."""
        return replace(self, value="", at="", find="", table=False)

    @property
    def query(self) -> str:
        given = {
            "step": self.step,
            "attempt": self.attempt,
            "tab": self.tab,
            "loop": self.loop,
            "from": self.start,
            "failed": "1" if self.failed else "",
            "rows": self.rows,
            "show": self.show,
            "value": self.value,
            "at": self.at,
            "find": self.find,
            "as": "table" if self.table else "",
        }
        return urlencode({name: value for name, value in given.items() if value not in ("", None)})

    @property
    def url(self) -> str:
        return f"{self.base}?{self.query}" if self.query else self.base


def _number(text: str) -> int | None:
    return min(int(text), _MOST) if text.isascii() and text.isdigit() and len(text) < 19 else None
