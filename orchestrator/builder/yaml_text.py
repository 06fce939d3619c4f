"""YAML as plain data, read from the parser's events. Pure.

A loader that builds objects recurses in C: a text of brackets alone ends the process. Here nothing recurses, no tag
makes an object, a merge key is a key like any other, and what an alias repeats is there once.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml
from django.utils.translation import gettext as _

MAX_DEPTH: Final = 64
MAX_EVENTS: Final = 300_000
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,2})?")
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadYAML(ValueError):
    """A text that is no YAML that is taken here; the message says why."""


def loads(text: str) -> Any:
    """Return what a YAML document says, its keys as texts. Raises BadYAML."""
    try:
        return _Builder().built(yaml.parse(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or _("it cannot be read")
        raise BadYAML(_("line %(line)d: %(problem)s") % {"line": line, "problem": problem}) from None


class _Builder:
    """Puts values into the containers that are open."""

    def __init__(self) -> None:
        self._root: Any = None
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []
        self._anchors: dict[str, Any] = {}

    def built(self, events: Any) -> Any:
        for number, event in enumerate(events):
            if number > MAX_EVENTS:
                raise BadYAML(_("more than %(most)s values") % {"most": f"{MAX_EVENTS:,}"})
            if isinstance(event, yaml.ScalarEvent):
                self._add(event, _scalar(event))
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._open.pop()
                self._keys.pop()
            elif isinstance(event, yaml.AliasEvent):
                self._repeat(event)
            elif isinstance(event, yaml.DocumentEndEvent):
                break
        return self._root

    def _begin(self, event: Any) -> None:
        if len(self._open) == MAX_DEPTH:
            raise BadYAML(_("nested deeper than %(most)s levels") % {"most": MAX_DEPTH})
        made: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._add(event, made)
        self._open.append(made)
        self._keys.append(None)

    def _repeat(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            raise BadYAML(_("the alias %(name).60s is of nothing") % {"name": event.anchor})
        self._put(event, self._anchors[event.anchor])

    def _add(self, event: Any, value: Any) -> None:
        if event.anchor:
            self._anchors[event.anchor] = value
        self._put(event, value)

    def _put(self, event: Any, value: Any) -> None:
        if not self._open:
            self._root = value
            return
        held, key = self._open[-1], self._keys[-1]
        if isinstance(held, list):
            held.append(value)
        elif key is not None:
            held[key] = value
            self._keys[-1] = None
        elif isinstance(event, yaml.ScalarEvent):
            self._keys[-1] = event.value
        else:
            raise BadYAML(_("line %(line)d: a key is no text") % {"line": event.start_mark.line + 1})


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
