"""References of a step's texts that lead to nothing: why each does, and what is near it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _

from integrations.registry import registry
from orchestrator.builder.data import place_of
from orchestrator.builder.form_reading import PREFIX
from orchestrator.builder.picker import member
from orchestrator.builder.readable import Broken, Near
from orchestrator.flow.compiler import Reference
from orchestrator.flow.expressions import ExpressionError, compile_template, find_templates
from orchestrator.types import JSONValue

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

# A form is drawn at every save: what it looks through and offers is bounded.
MAX_BROKEN: Final = 6
MAX_NEAR: Final = 3
_MAX_NAMES: Final = 400
_MAX_DEPTH: Final = 6
_SHOWN: Final = 80
_MAX_CHOICE: Final = 2_000
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
# Names as alike as "company.size" and "size_of_company" are worth offering.
_LIKE: Final = 0.5


def broken(board: Board, key: str) -> dict[str, tuple[Broken, ...]]:
    """Return the broken references of a step's fields, by field; a field without one is left out.

    Those are references to a step that does not come before this one, and to a name that is not in what the step gave
    last. One inside ``default()`` may be missing.
    """
    inputs = board.by_key[key].config.inputs
    texts = {name: [text for _path, text in find_templates(value)] for name, value in inputs.items()}
    if not any(texts.values()):
        return {}
    judge = _Judge(board, key)
    found = {name: tuple(judge.all_of(name, lines)) for name, lines in texts.items()}
    return {name: lines for name, lines in found.items() if lines}


def put_instead(posted: Mapping[str, Sequence[str]], choice: str) -> tuple[dict[str, list[str]], str]:
    """Return posted texts with another reference in place of a broken one, and the name of the field where it is.

    ``choice`` is :attr:`Near.choice` as a page gave it back; anything else changes nothing.
    """
    unchanged = {name: list(texts) for name, texts in posted.items()}
    try:
        given = json.loads(choice[:_MAX_CHOICE])
    except (ValueError, RecursionError):
        return unchanged, ""
    # What cannot be printed cannot always be stored, or stand in an address.
    texts = isinstance(given, list) and all(isinstance(each, str) and each and each.isprintable() for each in given)
    if not texts or len(given) != 3:
        return unchanged, ""
    gone, path, field = given
    at = f"{PREFIX}{field}"
    whole = re.compile(rf"(?<![\w.]){re.escape(gone)}(?![\w.\[])")

    def mended(text: str) -> str:
        # Behind the last end there is no expression: looking for one from every beginning would take very long.
        head, end, rest = text.rpartition("}}")
        return _TEMPLATE.sub(lambda found: whole.sub(lambda _: path, found.group()), head + end) + rest

    for name in unchanged:
        if name == at or name.startswith(f"{at}."):
            unchanged[name] = [mended(text) for text in unchanged[name]]
    return unchanged, field


class _Judge:
    """Judges references at one step, by the steps before it and what they gave last."""

    def __init__(self, board: Board, key: str) -> None:
        self.board = board
        place = place_of(board.definition.steps, key)
        self.before = {step.key: step for step, _is_sure in place.before} if place else {}

    def all_of(self, field: str, texts: list[str]) -> Iterator[Broken]:
        """Yield the broken references of a field's texts, each once."""
        seen: set[str] = set()
        for text in texts:
            try:
                references = compile_template(text).references
            except (ExpressionError, RecursionError):
                # Wrong, which the check tells at the field.
                continue
            for reference in references:
                found = None if reference.path in seen or len(seen) >= MAX_BROKEN else self._judged(field, reference)
                if found is not None:
                    seen.add(reference.path)
                    yield found

    def _judged(self, field: str, reference: Reference) -> Broken | None:
        if reference.root != "steps" or reference.tolerant or not reference.parts:
            return None
        key, rest = str(reference.parts[0]), reference.parts[1:]
        if key not in self.before:
            return self._without_step(field, reference, key, rest)
        if rest[:1] != ("output",) or len(rest) == 1:
            return None
        given = self._given(key)
        # What is no object may have been empty by chance; a list's items come and go.
        if not isinstance(given, dict) or _has(given, rest[1:]):
            return None
        path = f"steps.{key}.output"
        words = reference.path.removeprefix(f"{path}.")
        near = ((f"{path}{name}", name.lstrip(".")) for name in _alike(words, list(_names(given))))
        why = _("Step %(number)s no longer gives %(name)s.")
        number = self.board.numbers[key]
        return _broken(field, reference, why % {"number": number, "name": words[:_SHOWN]}, near)

    def _without_step(self, field: str, reference: Reference, key: str, rest: tuple[str | int, ...]) -> Broken:
        after = reference.path.removeprefix(f"steps.{key}")
        near = (
            (f"steps.{name}{after}", f"{name}{after.removeprefix('.output')}")
            for name in get_close_matches(key[:_SHOWN], list(self.before), n=MAX_NEAR, cutoff=_LIKE)
            if rest[:1] != ("output",) or _has(self._given(name), rest[1:])
        )
        why = _("No step “%(key)s” comes before this one.") % {"key": key[:_SHOWN]}
        return _broken(field, reference, why, near)

    def _given(self, key: str) -> JSONValue:
        """Return what a step gave last, or what its action says that it gives; None where nobody knows."""
        _trigger, outputs = self.board.samples
        if key in outputs:
            return outputs[key].get("output")
        action = registry.get(self.before[key].action)
        return action.sample if action is not None else None


def _broken(field: str, reference: Reference, why: str, near: Iterator[tuple[str, str]]) -> Broken:
    return Broken(
        path=reference.path,
        why=why,
        near=tuple(
            Near(words=each[:_SHOWN], choice=json.dumps([reference.path, path, field], ensure_ascii=False))
            for path, each in near
        ),
    )


def _has(value: JSONValue, parts: tuple[str | int, ...]) -> bool:
    """Return whether a value has what is at a path; what is below a list or nothing may be there another time."""
    for part in parts:
        if not isinstance(value, Mapping):
            return True
        if part not in value:
            return False
        value = value[str(part)]
    return True


def _names(value: dict[str, JSONValue]) -> Iterator[str]:
    """Yield the paths of what an object holds, breadth first: ``.company``, ``.company.size``."""
    level = [("", value)]
    left = _MAX_NAMES
    for _depth in range(_MAX_DEPTH):
        deeper: list[tuple[str, dict[str, JSONValue]]] = []
        for path, inner in level:
            for name, held in inner.items():
                left -= 1
                if left < 0:
                    return
                yield member(path, name)
                if isinstance(held, dict):
                    deeper.append((member(path, name), held))
        level = deeper


def _alike(wanted: str, names: list[str]) -> list[str]:
    """Return the names most alike, those first that end as the wanted one does: it may just have moved."""
    last = _last(wanted)
    moved = [name for name in names if _last(name) == last]
    whole = {name.lstrip("."): name for name in names}
    ends = {_last(name): name for name in reversed(names)}
    near = [
        known[each]
        for known, text in ((whole, wanted), (ends, last))
        for each in get_close_matches(text[:_SHOWN], list(known), n=MAX_NEAR, cutoff=_LIKE)
    ]
    return list(dict.fromkeys([*moved, *near]))[:MAX_NEAR]


def _last(name: str) -> str:
    return name.rpartition(".")[2]
