"""The outline of a draft: a card for each step with the lanes it holds, and how the last test of it all went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from orchestrator.builder.called import extract_url
from orchestrator.builder.folding import DEEPEST_OPEN, Fold, Folding, Ways, ways
from orchestrator.builder.panels import Card, Lane
from orchestrator.builder.spoken import action_words
from orchestrator.builder.step_facts import after_words, held_by, lane_names
from orchestrator.flow.definition import StepDefinition
from runs.outline import lane_words
from runs.states import StepStatus

if TYPE_CHECKING:
    from orchestrator.builder.board import Board

_BAD: Final = (StepStatus.FAILED, StepStatus.LOST)
_PROBLEMS: Final = ("attention", "failed")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """When a step was tried last, and how many steps failed when they were; one that another in it failed is none."""

    at: datetime
    failed: int


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The cards, and what of them can be folded and opened."""

    cards: tuple[Card, ...]
    ways: Ways


def outline(board: Board, selected: str) -> Outline:
    """Return the draft as cards; ``selected`` is the key of the step whose form is shown."""
    cards = _Cards(board, selected).of(board.definition.steps, 0)
    return Outline(cards=cards, ways=ways(board.request, _folds(cards)))


def tested(board: Board) -> Tested | None:
    """Return how the last tests of the draft's steps went, None before the first; it asks for nothing new."""
    found = [attempt for key, attempt in board.attempts.items() if key in board.by_key]
    moments = [moment for each in found if (moment := each.finished_at or each.started_at) is not None]
    if not moments:
        return None
    bad = {each.key for each in found if each.status in _BAD}
    failed = sum(not any(inner.key in bad for inner in held_by(board.by_key[key])) for key in bad)
    return Tested(at=max(moments), failed=failed)


class _Cards:
    def __init__(self, board: Board, selected: str) -> None:
        self.board, self.selected = board, selected
        self.folding = Folding(board.request)
        self.problems = {key for key in board.by_key if board.standing(key)[0] in _PROBLEMS}

    def of(self, steps: Sequence[StepDefinition], depth: int) -> tuple[Card, ...]:
        return tuple(self._card(step, depth) for step in steps)

    def _card(self, step: StepDefinition, depth: int) -> Card:
        board = self.board
        status, fact = board.standing(step.key)
        names = lane_names(step)
        return Card(
            number=board.numbers[step.key],
            key=step.key,
            title=board.title(step),
            words=action_words(step.action),
            tile=step.action,
            url=board.url("workflow-step", step.key),
            add_url=board.add_url(after=step.key),
            status=status,
            fact=fact,
            selected=step.key == self.selected,
            skips=step.config.skip,
            lanes=tuple(self._lane(step, index, name, depth + 1) for index, name in enumerate(names)),
            # A single lane is folded by itself.
            fold=self._fold(step.key, list(held_by(step)), depth + 1) if len(names) > 1 else None,
            others=tuple(board.others.get(step.key, ())),
            after=after_words(step),
            extract_url=self._extract_url(step, depth + 1),
        )

    def _extract_url(self, step: StepDefinition, depth: int) -> str:
        """Return where the lanes of a step can be moved from; offered for what is so deep that it folds by itself."""
        if depth <= DEEPEST_OPEN or not any(step.lanes.values()):
            return ""
        return extract_url(self.board, step)

    def _lane(self, step: StepDefinition, index: int, name: str, depth: int) -> Lane:
        inner = step.lanes.get(name, ())
        held = [each for first in inner for each in (first, *held_by(first))]
        return Lane(
            words=lane_words(step.action, name),
            cards=self.of(inner, depth),
            add_url=self.board.add_url(parent=step.key, lane=name),
            place=f"in:{step.key}:{name}",
            # By its place: people name lanes as they like.
            fold=self._fold(f"{step.key}.{index}", held, depth),
        )

    def _fold(self, name: str, held: Sequence[StepDefinition], depth: int) -> Fold:
        return self.folding.fold(
            name,
            depth=depth,
            held=any(each.key == self.selected for each in held),
            count=len(held),
            problems=sum(each.key in self.problems for each in held),
        )


def _folds(cards: Sequence[Card]) -> Iterator[Fold]:
    for card in cards:
        if card.fold is not None:
            yield card.fold
        for lane in card.lanes:
            yield lane.fold
            yield from _folds(lane.cards)
