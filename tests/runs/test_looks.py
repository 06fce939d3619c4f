"""When a driver looks for work: with the bell it sleeps, beside it it looks often, and it never spins."""

from __future__ import annotations

from typing import Any

import pytest

from runs.looks import _BESIDE, _FULL_SECONDS, _IN_VAIN, _SETTLED_SECONDS, _TAKE_SECONDS, SAFETY_SECONDS, Looks
from runs.slots import Slots

NEVER = float("inf")


class World:
    """A clock, a queue and a bell; ``free``: whether the bell can be taken."""

    def __init__(self, *, has_ear: bool = True) -> None:
        self.now = 1000.0
        self.due = NEVER
        self.asked = self.left = 0
        self.free = True
        self.held = False
        self.slots = Slots()
        ear: Any = self if has_ear else None
        self.looks = Looks(self, self.slots, ear, clock=lambda: self.now)

    def due_in(self) -> float:
        self.asked += 1
        return self.due

    def take(self) -> bool:
        self.held = self.free
        return self.held

    def leave(self) -> None:
        self.left += 1
        self.held = False

    def settle(self) -> None:
        """Look once, as after a commit."""
        self.looks.seconds()
        assert not self.looks.is_due(rung=False)


@pytest.fixture
def world() -> World:
    return World()


def test_with_the_bell_it_sleeps_until_the_look_for_lost_rings(world: World) -> None:
    world.settle()
    assert world.looks.has_bell
    assert world.looks.seconds() == SAFETY_SECONDS


def test_it_sleeps_until_the_next_run_is_due(world: World) -> None:
    world.due = 0.2
    world.settle()
    assert world.looks.seconds() == pytest.approx(0.2)
    world.now += 0.15
    assert world.looks.seconds() == pytest.approx(0.05)
    world.now += 0.15
    assert world.looks.seconds() == 0


def test_a_ring_is_believed_without_a_look(world: World) -> None:
    world.settle()
    asked = world.asked
    assert world.looks.is_due(rung=True)
    assert world.asked == asked


def test_a_ring_is_for_nobody_who_is_full() -> None:
    world = World()
    world.slots.close()
    assert not world.looks.is_due(rung=True)


def test_after_a_commit_the_next_due_time_is_asked_once_things_are_quiet(world: World) -> None:
    world.settle()
    world.looks.note(1, wrote=False)
    assert world.looks.seconds() == _SETTLED_SECONDS
    world.settle()
    world.looks.note(0, wrote=True)
    assert world.looks.seconds() == _SETTLED_SECONDS


def test_a_heartbeat_asks_for_no_look(world: World) -> None:
    world.settle()
    world.looks.note(0, wrote=False)
    assert world.looks.seconds() == SAFETY_SECONDS


def test_work_that_others_take_first_is_looked_for_ever_later(world: World) -> None:
    world.due = 0
    waits = []
    for _ in range(6):
        world.looks.seconds()
        assert world.looks.is_due(rung=False)
        world.looks.note(0, wrote=False)
        waits.append(world.looks.seconds())
    assert waits == [*_IN_VAIN[1:], _IN_VAIN[-1], _IN_VAIN[-1]]
    world.due = NEVER
    world.settle()
    assert world.looks.seconds() == SAFETY_SECONDS


def test_beside_the_one_with_the_bell_it_looks_often_while_it_finds_something(world: World) -> None:
    world.free = False
    world.settle()
    assert not world.looks.has_bell
    assert world.looks.seconds() == _BESIDE[0][1]
    world.now += 1.1
    assert world.looks.seconds() == _BESIDE[1][1]
    world.looks.note(1, wrote=False)
    world.settle()
    assert world.looks.seconds() == _BESIDE[0][1]


def test_it_takes_the_bell_once_that_is_free(world: World) -> None:
    world.free = False
    world.settle()
    world.free = True
    world.looks.seconds()
    assert not world.looks.has_bell, "asked a moment ago"
    world.now += _TAKE_SECONDS
    world.looks.seconds()
    assert world.looks.has_bell


def test_it_notices_that_the_bell_is_anothers_now(world: World) -> None:
    world.settle()
    world.free = False
    world.now += SAFETY_SECONDS
    world.looks.seconds()
    assert not world.looks.has_bell


def test_who_takes_nothing_more_leaves_the_bell_and_takes_it_again_later(world: World) -> None:
    world.settle()
    world.slots.close()
    assert world.looks.seconds() == _FULL_SECONDS
    assert (world.looks.has_bell, world.held, world.left) == (False, False, 1)
    world.slots.reopen()
    world.now += SAFETY_SECONDS
    world.looks.seconds()
    assert world.looks.has_bell


def test_without_an_ear_it_is_always_beside() -> None:
    world = World(has_ear=False)
    world.settle()
    assert world.looks.seconds() == _BESIDE[0][1]
    world.looks.leave()
    assert not world.looks.has_bell
