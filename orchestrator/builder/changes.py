"""What changed between two versions, in words and marked texts, by step and field."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext

from integrations.registry import registry
from integrations.sdk.fields import WORDS
from orchestrator.builder import spoken
from orchestrator.builder.marks import Bit, Marked, Marker
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.diff import Change, diff
from orchestrator.types import JSONValue
from orchestrator.workflows.secret_inputs import credential_fields, kept_document
from runs.outline import lane_words

Grouped: TypeAlias = Mapping[str, Sequence[Change]]

# What a page shows: its elements are bounded, whatever a workflow holds.
MAX_BLOCKS: Final = 80
MAX_LINES: Final = 160
_LINES_OF_ONE: Final = 40
# A line with so many marks takes the room of another one.
_MARKS_A_LINE: Final = 6
_PART: Final = re.compile(r"\[\d+\]|[^.\[\]]+")
_TAGS: Final[Mapping[str, str]] = {
    "added": noop("new"),
    "removed": noop("removed"),
    "changed": noop("changed"),
    "moved": noop("moved"),
}
_LABELS: Final[Mapping[str, str]] = {
    "name": noop("Name"),
    "slug": noop("Address name"),
    "description": noop("Description"),
    "output": noop("Output"),
    "action": noop("Action"),
    "credential": noop("Credential"),
    "notes": noop("Notes"),
    "type": noop("Type"),
    "config": noop("Setup"),
    "config.inputs": noop("Inputs"),
    "lanes": noop("Lane"),
    "place": noop("Place"),
    "config.retry": noop("Retries"),
    "config.timeout": noop("Time limit"),
    "config.on_error": noop("When it fails"),
    "config.on_lost": noop("When its answer is lost"),
    "config.run_if": noop("Runs only if"),
    "config.skip": noop("Left out"),
    "settings.timeout": noop("Time limit"),
    "settings.max_concurrent_runs": noop("Runs at once"),
    "settings.on_limit": noop("When so many are under way"),
    "settings.error_workflow": noop("Workflow for failures"),
    "settings.retention_days": noop("Days that runs are kept"),
    "settings.summary": noop("Data in the list of runs"),
}
_TRIGGERS: Final[Mapping[str, str]] = {
    "manual": noop("When somebody presses Run"),
    "webhook": noop("When a request arrives"),
    "schedule": noop("At set times"),
    "form": noop("When a form is sent"),
    "polling": noop("When something new appears"),
    "event": noop("When something happens in an app"),
    "error": noop("When a run fails"),
    "workflow": noop("When another workflow calls it"),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One field or member of it."""

    label: str
    marked: Marked


@dataclass(frozen=True, kw_only=True)
class Block:
    """A step, a trigger or the workflow itself, with its fields; ``depth`` counts the lanes around it.

    The ``lines`` of what came or went as a whole are ``folded`` under its ``facts``.
    """

    tile: str
    title: str
    number: int = 0
    tags: tuple[tuple[str, str], ...] = ()
    facts: str = ""
    lines: tuple[Line, ...] = ()
    folded: bool = False
    more: int = 0
    removed: bool = False
    depth: int = 0


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """What a page shows of ``count`` blocks, and how many it leaves out."""

    shown: tuple[Block, ...] = ()
    count: int = 0

    @property
    def more(self) -> int:
        return self.count - len(self.shown)


def grouped(old: WorkflowDefinition | None, new: WorkflowDefinition, *, rebound: Collection[str] = ()) -> Grouped:
    """Return the changes by what they are about, in the document's order; everything is new without ``old``.

    ``rebound`` are the names of credentials that another credential has now.
    """
    found: dict[str, list[Change]] = {}
    for change in (*diff(_before(old, new), new), *_rebound(old, new, rebound)):
        found.setdefault(change.subject, []).append(change)
    return found


def blocks(old: WorkflowDefinition | None, new: WorkflowDefinition, *, rebound: Collection[str] = ()) -> Blocks:
    """Return what changed from ``old`` to ``new``, to read."""
    return _Writer(_before(old, new), new).blocks(grouped(old, new, rebound=rebound))


def document_blocks(definition: WorkflowDefinition) -> Blocks:
    """Return a whole document to read: triggers, then steps with what is filled in."""
    return _Writer(definition, definition).document()


def _before(old: WorkflowDefinition | None, new: WorkflowDefinition) -> WorkflowDefinition:
    return old or new.model_copy(update={"steps": (), "triggers": ()})


def _rebound(old: WorkflowDefinition | None, new: WorkflowDefinition, names: Collection[str]) -> Iterator[Change]:
    was = _steps(old) if old else {}
    for key, step in _steps(new).items():
        before = credential_fields(was[key]) if key in was else {}
        for field, name in credential_fields(step).items():
            if name in names and before.get(field) == name:
                yield Change(kind="changed", subject=f"steps.{key}", field=field, before=name, after=name)


def step_title(step: StepDefinition) -> str:
    """Return what a step is called on a page: by its own name, else by what it does."""
    return spoken.step_title(step.name, step.action, step.key)


def trigger_title(kind: str) -> str:
    """Return what a trigger of this type is called on a page."""
    return _(_TRIGGERS.get(kind, kind))


def step_numbers(definition: WorkflowDefinition) -> dict[str, int]:
    """Return the number of each step, by key: triggers count first, as in the builder."""
    first = max(1, len(definition.triggers)) + 1
    return {step.key: number for number, (_path, step) in enumerate(definition.walk(), first)}


def field_label(action_key: str, field: str) -> str:
    """Return the words for a field's path within a step, like ``config.inputs.to[1]``: ``To · item 2``."""
    if field.startswith("config.inputs."):
        name, *rest = _PART.findall(field.removeprefix("config.inputs.")) or [""]
        return _path_words(str(_input_schema(action_key, name).get("title") or name), rest)
    for known in (field, ".".join(field.split(".")[:2]), field.split(".")[0].partition("[")[0]):
        if known in _LABELS:
            return _path_words(_(_LABELS[known]), _PART.findall(field.removeprefix(known)))
    return field


def _value_words(action_key: str, field: str, value: JSONValue) -> JSONValue:
    """Return what a value of a choice is called on pages, any other value as it is."""
    if not isinstance(value, str) or not field.startswith("config.inputs."):
        return value
    called: str = _input_schema(action_key, field.removeprefix("config.inputs.")).get(WORDS, {}).get(value, value)
    return called


def _input_schema(action_key: str, name: str) -> Mapping[str, Any]:
    action = registry.get(action_key)
    found: Mapping[str, Any] = spoken.input_schema_of(action).get("properties", {}).get(name, {}) if action else {}
    return found


def option_label(name: str) -> str:
    """Return the words for what a step has beside its inputs, like ``credential`` or ``timeout``."""
    label = _LABELS.get(name) or _LABELS.get(f"config.{name}")
    return _(label) if label else name.replace("_", " ").capitalize()


def _path_words(first: str, rest: Iterable[str]) -> str:
    parts = (_("item %d") % (int(part[1:-1]) + 1) if part.startswith("[") else part for part in rest)
    return " · ".join([first, *parts])


class _Writer:
    """Writes the blocks of one page, within its bounds."""

    def __init__(self, old: WorkflowDefinition, new: WorkflowDefinition) -> None:
        self.old, self.new = old, new
        self.steps = {**_steps(old), **_steps(new)}
        self.was, self.now = step_numbers(old), step_numbers(new)
        self.marker = Marker(old={**self.was, "trigger": 1}, new={**self.now, "trigger": 1})
        self.left = MAX_LINES

    def blocks(self, changes: Grouped) -> Blocks:
        shown = list(changes.items())[:MAX_BLOCKS]
        return Blocks(shown=tuple(self._block(*each) for each in shown), count=len(changes))

    def document(self) -> Blocks:
        triggers = [(trigger.type.value, trigger.key, trigger.config) for trigger in self.new.triggers]
        made = [
            Block(tile=kind, title=trigger_title(kind), facts=key, **self._fitting(self._config_lines(config, "")))
            for kind, key, config in triggers[:MAX_BLOCKS]
        ]
        steps = list(self.new.walk())
        made += [
            Block(
                tile=step.action,
                title=step_title(step),
                number=self.now[step.key],
                facts=spoken.action_words(step.action),
                depth=min(path.count(".lanes."), 6),
                **self._fitting(self._step_lines(step)),
            )
            for path, step in steps[: MAX_BLOCKS - len(made)]
        ]
        return Blocks(shown=tuple(made), count=len(triggers) + len(steps))

    def _block(self, subject: str, changes: Sequence[Change]) -> Block:
        kind, _dot, key = subject.partition(".")
        tags = tuple((name, _(words)) for name, words in _TAGS.items() if any(c.kind == name for c in changes))
        of_whole = any(change.kind in ("added", "removed") for change in changes)
        made = Block(
            tile="workflow",
            title=_("The workflow itself"),
            tags=tags,
            folded=of_whole,
            removed=any(change.kind == "removed" for change in changes),
        )
        if kind == "steps":
            return self._step(made, self.steps[key], changes)
        if kind == "triggers":
            return self._trigger(made, key, changes)
        return replace(made, **self._fitting(self._lines(changes, "")))

    def _step(self, made: Block, step: StepDefinition, changes: Sequence[Change]) -> Block:
        facts = _facts(step) if made.folded else ""
        if made.removed:
            facts = _("was step %(number)d") % {"number": self.was[step.key]}
        return replace(
            made,
            tile=step.action,
            title=step_title(step),
            number=self.now.get(step.key, 0),
            facts=facts,
            **self._fitting(self._step_lines(step) if made.folded else self._lines(changes, step.action)),
        )

    def _trigger(self, made: Block, key: str, changes: Sequence[Change]) -> Block:
        found = next(trigger for trigger in (*self.new.triggers, *self.old.triggers) if trigger.key == key)
        kind = found.type.value
        lines = self._config_lines(found.config, "") if made.folded else self._lines(changes, "")
        return replace(made, tile=kind, title=trigger_title(kind), facts=key, **self._fitting(lines))

    def _fitting(self, lines: Iterable[Line]) -> dict[str, Any]:
        """Return as many lines as the page has room for, and how many it has not."""
        made: list[Line] = []
        more = 0
        for line in lines:
            if self.left > 0 and len(made) < _LINES_OF_ONE:
                made.append(line)
                self.left -= 1 + line.marked.elements // _MARKS_A_LINE
            else:
                more += 1
        return {"lines": tuple(made), "more": more}

    def _lines(self, changes: Iterable[Change], action: str) -> Iterator[Line]:
        for change in changes:
            if change.kind == "moved":
                yield self._moved(change)
            elif change.kind == "changed":
                for field, before, after in _members(change.field, change.before, change.after):
                    yield self._line(field, before, after, action)

    def _line(self, field: str, before: JSONValue, after: JSONValue, action: str) -> Line:
        if field.startswith("lanes."):
            word = _("removed") if after is None else _("new, and empty")
            marked = Marked(bits=(Bit(text=word, kind="del" if after is None else "ins"),))
        elif isinstance(before, str) and before == after:
            marked = self.marker.compared(before, _("%(name)s, made anew") % {"name": after})
        else:
            was, now = (_value_words(action, field, value) for value in (before, after))
            marked = self.marker.compared(was, now, field.rpartition(".")[2])
        return Line(label=field_label(action, field), marked=marked)

    def _moved(self, change: Change) -> Line:
        before = self._place_words(change.before, self.was)
        after = self._place_words(change.after, self.now)
        bits = (Bit(text=before, kind="del"), Bit(text=after, kind="ins"))
        return Line(label=field_label("", "place"), marked=Marked(bits=bits))

    def _place_words(self, place: Any, numbers: Mapping[str, int]) -> str:
        """Return where a step stands in words: ``in “Yes” of step 3, after step 4``."""
        holder, _dot, lane = str(place["lane"]).partition(".")
        after = place["after"]
        order = _("after step %(number)d") % {"number": numbers[after]} if after else _("first")
        if not holder:
            return order
        words = {"lane": lane_words(self.steps[holder].action, lane), "number": numbers[holder], "order": order}
        return _("in “%(lane)s” of step %(number)d, %(order)s") % words

    def _step_lines(self, step: StepDefinition) -> Iterator[Line]:
        document = step.model_dump(mode="json", exclude={"key", "name", "action", "lanes"}, exclude_defaults=True)
        config = document.pop("config", {})
        inputs = {f"config.inputs.{name}": value for name, value in config.pop("inputs", {}).items()}
        for name, value in {**document, **inputs}.items():
            yield from self._whole(name, value, step.action)
        yield from self._config_lines(config, "config.")

    def _config_lines(self, config: Mapping[str, JSONValue], prefix: str) -> Iterator[Line]:
        for name, value in config.items():
            yield from self._whole(f"{prefix}{name}", value, "")

    def _whole(self, field: str, value: JSONValue, action: str) -> Iterator[Line]:
        for path, _before, item in _members(field, None, value):
            bits = self.marker.whole(_value_words(action, path, item), name=path.rpartition(".")[2])
            yield Line(label=field_label(action, path), marked=Marked(bits=bits))


def _members(
    field: str, before: JSONValue, after: JSONValue, depth: int = 0
) -> Iterator[tuple[str, JSONValue, JSONValue]]:
    """Yield an object or list that came or went as a whole member by member."""
    value = after if before in (None, "") else before if after in (None, "") else None
    if depth > 3 or not isinstance(value, dict | list) or not value or field.startswith("lanes."):
        yield field, before, after
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        path = f"{field}[{key}]" if isinstance(key, int) else f"{field}.{key}"
        was, is_now = (None, item) if value is after else (item, None)
        yield from _members(path, was, is_now, depth + 1)


def _steps(definition: WorkflowDefinition) -> dict[str, StepDefinition]:
    return {step.key: step for _path, step in definition.walk()}


def _facts(step: StepDefinition) -> str:
    count = len(step.config.inputs)
    filled = ngettext("%(count)d field set", "%(count)d fields set", count) % {"count": count}
    return f"{spoken.action_words(step.action)} · {filled}"


def definition_of(document: Mapping[str, Any]) -> WorkflowDefinition:
    """Return a stored version's definition, to be shown."""
    return WorkflowDefinition.model_validate(kept_document(document))
