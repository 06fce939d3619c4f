"""The steps of a version in reading order, from its document alone: a page must show any version there ever was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from integrations.registry import registry
from orchestrator.types import JSONValue

TRIGGER: Final = "@trigger"  # the timeline's first row; no step can have this key
MAX_INDENT: Final = 3


@dataclass(frozen=True, kw_only=True)
class StepOutline:
    """One step of a version. ``number`` counts from 2: the trigger is 1, as in the builder."""

    number: int
    key: str
    name: str
    action: str
    depth: int
    credential: str
    config: Mapping[str, JSONValue]

    @property
    def indent(self) -> int:
        """Return the depth that is drawn: deeper steps are not pushed off the page."""
        return min(self.depth, MAX_INDENT)


def outline(definition: Mapping[str, Any] | None) -> tuple[StepOutline, ...]:
    """Return the steps of a version's document, each before the steps in its lanes."""
    steps = (definition or {}).get("steps")
    found = _walk(steps if isinstance(steps, list) else (), 0)
    return tuple(
        StepOutline(
            number=number,
            key=str(step.get("key", "")),
            name=step_name(str(step.get("name") or ""), str(step.get("action", "")), str(step.get("key", ""))),
            action=str(step.get("action", "")),
            depth=depth,
            credential=str(step.get("credential") or ""),
            config=_mapping(step.get("config")),
        )
        for number, (depth, step) in enumerate(found, start=2)
    )


def step_name(name: str, action: str, key: str) -> str:
    """Return what a step is called: its own name, else its action's, else its key."""
    known = registry.get(action)
    return name or (known.name if known else "") or key


def action_words(action: str) -> str:
    """Return ``Slack · Send message``, or the key of an action that is not registered."""
    known = registry.get(action)
    return f"{known.provider.name} · {known.name}" if known else action


def key_of_path(path: str) -> str:
    """Return the step's key in a path: ``send`` of ``each[3].send``."""
    return path.rsplit(".", 1)[-1].partition("[")[0]


def _mapping(value: Any) -> Mapping[str, JSONValue]:
    return value if isinstance(value, dict) else {}


def _walk(steps: Sequence[Any], depth: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for step in steps:
        if isinstance(step, dict):
            yield depth, step
            lanes = step.get("lanes")
            for inner in lanes.values() if isinstance(lanes, dict) else ():
                yield from _walk(inner if isinstance(inner, list) else (), depth + 1)
