"""What changed between two versions, in words and marked texts, by step and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext

from integrations.registry import registry
from orchestrator.flow.definition import StepDefinition, WorkflowDefinition
from orchestrator.flow.diff import Change, diff
from orchestrator.types import JSONValue

Kind = Literal["same", "ins", "del"]

# Longer texts are shown as a whole before and a whole after: comparing them word by word helps nobody.
MAX_WORDS: Final = 1_500
MAX_SHOWN: Final = 4_000
_EXPRESSION: Final = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
_WORDS: Final = re.compile(r"\s+|[^\s\w]|\w+")
_REFERENCE: Final = re.compile(r"\{\{\s*(?:steps\.(\w+)\.output|(trigger|item|vars))\.?([\w.\[\]]*)\s*\}\}")
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
    "config.retry": noop("Retries"),
    "config.timeout": noop("Time limit"),
    "config.on_error": noop("When it fails"),
    "config.on_lost": noop("When its answer is lost"),
    "config.run_if": noop("Runs only if"),
    "settings.timeout": noop("Time limit"),
    "settings.max_concurrent_runs": noop("Runs at once"),
    "settings.on_limit": noop("When so many are under way"),
    "settings.error_workflow": noop("Workflow for failures"),
    "settings.retention_days": noop("Days that runs are kept"),
}
_TRIGGERS: Final[Mapping[str, str]] = {
    "manual": noop("When somebody presses Run"),
    "webhook": noop("When a request arrives"),
    "schedule": noop("At set times"),
    "form": noop("When a form is sent"),
    "polling": noop("When something new appears"),
    "error": noop("When a run fails"),
    "workflow": noop("When another workflow calls it"),
}


@dataclass(frozen=True, kw_only=True)
class Bit:
    """A stretch of a value. A chip is an expression: ``source`` is the step it reads, if it is nothing more."""

    text: str
    kind: Kind = "same"
    chip: bool = False
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    label: str
    bits: tuple[Bit, ...]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A step, a trigger or the workflow itself, with its fields; ``depth`` counts the lanes around it."""

    tile: str
    title: str
    number: int = 0
    tags: tuple[tuple[str, str], ...] = ()
    facts: str = ""
    lines: tuple[Line, ...] = ()
    removed: bool = False
    depth: int = 0


def blocks(old: WorkflowDefinition | None, new: WorkflowDefinition) -> list[Block]:
    """Return what changed from ``old`` to ``new``, in the document's order; everything is new without ``old``."""
    before = old or new.model_copy(update={"steps": (), "triggers": ()})
    grouped: dict[str, list[Change]] = {}
    for change in diff(before, new):
        grouped.setdefault(change.subject, []).append(change)
    numbers = step_numbers(new)
    return [_block(subject, changes, before, new, numbers) for subject, changes in grouped.items()]


def document_blocks(definition: WorkflowDefinition) -> list[Block]:
    """Return a whole document to read: triggers, then steps with what is filled in."""
    triggers = [
        Block(
            tile=trigger.type.value,
            title=trigger_title(trigger.type.value),
            facts=trigger.key,
            lines=_config_lines(trigger.config, ""),
        )
        for trigger in definition.triggers
    ]
    numbers = step_numbers(definition)
    return [*triggers, *(_step_block(path, step, numbers[step.key]) for path, step in definition.walk())]


def step_title(step: StepDefinition) -> str:
    """Return what a step is called on a page: by its own name, else by what it does."""
    action = registry.get(step.action)
    return step.name or (action.name if action else step.key)


def step_numbers(definition: WorkflowDefinition) -> dict[str, int]:
    """Return the number of each step, by key: triggers count first, as in the builder."""
    first = max(1, len(definition.triggers)) + 1
    return {step.key: number for number, (_path, step) in enumerate(definition.walk(), first)}


def field_label(action_key: str, field: str) -> str:
    """Return the words for a field's path within a step, like ``config.inputs.text``."""
    if field.startswith("config.inputs."):
        name, *rest = field.removeprefix("config.inputs.").split(".")
        action = registry.get(action_key)
        schema = action.input_json_schema().get("properties", {}).get(name.partition("[")[0], {}) if action else {}
        return " · ".join([str(schema.get("title") or name), *rest])
    for known in (field, ".".join(field.split(".")[:2]), field.split(".")[0]):
        if known in _LABELS:
            rest = [part for part in field.removeprefix(known).split(".") if part]
            return " · ".join([_(_LABELS[known]), *rest])
    return field


def _block(
    subject: str,
    changes: Sequence[Change],
    old: WorkflowDefinition,
    new: WorkflowDefinition,
    numbers: Mapping[str, int],
) -> Block:
    kind, _dot, key = subject.partition(".")
    tags = tuple((name, _(words)) for name, words in _TAGS.items() if any(c.kind == name for c in changes))
    fields = [change for change in changes if change.kind == "changed"]
    removed = any(change.kind == "removed" for change in changes)
    if kind == "steps":
        step = _steps(new).get(key) or _steps(old)[key]
        lines = _lines(fields, step.action)
        return Block(
            tile=step.action,
            title=step_title(step),
            number=numbers.get(key, 0),
            tags=tags,
            facts="" if lines else _facts(step),
            lines=lines,
            removed=removed,
        )
    if kind == "triggers":
        found = next(trigger for trigger in (*new.triggers, *old.triggers) if trigger.key == key)
        return Block(
            tile=found.type.value,
            title=trigger_title(found.type.value),
            tags=tags,
            facts=key,
            lines=_lines(fields, ""),
            removed=removed,
        )
    return Block(tile="workflow", title=_("The workflow itself"), tags=tags, lines=_lines(fields, ""))


def _step_block(path: str, step: StepDefinition, number: int) -> Block:
    document = step.model_dump(mode="json", exclude={"key", "name", "action", "lanes"}, exclude_defaults=True)
    config = document.pop("config", {})
    lines = [Line(label=field_label("", name), bits=_whole(value)) for name, value in document.items()]
    inputs = config.pop("inputs", {})
    lines += [
        Line(label=field_label(step.action, f"config.inputs.{name}"), bits=_whole(value))
        for name, value in inputs.items()
    ]
    lines += _config_lines(config, "config.")
    return Block(
        tile=step.action,
        title=step_title(step),
        number=number,
        facts=_action_words(step),
        lines=tuple(lines),
        depth=min(path.count(".lanes."), 6),
    )


def _config_lines(config: Mapping[str, JSONValue], prefix: str) -> tuple[Line, ...]:
    return tuple(Line(label=field_label("", f"{prefix}{name}"), bits=_whole(value)) for name, value in config.items())


def trigger_title(kind: str) -> str:
    """Return what a trigger of this type is called on a page."""
    return _(_TRIGGERS.get(kind, kind))


def _steps(definition: WorkflowDefinition) -> dict[str, StepDefinition]:
    return {step.key: step for _path, step in definition.walk()}


def _action_words(step: StepDefinition) -> str:
    action = registry.get(step.action)
    return f"{action.provider.name} · {action.name}" if action else step.action


def _facts(step: StepDefinition) -> str:
    count = len(step.config.inputs)
    filled = ngettext("%(count)d field set", "%(count)d fields set", count) % {"count": count}
    return f"{_action_words(step)} · {filled}"


def _lines(changes: Iterable[Change], action_key: str) -> tuple[Line, ...]:
    return tuple(
        Line(label=field_label(action_key, change.field), bits=compared(change.before, change.after))
        for change in changes
    )


def compared(before: JSONValue, after: JSONValue) -> tuple[Bit, ...]:
    """Return two values as one marked text: what went, what came, and what stayed between."""
    if before in (None, "") or after in (None, "") or not (isinstance(before, str) and isinstance(after, str)):
        return (*_whole(before, "del"), *_whole(after, "ins"))
    old, new = _tokens(before), _tokens(after)
    if len(old) + len(new) > MAX_WORDS:
        return (*_whole(before, "del"), *_whole(after, "ins"))
    bits: list[Bit] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    # Two texts that share little read better one after the other.
    if matcher.ratio() < 0.3:
        return (*_whole(before, "del"), *_whole(after, "ins"))
    for operation, a, b, c, d in matcher.get_opcodes():
        if operation == "equal":
            bits += _bits(old[a:b], "same")
        else:
            bits += [*_bits(old[a:b], "del"), *_bits(new[c:d], "ins")]
    return tuple(bits)


def _whole(value: JSONValue, kind: Kind = "same") -> tuple[Bit, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > MAX_SHOWN:
        text = f"{text[:MAX_SHOWN]}…"
    return tuple(_bits(_tokens(text), kind))


def _tokens(text: str) -> list[str]:
    """Cut a text into expressions, words and what is between them; together they are the text again."""
    tokens: list[str] = []
    for index, part in enumerate(_EXPRESSION.split(text)):
        tokens += [part] if index % 2 else _WORDS.findall(part)
    return tokens


def _bits(tokens: Sequence[str], kind: Kind) -> list[Bit]:
    """Join neighbouring words again, so that a page has few marks; expressions become chips."""
    bits: list[Bit] = []
    plain = ""
    for token in tokens:
        if not token.startswith("{{"):
            plain += token
            continue
        if plain:
            bits.append(Bit(text=plain, kind=kind))
            plain = ""
        bits.append(_chip(token, kind))
    return [*bits, Bit(text=plain, kind=kind)] if plain else bits


def _chip(token: str, kind: Kind) -> Bit:
    found = _REFERENCE.fullmatch(token)
    if found is None:
        return Bit(text=token.removeprefix("{{").removesuffix("}}").strip(), kind=kind, chip=True)
    step, root, path = found.groups()
    return Bit(text=path or _("all of it"), kind=kind, chip=True, source=step or root)


def definition_of(document: Mapping[str, Any]) -> WorkflowDefinition:
    """Return a stored version's definition."""
    return WorkflowDefinition.model_validate(document)
