"""The steps of a version as a tree, from its document alone: a page must show any version there ever was."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import Any, Final

from django.db.models import QuerySet
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.registry import registry
from integrations.words import declared
from orchestrator.flow.tools import AGENT, APPROVAL, LANE, MODEL, PROPOSED, model_action
from orchestrator.types import JSONValue
from orchestrator.words import called
from orchestrator.workflows.models import WorkflowVersion
from runs.engine.frame import LOOP, LOOPS
from runs.paths import item_path

TRIGGER: Final = "@trigger"  # the timeline's first row; no step can have this key
PARALLEL: Final = "flow.parallel"
# Steps that take one of their lanes.
DECIDES: Final = ("flow.if", "flow.switch")
# Steps whose time is spent waiting.
WAITS: Final = ("flow.wait", "flow.approve", "flow.callback", "workflow.call")
CALL: Final = "workflow.call"
# The lane of an agent's own rows; no lane of a document is called so.
OWN: Final = "@model"
# How many items of each loop are looked at for a sample, by how deep a step is in loops.
_FIRST_ITEMS: Final = (0, 5, 2, 1)
_KEPT: Final = 64
_LANE_WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("flow.if", "then"): noop("Then"),
    ("flow.if", "else"): noop("Else"),
    ("flow.switch", "default"): noop("Anything else"),
    (LOOP, "body"): noop("For each item"),
    (AGENT, LANE): noop("Tools"),
    (AGENT, OWN): noop("Model"),
}


@dataclass(frozen=True, kw_only=True)
class LaneOutline:
    """A lane of a step, with its name as people read it."""

    name: str
    words: str
    steps: tuple[StepOutline, ...]


@dataclass(frozen=True, kw_only=True)
class StepOutline:
    """One step of a version. ``number`` counts from 2: the trigger is 1, as in the builder.

    ``loops`` are the keys of the loops around it, outermost first.
    """

    number: int
    key: str
    name: str
    action: str
    depth: int
    credential: str
    config: Mapping[str, JSONValue]
    loops: tuple[str, ...]
    lanes: tuple[LaneOutline, ...]

    @property
    def is_loop(self) -> bool:
        """Whether what it holds has a row for each turn: a loop's for each item, an agent's for each of its moves."""
        return self.action in LOOPS

    @property
    def is_agent(self) -> bool:
        return self.action == AGENT

    @property
    def body(self) -> tuple[StepOutline, ...]:
        """Return what a loop runs for each item; an agent runs one of them at each turn."""
        names = (OWN, LANE) if self.is_agent else ("body",)
        return tuple(step for name in names for lane in self.lanes if lane.name == name for step in lane.steps)

    @property
    def goes_on(self) -> bool:
        """Whether what is around the step goes on when it fails."""
        return self.config.get("on_error") == "continue"


# By version and language: lanes have names that are translated.
_trees: OrderedDict[tuple[int, str, str], tuple[StepOutline, ...]] = OrderedDict()


def outline(definition: Mapping[str, Any] | None) -> tuple[StepOutline, ...]:
    """Return all steps of a version's document, each before the steps in its lanes."""
    return tuple(walk(tree(definition)))


def tree(definition: Mapping[str, Any] | None) -> tuple[StepOutline, ...]:
    """Return the outermost steps of a version's document, with what their lanes hold."""
    return _steps((definition or {}).get("steps"), count(2), 0, ())


def tree_of(version: WorkflowVersion) -> tuple[StepOutline, ...]:
    """Return a version's tree: it never changes, and may have thousands of steps, so the last few are kept."""
    asked = _asked(version)
    found = _trees.pop(asked, None)
    _trees[asked] = found = tree(version.definition) if found is None else found
    while len(_trees) > _KEPT:
        _trees.popitem(last=False)
    return found


def trees_of(versions: QuerySet[WorkflowVersion]) -> dict[int, tuple[StepOutline, ...]]:
    """Return the trees of several versions by their id; a query, and one more where some are not kept."""
    found = {version.pk: version for version in versions.defer("definition")}
    unknown = [version.pk for version in found.values() if _asked(version) not in _trees]
    found |= {version.pk: version for version in versions.filter(pk__in=unknown)} if unknown else {}
    return {pk: tree_of(version) for pk, version in found.items()}


def _asked(version: WorkflowVersion) -> tuple[int, str, str]:
    return version.pk, version.checksum, get_language() or ""


def walk(steps: Iterable[StepOutline]) -> Iterator[StepOutline]:
    """Yield steps, each before the steps in its lanes."""
    for step in steps:
        yield step
        for lane in step.lanes:
            yield from walk(lane.steps)


def outside_loops(steps: Iterable[StepOutline]) -> Iterator[StepOutline]:
    """Yield the steps that run once: loops among them, but nothing that these hold."""
    for step in steps:
        yield step
        if not step.is_loop:
            for lane in step.lanes:
                yield from outside_loops(lane.steps)


def sample_paths(roots: Iterable[StepOutline]) -> list[str]:
    """Return the paths at which to look for what the steps gave of late: of those in loops, in the first few items."""
    found = []
    for step in walk(roots):
        found.append(step.key)
        items = range(_FIRST_ITEMS[min(len(step.loops), len(_FIRST_ITEMS) - 1)])
        for chosen in product(items, repeat=len(step.loops)) if step.loops else ():
            around = (item_path(loop, item) for loop, item in zip(step.loops, chosen, strict=True))
            found.append(".".join([*around, step.key]))
    return found


def _steps(given: Any, numbers: Iterator[int], depth: int, loops: tuple[str, ...]) -> tuple[StepOutline, ...]:
    found: Sequence[Any] = given if isinstance(given, list) else ()
    return tuple(_step(step, numbers, depth, loops) for step in found if isinstance(step, dict))


def _step(step: Mapping[str, Any], numbers: Iterator[int], depth: int, loops: tuple[str, ...]) -> StepOutline:
    number, key, action = next(numbers), str(step.get("key", "")), str(step.get("action", ""))
    inside = (*loops, key) if action in LOOPS else loops
    own = _own_steps(step, number, depth + 1, inside) if action == AGENT else ()
    return StepOutline(
        number=number,
        key=key,
        name=step_name(str(step.get("name") or ""), action, key),
        action=action,
        depth=depth,
        credential=str(step.get("credential") or ""),
        config=_mapping(step.get("config")),
        loops=loops,
        lanes=(
            *own,
            *(
                LaneOutline(name=name, words=lane_words(action, name), steps=_steps(inner, numbers, depth + 1, inside))
                for name, inner in _mapping(step.get("lanes")).items()
            ),
        ),
    )


def _own_steps(step: Mapping[str, Any], number: int, depth: int, loops: tuple[str, ...]) -> tuple[LaneOutline]:
    """Return what an agent runs beside its tools and no document mentions: questions to its model, and to a person."""
    inputs = _mapping(_mapping(step.get("config")).get("inputs"))
    named = (
        (MODEL, model_action(str(inputs.get("provider", "openai"))), str(inputs.get("model") or "")),
        (PROPOSED, "data.set", _("What is asked about")),
        (APPROVAL, "flow.approve", ""),
    )
    steps = tuple(
        StepOutline(
            number=number,
            key=f"{step.get('key')}{suffix}",
            name=step_name(name, action, suffix),
            action=action,
            depth=depth,
            credential=str(step.get("credential") or "") if suffix == MODEL else "",
            config={},
            loops=loops,
            lanes=(),
        )
        for suffix, action, name in named
    )
    return (LaneOutline(name=OWN, words=lane_words(AGENT, OWN), steps=steps),)


def lane_words(action: str, lane: str) -> str:
    """Return what a lane is called: ``Then``, ``For each item``, or its own name."""
    words = _LANE_WORDS.get((action, lane))
    return _(words) if words else lane


def step_name(name: str, action: str, key: str) -> str:
    """Return what a step is called: its own name, else its action's, else its key."""
    known = registry.get(action)
    return (called(name, known.name) if known else name) or key


def action_words(action: str) -> str:
    """Return ``Slack · Send message``, or the key of an action that is not registered."""
    known = registry.get(action)
    return f"{declared(known.provider.name)} · {declared(known.name)}" if known else action


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
