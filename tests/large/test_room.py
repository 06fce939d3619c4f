"""How many bytes of large values are handled at the same time."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.large import give_room, take_room
from orchestrator.large.room import BYTES_AT_ONCE, COUNTED_BYTES, TAKEN

HALF = BYTES_AT_ONCE // 2


async def handled(size: int, log: list[int], *, more: int = 0) -> None:
    await take_room(size)
    log.append(sum(TAKEN.values()))
    await asyncio.sleep(0.001)
    await take_room(more)
    await asyncio.sleep(0.001)


def test_values_beyond_the_room_wait_for_their_turn() -> None:
    async def main() -> list[int]:
        log: list[int] = []
        await asyncio.gather(*(handled(size, log) for size in (HALF, HALF, HALF, BYTES_AT_ONCE * 2, HALF)))
        return log

    log = asyncio.run(main())
    assert len(log) == 5
    assert max(log) == BYTES_AT_ONCE
    assert not TAKEN


def test_who_has_room_gets_more_at_once_so_that_nobody_waits_for_ever() -> None:
    async def main() -> None:
        log: list[int] = []
        await asyncio.wait_for(asyncio.gather(*(handled(HALF, log, more=BYTES_AT_ONCE) for _ in range(6))), timeout=5)

    asyncio.run(main())
    assert not TAKEN


def test_small_values_take_no_room_and_what_was_given_back_can_be_taken() -> None:
    async def main() -> None:
        await take_room(COUNTED_BYTES - 1)
        assert not TAKEN
        await take_room(BYTES_AT_ONCE)
        give_room()
        await asyncio.wait_for(asyncio.create_task(take_room(BYTES_AT_ONCE)), timeout=5)

    asyncio.run(main())
    assert not TAKEN


def test_a_task_that_is_stopped_while_it_waits_leaves_its_place_to_the_next() -> None:
    async def main() -> None:
        await take_room(BYTES_AT_ONCE)
        stopped = asyncio.create_task(take_room(BYTES_AT_ONCE))
        following = asyncio.create_task(take_room(HALF))
        await asyncio.sleep(0)
        stopped.cancel()
        await asyncio.sleep(0)
        give_room()
        await asyncio.wait_for(following, timeout=5)

    asyncio.run(main())
    assert not TAKEN


def test_a_task_that_is_stopped_just_when_room_is_given_back_is_stopped_and_nothing_else() -> None:
    async def main() -> None:
        await take_room(BYTES_AT_ONCE)
        stopped = asyncio.create_task(take_room(BYTES_AT_ONCE))
        await asyncio.sleep(0)
        stopped.cancel()
        give_room()
        with pytest.raises(asyncio.CancelledError):
            await stopped
        await asyncio.wait_for(asyncio.create_task(take_room(BYTES_AT_ONCE)), timeout=5)

    asyncio.run(main())
    assert not TAKEN
