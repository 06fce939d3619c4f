"""When a schedule fires: cron in a time zone, or every so many seconds. Pure; times are aware, slots in UTC."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.words import gettext as _

FIELDS: Final = 5
LEAST_SECONDS: Final = 1
MOST_SECONDS: Final = 366 * 24 * 3_600
# How much later than its time a slot may begin and still be on time.
GRACE: Final = timedelta(seconds=60)
# Slots that one look hands out; the rest follow at the next.
MOST_SLOTS: Final = 500
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(_("this time zone is not known; use a name like Europe/Paris"))
    return name


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _five_fields(text: str) -> str:
    words = text.split()
    if len(words) != FIELDS:
        raise ValueError(_("a cron expression has five fields: minute, hour, day of month, month, day of week"))
    try:
        next(CronSim(" ".join(words), datetime(2026, 1, 1)))  # noqa: DTZ001  (only whether there is one)
    except CronSimError as error:
        raise ValueError(_("this is no cron expression: %(error)s") % {"error": error}) from None
    except StopIteration:
        raise ValueError(_("this never fires: no day is ever like that")) from None
    return " ".join(words)


class ScheduleConfig(BaseModel):
    """``cron`` has five fields and is read in ``timezone``; ``every`` is in seconds. One of the two.

    ``missed`` says what becomes of slots while nothing ran: none of them, the latest, or all. ``overlap`` what becomes
    of a slot while the run before is still going: it starts as well, is left out, or takes that one's place.
    """

    model_config = ConfigDict(extra="forbid")

    cron: Annotated[str, Field(max_length=200), AfterValidator(_five_fields)] | None = None
    every: int | None = Field(None, ge=LEAST_SECONDS, le=MOST_SECONDS)
    timezone: Annotated[str, Field(max_length=64), AfterValidator(_known_zone)] = "UTC"
    missed: Literal["skip", "run_once", "run_all"] = "run_once"
    overlap: Literal["allow", "skip", "cancel_older"] = "allow"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError(_("say either cron or every"))
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Due(BaseModel):
    """What a look at a schedule found: the ``slots`` to run now, how many were ``missed``, and when to look again."""

    model_config = ConfigDict(frozen=True)

    slots: tuple[datetime, ...]
    missed: int
    next_at: datetime


def slots_after(config: ScheduleConfig, moment: datetime, *, offset: int = 0) -> Iterator[datetime]:
    """Yield the slots after a moment, without end, in UTC.

    ``offset`` shifts those of ``every`` by so many seconds, so that not all schedules of an hour fire together.
    """
    if config.every is not None:
        start = _EPOCH + timedelta(seconds=offset % config.every)
        count = math.floor((moment - start) / timedelta(seconds=config.every)) + 1
        while True:
            yield start + timedelta(seconds=count * config.every)
            count += 1
    assert config.cron is not None
    for local in CronSim(config.cron, moment.astimezone(config.zone)):
        yield local.astimezone(UTC)


def next_slot(config: ScheduleConfig, moment: datetime, *, offset: int = 0) -> datetime:
    """Return the first slot after a moment."""
    return next(slots_after(config, moment, offset=offset))


def preview(config: ScheduleConfig, moment: datetime, *, count: int = 5, offset: int = 0) -> list[datetime]:
    """Return the next slots, in the schedule's own time zone."""
    return [slot.astimezone(config.zone) for slot in islice(slots_after(config, moment, offset=offset), count)]


def due(config: ScheduleConfig, first: datetime, now: datetime, *, offset: int = 0) -> Due:
    """Return what to run of a schedule whose next slot was ``first``, which has come."""
    if config.missed == "run_all":
        slots, following = _all(config, first, now, offset)
        return Due(slots=slots, missed=0, next_at=following)
    last = _last(config, first, now, offset)
    # What came before the last one was missed, whatever became of it.
    missed = _count(config, first, last, offset)
    if config.missed == "skip" and now - last > GRACE:
        return Due(slots=(), missed=missed + 1, next_at=next_slot(config, now, offset=offset))
    return Due(slots=(last,), missed=missed, next_at=next_slot(config, now, offset=offset))


def _all(config: ScheduleConfig, first: datetime, now: datetime, offset: int) -> tuple[tuple[datetime, ...], datetime]:
    slots = [first]
    for slot in slots_after(config, first, offset=offset):
        if slot > now or len(slots) == MOST_SLOTS:
            return tuple(slots), slot
        slots.append(slot)
    raise AssertionError("a schedule goes on for ever")


def _last(config: ScheduleConfig, first: datetime, now: datetime, offset: int) -> datetime:
    """Return the latest slot that has come, by going back from now: there may be very many after the first."""
    if config.every is not None:
        back = next_slot(config, now - timedelta(seconds=config.every), offset=offset)
        return max(first, back) if back <= now else first
    assert config.cron is not None
    local = (now + _MINUTE).astimezone(config.zone).replace(second=0, microsecond=0)
    for slot in islice(CronSim(config.cron, local, reverse=True), 3):
        found = slot.astimezone(UTC)
        if found <= now:
            return max(first, found)
    return first


def _count(config: ScheduleConfig, first: datetime, last: datetime, offset: int) -> int:
    """Return how many slots lie before the last, counted up to MOST_SLOTS."""
    if last <= first:
        return 0
    count = 1
    for slot in slots_after(config, first, offset=offset):
        if slot >= last or count == MOST_SLOTS:
            return count
        count += 1
    return count


def config_of(config: Any) -> ScheduleConfig:
    """Return a stored config. Raises ValidationError for one that was never checked."""
    return ScheduleConfig.model_validate(config)
