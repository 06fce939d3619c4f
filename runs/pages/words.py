"""Sentences about runs: the outcome first, then its cause, then what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext

from runs.paths import items_around, key_of_path
from runs.states import FailureKind, RunStatus

# Whether trying again helps, by the kind of failure.
AGAIN: Final[Mapping[str, str]] = {
    FailureKind.INPUT: noop("Trying again with the same input will not help."),
    FailureKind.AUTH: noop("Trying again will not help until the credential is mended."),
    FailureKind.RATE_LIMITED: noop("Trying again later helps: the other side takes only so many requests."),
    FailureKind.TRANSIENT: noop("Trying again may help: the fault passes by itself, as a rule."),
    FailureKind.PERMANENT: noop("Trying again will not help until something is changed."),
    FailureKind.TIMEOUT: noop("Trying again may help; a longer timeout too."),
    FailureKind.OUTCOME_UNKNOWN: noop(
        "It may or may not have happened: look at the other side before you run it again."
    ),
    FailureKind.INTERNAL: noop("The step's own code failed: trying again will not help until it is corrected."),
}
KIND_WORDS: Final[Mapping[str, str]] = {
    FailureKind.INPUT: noop("wrong input"),
    FailureKind.AUTH: noop("credential refused"),
    FailureKind.RATE_LIMITED: noop("too many requests"),
    FailureKind.TRANSIENT: noop("passing fault"),
    FailureKind.PERMANENT: noop("refused"),
    FailureKind.TIMEOUT: noop("timed out"),
    FailureKind.OUTCOME_UNKNOWN: noop("outcome unknown"),
    FailureKind.INTERNAL: noop("internal error"),
}
TRIGGER_WORDS: Final[Mapping[str, str]] = {
    "webhook": noop("Request"),
    "manual": noop("By hand"),
    "schedule": noop("Schedule"),
    "form": noop("Form"),
    "polling": noop("App change"),
    "event": noop("App event"),
    "error": noop("Failed run"),
    "workflow": noop("Another workflow"),
}
WAITS: Final[Mapping[str, str]] = {
    "time": noop("Waits to go on"),
    "approval": noop("Waits for a person to decide"),
    "callback": noop("Waits for a call from outside"),
    "workflow": noop("Waits for another workflow"),
    "outcome_unknown": noop("Waits for a person: nobody knows whether the step happened"),
}
RESOLVED_WORDS: Final[Mapping[str, str]] = {
    "http": noop("Not registered: ran as an HTTP step"),
    "sandbox": noop("Not registered: ran as code in the sandbox"),
}
_ORDINALS: Final = (noop("first"), noop("second"), noop("third"), noop("fourth"), noop("fifth"))


def ordinal(number: int) -> str:
    """Return ``third`` for 3, ``7th`` beyond the fifth."""
    return _(_ORDINALS[number - 1]) if 0 < number <= len(_ORDINALS) else f"{number}th"


def trigger_words(kind: str) -> str:
    """Return what started a run, in words."""
    return _(TRIGGER_WORDS.get(kind, kind))


def waiting_words(waiting_for: Mapping[str, Any] | None) -> str:
    """Return what a run waits for, in words."""
    return _(WAITS.get(str((waiting_for or {}).get("kind", "")), noop("Waits")))


_SO_FAR: Final[Mapping[str, str]] = {
    "approval": noop("For %(who)s to answer, %(span)s so far"),
    "callback": noop("For a call from outside, %(span)s so far"),
    "workflow": noop("For another workflow, %(span)s so far"),
    "outcome_unknown": noop("For a person to say whether it happened, %(span)s so far"),
}


def waiting_so_far(kind: str, names: Any, span: str) -> str:
    """Return what a run waits for, of whom and how long: ``For priya to answer, 42 min so far``."""
    who = [str(name)[:40] for name in names[:3]] if isinstance(names, list) else []
    told = {"who": _(" or ").join(who) or _("a person"), "span": span}
    return _(_SO_FAR.get(kind, noop("Waits, %(span)s so far"))) % told


def failure_words(error: Mapping[str, Any] | None) -> str:
    """Return a failure's message, or its kind where it has none."""
    error = error or {}
    return str(error.get("message") or _(KIND_WORDS.get(str(error.get("kind", "")), noop("failed"))))


def again_words(error: Mapping[str, Any] | None) -> str:
    """Return whether trying again helps."""
    return _(AGAIN.get(str((error or {}).get("kind", "")), AGAIN[FailureKind.PERMANENT]))


def data_summary(trigger: Any, most: int = 3) -> str:
    """Return the first values that came with the trigger, as ``name Ada Fox, plan trial``; lists by their length."""
    body = trigger.get("body") if isinstance(trigger, dict) else None
    return ", ".join(islice(chain(scalars(body), _lengths(body)), most))


def _lengths(body: Any) -> Iterator[str]:
    """Yield ``24 orders`` for each list."""
    if isinstance(body, list):
        yield ngettext("%(count)s item", "%(count)s items", len(body)) % {"count": f"{len(body):,}"}
    for key, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, list) and value:
            yield f"{len(value):,} {key[:40]}"


def scalars(body: Any) -> Iterator[str]:
    """Yield what a value says in few words: a text, or an object's texts and numbers by name."""
    if isinstance(body, str) and body.strip():
        yield body.strip()[:60]
    for key, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != "":
            yield f"{key[:40]} {str(value)[:60]}"


def place_words(path: str, names: Mapping[str, str]) -> str:
    """Return where in a workflow a path is: ``“Send”, item 4``, with an item for each loop around it."""
    key = key_of_path(path)
    items = [_("item %(number)s") % {"number": f"{item + 1:,}"} for _loop, item in items_around(path)]
    return ", ".join([_("“%(name)s”") % {"name": names.get(key, key)}, *items])


def run_title(status: str, *, name: str, waiting_for: Mapping[str, Any] | None, took: str, failed_whole: bool) -> str:
    """Return a run's outcome as a title; ``name`` is where it stopped, in words, or what it does."""
    if status == RunStatus.FAILED and failed_whole:
        return _("The run failed")
    titles = {
        RunStatus.QUEUED: _("Waiting for a worker"),
        RunStatus.RUNNING: name or _("Starting"),
        RunStatus.WAITING: waiting_words(waiting_for),
        RunStatus.SUCCEEDED: _("Finished in %(took)s") % {"took": took},
        RunStatus.FAILED: _("Stopped at %(name)s") % {"name": name},
        RunStatus.CANCELLED: _("Cancelled before “%(name)s”") % {"name": name} if name else _("Cancelled"),
    }
    return titles[RunStatus(status)]
