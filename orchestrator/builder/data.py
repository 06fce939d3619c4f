"""The data column of a step's form: what the trigger and the steps before it gave, and what the run itself tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _

from integrations.registry import registry
from orchestrator.builder import picker
from orchestrator.flow.definition import StepDefinition
from orchestrator.flow.skeleton import skeleton
from orchestrator.flow.tools import AGENT
from orchestrator.tenants.models import Role
from orchestrator.types import JSONValue
from runs.engine.frame import ANSWERED, LOOP, readable_inside
from runs.models import StepRun

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

# Larger outputs are not read for a list of names: one of a loop may have ten megabytes.
LARGEST: Final = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class Place:
    """What can be read where a step stands: the steps before it, and the loops around it, outermost first.

    A step in the lane of an earlier one may not have run; ``is_sure`` is false for it.
    """

    before: tuple[tuple[StepDefinition, bool], ...]
    loops: tuple[StepDefinition, ...]


def place_of(steps: Sequence[StepDefinition], key: str, loops: tuple[StepDefinition, ...] = ()) -> Place | None:
    """Return what the step ``key`` may refer to, as publish checks it; None where it is not.

    Those are the earlier steps of its lane and of the lanes around, with what these hold, but for loops: what ran
    once for each item has no single output. What other lanes of the same step hold has not run before it.
    """
    for index, step in enumerate(steps):
        if step.key == key:
            return Place(before=tuple(_earlier(steps[:index])), loops=loops)
        for inner in step.lanes.values():
            found = place_of(inner, key, (*loops, step) if step.action == LOOP else loops)
            if found is not None and step.action == AGENT:
                # A model may use its tools in any order.
                found = Place(before=(), loops=found.loops)
            if found is not None:
                return Place(before=(*_earlier(steps[:index]), *found.before), loops=found.loops)
    return None


def _earlier(steps: Sequence[StepDefinition]) -> Iterator[tuple[StepDefinition, bool]]:
    for step in steps:
        yield step, True
        for inner in readable_inside(step):
            yield inner, False


def sources(board: Board, key: str) -> list[picker.Source]:
    """Return what the step ``key`` can use: the trigger and the steps before it, the nearest last and open."""
    trigger, outputs = board.samples
    place = place_of(board.definition.steps, key) or Place(before=(), loops=())
    found = [_trigger(board, trigger)]
    last = max((index for index, (_step, is_sure) in enumerate(place.before) if is_sure), default=-1)
    found += [
        _step_source(board, step, outputs.get(step.key), is_sure=is_sure, is_open=index == last)
        for index, (step, is_sure) in enumerate(place.before)
    ]
    action = registry.get(board.by_key[key].action) if key in board.by_key else None
    if place.loops:
        found.append(_item(board, place.loops[-1]))
    elif action is not None and action.per_item:
        found.append(
            picker.Source(
                number=0, tile=action.key, name=_("This item"), fact="", tree=picker.loop(read_only=_only_reads(board))
            )
        )
    return found


def _only_reads(board: Board) -> bool:
    """Whether the data is only looked at: who may not edit has nothing to put it into."""
    return not board.actor.may(Role.EDITOR)


def links(board: Board, key: str) -> list[tuple[str, str]]:
    """Return the steps whose addresses a step can pass on, as key and name; each turn of a loop has its own."""
    place = place_of(board.definition.steps, key)
    around = {loop.key for loop in place.loops} if place else set()

    def collect(steps: Sequence[StepDefinition], is_near: bool) -> Iterator[tuple[str, str]]:
        for step in steps:
            if step.action in ANSWERED and is_near:
                yield step.key, board.title(step)
            for inner in step.lanes.values():
                yield from collect(inner, is_near and (step.action != LOOP or step.key in around))

    return list(collect(board.definition.steps, True))


def _trigger(board: Board, last: Mapping[str, JSONValue] | None) -> picker.Source:
    kind = board.definition.triggers[0].type.value if board.definition.triggers else "manual"
    missing = "" if last else _("Send a sample, or run it once, to see what the trigger gives.")
    # What was sent comes first; what is told about it follows.
    tree = picker.tree({"body": last.get("body"), **last}, "trigger", read_only=_only_reads(board)) if last else None
    return picker.Source(
        number=1, tile=kind, name=_("Trigger"), fact=_("last sample"), tree=tree, missing=missing, open=True
    )


def _step_source(
    board: Board, step: StepDefinition, last: Mapping[str, JSONValue] | None, *, is_sure: bool, is_open: bool
) -> picker.Source:
    path = f"steps.{step.key}.output"
    action = registry.get(step.action)
    if last is not None:
        tree, fact, missing = picker.tree(last.get("output"), path, read_only=_only_reads(board)), _("last test"), ""
    elif action is not None and action.sample is not None:
        tree, fact, missing = picker.tree(action.sample, path, read_only=_only_reads(board)), _("example"), ""
    elif action is not None and (schema := action.output_json_schema()) is not None:
        tree, fact, missing = picker.tree(skeleton(schema), path, read_only=_only_reads(board)), _("as declared"), ""
    else:
        tree, fact, missing = None, _("not tested"), _("Test this step to see its data.")
    return picker.Source(
        number=board.numbers[step.key],
        tile=step.action,
        name=board.title(step),
        fact=fact if is_sure else _("%(fact)s, may be null") % {"fact": fact},
        tree=tree,
        missing=missing,
        open=is_open,
    )


def _item(board: Board, loop: StepDefinition) -> picker.Source:
    """Return what a step inside a loop reads beside the steps' data, with the first item of the last time."""
    item = first_item(board, loop.key)
    fact = _("of %(name)s") % {"name": board.title(loop)}
    tree = picker.loop(item, read_only=_only_reads(board))
    return picker.Source(number=0, tile=loop.action, name=_("This item"), fact=fact, tree=tree, open=item is not None)


def first_item(board: Board, key: str) -> JSONValue:
    """Return the first item of a loop's last time, None where there was none."""
    attempt = board.attempts.get(key)
    if attempt is None:
        return None
    row = StepRun.objects.for_tenant(board.tenant).filter(pk=attempt.pk, inputs_ref__isnull=True).only("inputs").first()
    items = row.inputs.get("items") if row is not None and isinstance(row.inputs, dict) else None
    return items[0] if isinstance(items, list) and items else None
