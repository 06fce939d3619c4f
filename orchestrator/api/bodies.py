"""What the shapes of request bodies and addresses share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from pydantic import AfterValidator, AwareDatetime

from orchestrator.errors import Invalid


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(_("this time is outside the years 1 to 9999 in UTC")) from None


# A time with its offset: one without means another moment to the sender than to us.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


def moment_given(name: str, text: str) -> datetime:
    """Return the time that a parameter of an address gives, in UTC. Raises Invalid unless it has its offset."""
    try:
        moment = parse_datetime(text.replace(" ", "+"))
        # Into UTC here: a time at the edge of the calendar has none, and the database would break on it.
        moment = moment.astimezone(UTC) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise Invalid(
            _("%(name)s is %(text).40r; send an ISO 8601 time with its offset, like 2026-01-31T09:00:00Z.")
            % {"name": name, "text": text}
        )
    return moment
