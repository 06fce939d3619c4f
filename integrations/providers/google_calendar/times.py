"""Days and times as people write them, and as Google takes them.

A day alone (``2026-05-04``) is a whole day; a time has an offset or a time zone beside it. The end is not part of an
event, of whole days neither: one on the 4th ends on the 5th.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from integrations.sdk import InputError
from integrations.words import gettext as _

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Span:
    """From when to when; both are days, or both are times."""

    start: date | datetime
    end: date | datetime
    zone: str

    def as_google(self, moment: date | datetime) -> dict[str, str]:
        """Return Google's EventDateTime."""
        if not isinstance(moment, datetime):
            return {"date": moment.isoformat()}
        return {"dateTime": moment.isoformat(), **({"timeZone": self.zone} if self.zone else {})}


def span(start: str, end: str, zone: str) -> Span:
    """Read an event's beginning and end; without an end it is an hour, or a day. Raises InputError."""
    checked_zone(zone)
    begins = moment(start, zone, field="start")
    if not end.strip():
        return Span(start=begins, end=begins + (HOUR if isinstance(begins, datetime) else DAY), zone=zone)
    ends = moment(end, zone, field="end")
    if isinstance(begins, datetime) != isinstance(ends, datetime):
        raise InputError(_("Start and end are both days, or both times."), field="end")
    if not isinstance(ends, datetime) and ends == begins:
        ends = begins + DAY
    if _in_order(begins, zone) >= _in_order(ends, zone):
        raise InputError(_("The end is not after the start."), field="end")
    return Span(start=begins, end=ends, zone=zone)


def moment(text: str, zone: str, *, field: str) -> date | datetime:
    """Read a day or a time. Raises InputError naming the field; for a time that has neither offset nor zone, too."""
    value = text.strip()
    try:
        found: date | datetime = (date if _DAY.fullmatch(value) else datetime).fromisoformat(value)
        # The first and the last days that there are leave no room for a zone, or for an end.
        for room in (-2 * DAY, 2 * DAY):
            _in_order(found, zone) + room
    except (ValueError, OverflowError):
        raise InputError(
            _("%(value)r is neither a day nor a time.") % {"value": value[:40]},
            field=field,
            hint=_("Write 2026-05-04 or 2026-05-04T09:30."),
        ) from None
    if isinstance(found, datetime) and found.tzinfo is None and not zone:
        raise InputError(
            _("It is not said in which time zone %(value)r is.") % {"value": value[:40]},
            field=field,
            hint=_("Give a time zone, like Europe/Paris, or write the offset behind the time, like +02:00."),
        )
    return found


def instant(text: str, zone: str, *, field: str) -> str:
    """Return a day's beginning, or a time, as RFC 3339 with its offset. Raises InputError."""
    checked_zone(zone)
    return _in_order(moment(text, zone or "UTC", field=field), zone or "UTC").isoformat()


def checked_zone(zone: str) -> None:
    """Raise InputError for what is no time zone."""
    if zone:
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):
            raise InputError(
                _("%(zone)r is not a time zone.") % {"zone": zone[:60]},
                field="timeZone",
                hint=_("One is called Europe/Paris, for instance."),
            ) from None


def _in_order(found: date | datetime, zone: str) -> datetime:
    """Return a moment that can be compared with every other."""
    if not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day)  # noqa: DTZ001
    aware = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone) if zone else UTC)
    return aware.astimezone(UTC)
