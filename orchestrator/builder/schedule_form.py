"""The form of a schedule: the usual times by choices, every other as a cron expression, and when it fires next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import available_timezones

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from pydantic import ValidationError

from integrations.findings import findings
from orchestrator.builder.wrong import Wrong, told
from orchestrator.flow.schedules import ScheduleConfig, preview

if TYPE_CHECKING:
    from django.http import QueryDict

SHOWN: Final = 5
# How often, with the parts of the form that each needs.
KINDS: Final[Mapping[str, str]] = {
    "minutes": noop("Every so many minutes"),
    "hours": noop("Every so many hours"),
    "day": noop("Every day"),
    "weekdays": noop("Monday to Friday"),
    "week": noop("Every week"),
    "month": noop("Every month"),
    "cron": noop("By a cron expression"),
    "seconds": noop("Every so many seconds"),
}
DAYS: Final = (
    noop("Sunday"), noop("Monday"), noop("Tuesday"), noop("Wednesday"), noop("Thursday"), noop("Friday"),
    noop("Saturday"),
)  # fmt: skip
MISSED: Final[Mapping[str, str]] = {
    "run_once": noop("Run once for the latest"),
    "skip": noop("Leave them out"),
    "run_all": noop("Run every one of them"),
}
OVERLAP: Final[Mapping[str, str]] = {
    "allow": noop("Both run"),
    "skip": noop("The new one is left out"),
    "cancel_older": noop("The one before is stopped"),
}
_SECONDS: Final = {"seconds": 1, "minutes": 60, "hours": 3_600}
_AT: Final = re.compile(r"(\d{1,2}) (\d{1,2}) (\*|\d{1,2}) \* (\*|1-5|[0-6])")
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_MOST: Final = 300  # characters of one field


@dataclass(frozen=True, kw_only=True)
class ScheduleForm:
    """``values`` are texts by the fields' names; ``next`` the next times of the draft's schedule in its own zone."""

    values: Mapping[str, str]
    errors: Mapping[str, str]
    said: str
    rules: str
    next: tuple[datetime, ...]
    kinds: tuple[tuple[str, str], ...]
    days: tuple[tuple[str, str], ...]
    missed: tuple[tuple[str, str], ...]
    overlap: tuple[tuple[str, str], ...]
    zones: tuple[str, ...]


def new_config(zone: str) -> dict[str, Any]:
    """Return the config that a new schedule has: every day at nine, as the tenant's clocks show it."""
    return {"cron": "0 9 * * *", "timezone": zone}


def schedule_form(
    config: Mapping[str, Any],
    *,
    offset: int,
    posted: QueryDict | None = None,
    errors: Mapping[str, str] = MappingProxyType({}),
) -> ScheduleForm:
    """Return the form of a stored config, or of what was posted with what is wrong with it."""
    try:
        read = ScheduleConfig.model_validate(config)
    except ValidationError:
        read = None
    values = _values(config) if posted is None else {name: str(value)[:_MOST] for name, value in posted.items()}
    return ScheduleForm(
        values=values,
        errors=errors,
        said=sentence(config),
        rules=_rules(config),
        next=tuple(preview(read, timezone.now(), count=SHOWN, offset=offset)) if read else (),
        kinds=_choices(KINDS),
        days=tuple((str(number), _(name)) for number, name in enumerate(DAYS)),
        missed=_choices(MISSED),
        overlap=_choices(OVERLAP),
        zones=tuple(sorted(available_timezones())),
    )


def _choices(words: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((value, _(said)) for value, said in words.items())


def _values(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a config as the texts of its fields; a draft's may be anything."""
    values = {
        "kind": "cron", "number": "5", "time": "09:00", "day": "1", "date": "1", "cron": str(config.get("cron") or ""),
        "timezone": str(config.get("timezone") or "UTC"),
        "missed": str(config.get("missed") or "run_once"),
        "overlap": str(config.get("overlap") or "allow"),
    }  # fmt: skip
    every = config.get("every")
    if isinstance(every, int):
        kind = next(name for name in ("hours", "minutes", "seconds") if every % _SECONDS[name] == 0)
        return {**values, "kind": kind, "number": str(every // _SECONDS[kind])}
    match = _AT.fullmatch(values["cron"])
    if match is None:
        return values
    minute, hour, date, weekday = match.groups()
    values["time"] = f"{int(hour):02}:{int(minute):02}"
    if date != "*":
        return {**values, "kind": "month", "date": date} if weekday == "*" else values
    kind = {"*": "day", "1-5": "weekdays"}.get(weekday, "week")
    return {**values, "kind": kind, **({"day": weekday} if kind == "week" else {})}


def sentence(config: Mapping[str, Any]) -> str:
    """Return when a schedule fires, as ``Every week on Monday at 09:00, Europe/Paris``."""
    values = _values(config)
    kind, number = values["kind"], values["number"]
    every = {"seconds": _("Every %(n)s s"), "minutes": _("Every %(n)s min"), "hours": _("Every %(n)s h")}
    if kind in every:
        return every[kind] % {"n": number}
    said = {
        "day": _("Every day at %(time)s"),
        "weekdays": _("Monday to Friday at %(time)s"),
        "week": _("Every %(day)s at %(time)s"),
        "month": _("On day %(date)s of every month at %(time)s"),
        "cron": _("By %(cron)s"),
    }[kind]
    return f"{said}, {values['timezone']}" % {**values, "day": _(DAYS[int(values["day"])])}


def _rules(config: Mapping[str, Any]) -> str:
    values = _values(config)
    missed = _(MISSED.get(values["missed"], values["missed"]))
    overlap = _(OVERLAP.get(values["overlap"], values["overlap"]))
    return _("If times were missed: %(missed)s. If the run before is still going: %(overlap)s.") % {
        "missed": missed[:1].lower() + missed[1:],
        "overlap": overlap[:1].lower() + overlap[1:],
    }


def config_from(posted: QueryDict, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a form says, all of it. Raises Wrong."""
    text = {name: str(value)[:_MOST].strip() for name, value in posted.items()}
    errors: dict[str, str] = {}
    kind = text.get("kind", "")
    config: dict[str, Any] = {}
    if kind in _SECONDS:
        config["every"] = _whole(text, "number", errors) * _SECONDS[kind]
    elif kind == "cron":
        config["cron"] = text.get("cron", "")
    elif kind in KINDS:
        config["cron"] = _at(kind, text, errors)
    else:
        errors["kind"] = _("Choose how often.")
    config |= {name: text[name] for name in ("timezone", "missed", "overlap") if text.get(name)}
    if not errors:
        try:
            ScheduleConfig.model_validate(config)
        except ValidationError as error:
            for found in findings(error):
                field = str(found["loc"][0]) if found["loc"] else "kind"
                errors["number" if field == "every" else field] = told(found["msg"])
    if errors:
        raise Wrong(errors)
    return config


def _whole(text: Mapping[str, str], name: str, errors: dict[str, str]) -> int:
    given = text.get(name, "")
    if re.fullmatch(r"[1-9]\d{0,8}", given, re.ASCII):
        return int(given)
    errors[name] = _("Use a whole number from 1.")
    return 1


def _at(kind: str, text: Mapping[str, str], errors: dict[str, str]) -> str:
    match = _TIME.fullmatch(text.get("time", ""))
    if match is None:
        errors["time"] = _("Use a time like 09:30.")
        return ""
    day = text.get("day", "") if kind == "week" else {"weekdays": "1-5"}.get(kind, "*")
    if kind == "week" and not re.fullmatch(r"[0-6]", day, re.ASCII):
        errors["day"] = _("Choose a day.")
    date = str(_whole(text, "date", errors)) if kind == "month" else "*"
    return f"{int(match[2])} {int(match[1])} {date} * {day}"
