"""The form of an alert channel: what is kept or was entered, and what was entered as the services take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.http import QueryDict
from django.utils.translation import gettext as _

from orchestrator.alerts.kinds import EVENT_WORDS, ChannelKind, Event
from orchestrator.alerts.models import AlertChannel
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import AuthType, Credential
from orchestrator.workflows.models import Workflow

# Workflows to tick; more are chosen by the API.
MOST_OFFERED: Final = 200
_LONGEST: Final = 10_000
_MOST_CHOSEN: Final = 600


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A box to tick."""

    value: str
    name: str
    help: str = ""
    ticked: bool


@dataclass(frozen=True, kw_only=True)
class ChannelForm:
    """What the page shows of a channel; ``errors`` by the name of the setting."""

    kind: ChannelKind
    name: str
    is_on: bool
    events: Sequence[Tick]
    all_workflows: bool
    workflows: Sequence[Tick]
    quiet_minutes: str
    emails: str
    host: str
    credential: str
    credentials: Sequence[str]
    slack_channel: str
    errors: Mapping[str, str]


def form_of(
    tenant: Tenant,
    kind: ChannelKind,
    channel: AlertChannel | None,
    entered: QueryDict | None = None,
    errors: Mapping[str, str] | None = None,
) -> ChannelForm:
    """Return the form: what was entered if something was, else what is kept; two queries at most."""
    kept = channel or AlertChannel(kind=kind, events=[event.value for event in Event])
    values = _entered_texts(entered) if entered is not None else _kept_texts(kept)
    chosen = set(values["workflows"])
    offered = _offered(tenant, chosen)
    credentials: list[str] = []
    if kind is ChannelKind.SLACK:
        rows = Credential.objects.for_tenant(tenant).filter(provider="slack").exclude(auth_type=AuthType.API_KEY)
        credentials = list(rows.order_by("name").values_list("name", flat=True)[:MOST_OFFERED])
    return ChannelForm(
        kind=kind,
        name=values["name"],
        is_on=values["is_on"],
        events=[
            Tick(value=event.value, name=_(name), help=_(help_), ticked=event.value in values["events"])
            for event, (name, help_) in EVENT_WORDS.items()
        ],
        all_workflows=values["all"],
        workflows=[Tick(value=str(pk), name=name, ticked=str(pk) in chosen) for pk, name in offered],
        quiet_minutes=values["quiet_minutes"],
        emails=values["emails"],
        host=kept.host,
        credential=values["credential"],
        credentials=credentials,
        slack_channel=values["slack_channel"],
        errors=errors or {},
    )


def _offered(tenant: Tenant, chosen: set[str]) -> list[tuple[int, str]]:
    rows = Workflow.objects.for_tenant(tenant).order_by("name", "pk").values_list("pk", "name")
    found = list(rows[:MOST_OFFERED])
    missing = {int(each) for each in chosen if each.isascii() and each.isdigit() and len(each) < 19}
    missing -= {pk for pk, _name in found}
    # What is chosen stays to be seen, and in the form.
    return found + (list(rows.filter(pk__in=missing)[:_MOST_CHOSEN]) if missing else [])


def _kept_texts(channel: AlertChannel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "is_on": channel.is_on,
        "events": [event.value for event in channel.heard],
        "all": channel.workflows is None,
        "workflows": [str(pk) for pk in channel.workflows or ()],
        "quiet_minutes": str(channel.quiet_minutes),
        "emails": "\n".join(channel.emails),
        "credential": channel.credential.name if channel.credential else "",
        "slack_channel": channel.slack_channel,
    }


def _entered_texts(data: QueryDict) -> dict[str, Any]:
    texts = {
        name: data.get(name, "")[:_LONGEST]
        for name in ("name", "quiet_minutes", "emails", "credential", "slack_channel")
    }
    return {
        **texts,
        "is_on": data.get("is_on") == "on",
        "events": data.getlist("events"),
        "all": data.get("which", "all") != "chosen",
        "workflows": data.getlist("workflows")[:_MOST_CHOSEN],
    }


def values_of(kind: ChannelKind, data: QueryDict) -> dict[str, Any]:
    """Return what was entered as the services take it; what is no number is left for them to refuse."""
    texts = _entered_texts(data)
    minutes = texts["quiet_minutes"].strip()
    is_number = minutes.isascii() and minutes.isdigit() and len(minutes) < 9
    values: dict[str, Any] = {
        "name": texts["name"],
        "is_on": texts["is_on"],
        "events": texts["events"],
        "workflows": None if texts["all"] else texts["workflows"],
        "quiet_minutes": int(minutes) if is_number else minutes,
    }
    url = data.get("url", "").strip()[:_LONGEST]
    if kind is ChannelKind.EMAIL:
        lines = texts["emails"].replace(",", "\n").splitlines()
        values["emails"] = [line.strip() for line in lines if line.strip()]
    elif url:
        # Left empty, the address that is kept stays.
        values["url"] = url
    elif kind is ChannelKind.SLACK and texts["credential"]:
        values |= {"credential": texts["credential"], "slack_channel": texts["slack_channel"]}
    return values
