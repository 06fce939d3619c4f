"""What the shapes of request bodies share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is outside the years 1 to 9999 in UTC") from None


# A time with its offset: one without means another moment to the sender than to us.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
