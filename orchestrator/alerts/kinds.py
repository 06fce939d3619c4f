"""What alerts are about, and the ways in which they are sent."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from django.utils.translation import gettext_noop as noop


class Event(StrEnum):
    RUN_FAILED = "run_failed"
    SILENT = "workflow_silent"
    MISSED = "schedule_missed"
    CREDENTIAL = "credential"
    RETURNED = "workflow_returned"
    TRIGGER = "trigger_failing"


class ChannelKind(StrEnum):
    EMAIL = "email"
    WEBHOOK = "webhook"
    SLACK = "slack"


class Status(StrEnum):
    """What a message says of one alert."""

    FIRING = "firing"
    STILL = "still_firing"
    RESOLVED = "resolved"
    OVER = "over"  # it fired and was resolved before anybody was told
    HAPPENED = "happened"  # nothing that lasts


# What lasts until it is well again; the others happen, and that is all.
LASTING: Final = frozenset({Event.RUN_FAILED, Event.SILENT, Event.CREDENTIAL, Event.TRIGGER})
# What concerns a workflow, so that a channel may choose of which it hears.
OF_WORKFLOWS: Final = frozenset(Event) - {Event.CREDENTIAL}

EVENT_WORDS: Final[Mapping[Event, tuple[str, str]]] = {
    Event.RUN_FAILED: (noop("Runs fail"), noop("A workflow begins to fail, and when it works again.")),
    Event.SILENT: (
        noop("A workflow is silent"),
        noop("No run has succeeded for as long as the workflow's settings say."),
    ),
    Event.MISSED: (noop("A schedule is missed"), noop("A time of a schedule came, and no run was made.")),
    Event.CREDENTIAL: (noop("A credential ends"), noop("It expires within a week, or its provider refuses it.")),
    Event.RETURNED: (noop("A version goes back"), noop("A workflow returned to an earlier version by itself.")),
    Event.TRIGGER: (
        noop("A trigger fails"),
        noop("An app cannot be asked or subscribed to for some minutes, and when it works again."),
    ),
}
# What is wrong with a trigger of an app, of which nothing comes.
TROUBLES: Final[Mapping[str, str]] = {
    "poll": noop("%(trigger)s cannot be asked: %(why)s"),
    "subscribe": noop("%(trigger)s is not subscribed: %(why)s"),
    "unread": noop("%(trigger)s cannot read what comes: %(why)s"),
    "credential": noop("%(trigger)s lost its credential %(why)s. Choose another, and publish."),
    "ended": noop("The subscription of %(trigger)s has ended."),
}
KIND_WORDS: Final[Mapping[ChannelKind, str]] = {
    ChannelKind.EMAIL: noop("Mail"),
    ChannelKind.WEBHOOK: noop("Webhook"),
    ChannelKind.SLACK: noop("Slack"),
}
