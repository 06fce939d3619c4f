"""JSON text read a window at a time, so that it need not be in memory as Python objects at once. Pure.

A container that ends within its window is taken as it is; one that does not is gone into, element by element.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from integrations.words import gettext as _
from orchestrator import jsongate

if TYPE_CHECKING:
    from orchestrator.large.packing import Packer

WINDOW: Final = 128 * 1024
# How much of the next element belongs to what a boundary between two is known by, the most telling first.
_TELLING: Final = (6, 1)
# So many windows are read slowly where boundaries were not where they seemed to be.
_SLOWLY: Final = 8
_SPACE: Final = re.compile(rb"[ \t\r\n]*+")
_TEXT: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_COLON: Final = re.compile(r"[ \t\r\n]*+:[ \t\r\n]*+")
_AFTER: Final = re.compile(r"[ \t\r\n]*+([,\]}])[ \t\r\n]*+")
_CLOSERS: Final = {"{": "}", "[": "]"}


def _refuse(name: str) -> Any:
    raise jsongate.BadJSON(_("%(name)s is not JSON") % {"name": name})


_scan: Final = json.JSONDecoder(parse_constant=_refuse).scan_once  # type: ignore[attr-defined]
_scan_text: Final = json.decoder.scanstring  # type: ignore[attr-defined]


class Arriving:
    """One JSON text that is read from its beginning to its end and handed to a packer."""

    def __init__(self, data: bytes, packer: Packer) -> None:
        self._data, self._packer = data, packer
        self._at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        # What stood between two elements, and where its comma is.
        self._boundaries: list[tuple[bytes, int]] = []
        self._slowly = 0

    def value(self, depth: int, key: str | None) -> None:
        """Hand over the only value of the text. Raises BadJSON."""
        self._large(depth, key)
        if self._next():
            raise jsongate.BadJSON(
                _("not valid JSON: there is more after its end, at byte %(at)s") % {"at": f"{self._at:,}"}
            )

    def _large(self, depth: int, key: str | None) -> None:
        """Hand over the value that begins here: a container element by element, anything else whole."""
        begin = self._next()
        if begin in ("{", "["):
            if depth >= jsongate.MAX_DEPTH:
                raise jsongate.BadJSON(_("nested deeper than %(most)s levels") % {"most": jsongate.MAX_DEPTH})
            self._at += 1
            self._packer.begin(begin, key)
            self._elements(begin, depth)
            self._packer.end()
            return
        found = _TEXT.match(self._data, self._at) if begin == '"' else None
        end = found.end() if found else self._at + WINDOW
        self._packer.scalar(self._written(self._data[self._at : end]), key)
        self._at = min(end, len(self._data))

    def _written(self, text: bytes) -> bytes:
        """Return a text or a number as it is kept."""
        value = jsongate.loads(text, max_bytes=len(text))
        # It may be fifty megabytes, and so may what it is made into.
        del text
        return jsongate.dump_bytes(self._packer.clean(value))

    def _elements(self, kind: str, depth: int) -> None:
        """Hand over the elements of a container, a run at a time, up to its closing bracket."""
        if self._next() == _CLOSERS[kind]:
            self._at += 1
            return
        has_more = True
        while has_more:
            self._next()
            values, has_more = self._at_once(kind) or self._one_by_one(kind)
            if values:
                cleaned = self._packer.checked(values, depth)
                text = memoryview(jsongate.dump_bytes(cleaned))[1:-1]
                self._packer.run(text, len(values), cleaned if kind == "{" else ())
            elif has_more:
                # The next one goes beyond the window, or is wrong.
                self._large(depth + 1, self._key() if kind == "{" else None)
                has_more = self._goes_on(kind)

    def _at_once(self, kind: str) -> tuple[Any, bool] | None:
        """Return many elements, cut where it looks as it did between two others; None where that does not work.

        What is whole when read by itself is nothing but whole elements: from their beginning on there is but one way
        to read JSON.
        """
        if self._slowly or not self._boundaries:
            self._slowly = max(0, self._slowly - 1)
            return None
        window = self._data[self._at : self._at + WINDOW]
        for boundary, comma in self._boundaries:
            cut = window.rfind(boundary)
            if cut < 0:
                continue
            text = b"".join((kind.encode(), memoryview(window)[: cut + comma], _CLOSERS[kind].encode()))
            try:
                values = from_json(text, allow_inf_nan=False, cache_strings="keys")
            except ValueError:
                continue
            if values:
                self._at += cut + comma + 1
                return values, True
        self._slowly = _SLOWLY
        return None

    def _one_by_one(self, kind: str) -> tuple[Any, bool]:
        """Return the elements that end within the window, and whether others follow. None: the first one does not."""
        window = self._window()
        values: Any = {} if kind == "{" else []
        place = 0
        try:
            while True:
                name, start = self._name(window, place) if kind == "{" else ("", place)
                value, end = _scan(window, start)
                after = _AFTER.match(window, end)
                if after is None:
                    break
                if after[1] not in (",", _CLOSERS[kind]):
                    raise jsongate.BadJSON(
                        _("not valid JSON: %(sign)s closes nothing, near byte %(at)s")
                        % {"sign": after[1], "at": f"{self._at + end:,}"}
                    )
                if kind == "{":
                    values[name] = value
                else:
                    values.append(value)
                if after[1] != ",":
                    self._pass(window, after.end(1))
                    return values, False
                self._note(window, end, after)
                place = after.end()
        except RecursionError as error:
            raise jsongate.BadJSON(_("nested deeper than %(most)s levels") % {"most": jsongate.MAX_DEPTH}) from error
        except jsongate.BadJSON:
            raise
        except (StopIteration, ValueError):
            # Cut in the middle, or wrong: which of the two is found out from where it begins.
            pass
        self._pass(window, place)
        return values, True

    def _note(self, window: str, end: int, after: re.Match[str]) -> None:
        """Remember how it looks between two elements."""
        if not self._slowly and after.end() + _TELLING[0] <= len(window):
            begin, comma = end - 1, after.start(1) - end + 1
            self._boundaries = [(window[begin : after.end() + size].encode(), comma) for size in _TELLING]

    def _name(self, window: str, place: int) -> tuple[str, int]:
        """Return a member's name and where its value begins. Raises ValueError."""
        if window[place : place + 1] != '"':
            raise ValueError(_("a name is missing"))
        name, end = _scan_text(window, place + 1)
        colon = _COLON.match(window, end)
        if colon is None:
            raise ValueError(_("a colon is missing"))
        return name, colon.end()

    def _key(self) -> str:
        """Return the name of the member that begins here, and go to its value. Raises BadJSON."""
        try:
            window = self._window()
            name, place = self._name(window, 0)
        except ValueError as error:
            raise jsongate.BadJSON(
                _("not valid JSON: %(error)s, at byte %(at)s") % {"error": error, "at": f"{self._at:,}"}
            ) from None
        self._pass(window, place)
        return str(self._packer.clean(name))

    def _goes_on(self, kind: str) -> bool:
        """Go past what follows an element; return whether others do. Raises BadJSON for what cannot follow."""
        found = self._next()
        if found not in (",", _CLOSERS[kind]):
            raise jsongate.BadJSON(
                _("not valid JSON: a %(sign)s is missing, at byte %(at)s")
                % {"sign": _CLOSERS[kind], "at": f"{self._at:,}"}
            )
        self._at += 1
        return found == ","

    def _next(self) -> str:
        """Go past white space; return the character that follows, empty at the end."""
        found = _SPACE.match(self._data, self._at)
        assert found is not None
        self._at = found.end()
        return self._data[self._at : self._at + 1].decode("latin-1")

    def _window(self) -> str:
        """Return the characters that are next. Raises BadJSON where they are none."""
        end = self._at + WINDOW
        while self._at < end < len(self._data) and self._data[end] & 0xC0 == 0x80:
            end -= 1
        try:
            return self._data[self._at : end].decode()
        except UnicodeDecodeError as error:
            raise jsongate.BadJSON(_("the text is not UTF-8")) from error

    def _pass(self, window: str, characters: int) -> None:
        self._at += characters if window.isascii() else len(window[:characters].encode())
