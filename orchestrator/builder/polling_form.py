"""The form of an integration's trigger: what to look for, its own fields, and how the last poll went, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.registry import Trigger as RegisteredTrigger
from integrations.registry import registry
from integrations.sdk import WebhookTrigger
from orchestrator.builder import form_reading, step_form
from orchestrator.builder.spoken import input_schema_of, words_of
from orchestrator.flow.names import TriggerType
from orchestrator.flow.polling import DEFAULT_SECONDS, LEAST_SECONDS, MOST_SECONDS
from orchestrator.vault.faces import HealthFace, face_of
from runs.clock import kept_moment
from runs.poll_rows import STATE, WAITS, is_under_way

if TYPE_CHECKING:
    from django.http import QueryDict

    from orchestrator.builder.board import Board
    from orchestrator.workflows.models import Trigger

_MOST: Final = 128
_CREDENTIAL: Final = "credential"
_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class Wrong(Exception):
    """What was posted cannot be read; ``errors`` and ``texts`` by the names of fields, ``config`` as far as it can."""

    def __init__(self, errors: Mapping[str, str], texts: Mapping[str, str], config: dict[str, Any]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors, self.texts, self.config = errors, texts, config


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A registered trigger to choose."""

    key: str
    name: str
    provider: str
    description: str
    selected: bool


@dataclass(frozen=True, kw_only=True)
class Credential:
    name: str
    words: str
    selected: bool
    pk: int = 0
    health: HealthFace | None = None


@dataclass(frozen=True, kw_only=True)
class Polled:
    """How polling goes: ``words`` say what the last poll found, ``error`` what failed of late."""

    last: datetime | None = None
    next: datetime | None = None
    words: str = ""
    error: str = ""
    under_way: bool = False
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class PollingForm:
    """``offers`` are what can be looked for, by the provider's name; the rest is of the one that is chosen, if any.

    ``asks`` is whether that is asked now and then, rather than called.
    """

    offers: tuple[Offer, ...]
    chosen: str
    description: str
    said: str
    registered: bool
    fields: tuple[step_form.Field, ...]
    folded: tuple[step_form.Field, ...]
    folded_open: bool
    takes_credential: bool
    credential_required: bool
    credentials: tuple[Credential, ...]
    new_credential_url: str
    provider_name: str
    asks: bool
    interval: str
    limits: str
    errors: Mapping[str, str]
    credential_is_warned: bool


def polling_form(
    board: Board,
    key: str,
    config: Mapping[str, Any],
    *,
    told: Mapping[str, str] = _EMPTY,
    warned: frozenset[str] = frozenset(),
    texts: Mapping[str, str] = _EMPTY,
) -> PollingForm:
    """Return the form of a config, with what is wrong at each field; ``texts`` are what was typed instead.

    Of the fields that are ``warned`` it is a warning, which stops nothing.
    """
    chosen = str(config.get("trigger") or "")[:_MOST]
    trigger = registry.trigger(chosen)
    inputs = config.get("inputs")
    drawn: tuple[step_form.Field, ...] = ()
    if trigger is not None:
        given = inputs if isinstance(inputs, dict) else {}
        found = step_form.fields(input_schema_of(trigger), given, errors=told, texts=texts, warned=warned)
        # Nothing has run yet, so there is no data to put in.
        drawn = tuple(replace(each, is_plain=True, fits="", why="") for each in found)
    folded = tuple(each for each in drawn if each.advanced and not each.required)
    credential = config.get(_CREDENTIAL)
    credentials = _credentials(board, trigger, credential if isinstance(credential, str) else "")
    return PollingForm(
        offers=_offers(chosen),
        chosen=chosen,
        description=words_of(trigger).description if trigger else "",
        said=sentence(config),
        registered=trigger is not None,
        fields=tuple(each for each in drawn if each not in folded),
        folded=folded,
        folded_open=any(each.is_filled or each.error for each in folded),
        takes_credential=bool(trigger and trigger.accepted_auth) or bool(credential),
        credential_required=bool(trigger and trigger.auth_required),
        credentials=credentials,
        new_credential_url=_new_credential_url(board, trigger, key),
        provider_name=words_of(trigger).provider if trigger else "",
        asks=not isinstance(trigger, WebhookTrigger),
        interval=str(texts.get("interval", config.get("interval", DEFAULT_SECONDS)))[:_MOST],
        limits=_("%(low)s to %(high)s") % {"low": LEAST_SECONDS, "high": MOST_SECONDS},
        errors=told,
        credential_is_warned=_CREDENTIAL in warned,
    )


def _offers(chosen: str) -> tuple[Offer, ...]:
    found = sorted(
        ((words_of(each), each.key) for each in registry.triggers()),
        key=lambda each: (each[0].provider.lower(), each[0].name.lower()),
    )
    return tuple(
        Offer(
            key=key,
            name=words.name,
            provider=words.provider,
            description=words.description,
            selected=key == chosen,
        )
        for words, key in found
    )


def _credentials(board: Board, trigger: RegisteredTrigger | None, chosen: str) -> tuple[Credential, ...]:
    found = [
        Credential(name=row.name, words=row.name, selected=row.name == chosen, pk=row.pk, health=face_of(row))
        for row in board.credentials
        if trigger is not None and row.auth_type in trigger.accepted_auth and row.provider == trigger.provider.key
    ]
    if chosen and all(each.name != chosen for each in found):
        found.append(Credential(name=chosen, words=board.unfit(chosen), selected=True))
    return tuple(found)


def _new_credential_url(board: Board, trigger: RegisteredTrigger | None, key: str) -> str:
    query = {"next": board.url("workflow-trigger", key)}
    if trigger is not None:
        query["provider"] = trigger.provider.key
    return f"{reverse('credential-new', args=[board.tenant.slug])}?{urlencode(query)}"


def sentence(config: Mapping[str, Any]) -> str:
    """Return where something is looked for and how often, as ``RSS · every 60 s`` or ``GitHub · as it happens``."""
    key = str(config.get("trigger") or "")[:_MOST]
    if not key:
        return _("Nothing chosen yet")
    trigger = registry.trigger(key)
    interval = config.get("interval", DEFAULT_SECONDS)
    every = _("every %(n)s s") % {"n": interval} if isinstance(interval, int) else ""
    if isinstance(trigger, WebhookTrigger):
        every = _("as it happens")
    return " · ".join(part for part in (words_of(trigger).provider if trigger else key, every) if part)


def chosen_config(key: str) -> dict[str, Any]:
    """Return the config of a trigger that was just chosen. Raises Wrong for one that is not there."""
    if registry.trigger(key) is None:
        raise Wrong({"trigger": _("Choose what to look for.")}, {}, {})
    return {"trigger": key} if kind_of(key) is TriggerType.EVENT else {"trigger": key, "interval": DEFAULT_SECONDS}


def kind_of(key: str) -> TriggerType:
    """Return the type of the triggers that name a registered one: called, or asked."""
    return TriggerType.EVENT if registry.webhook(key) is not None else TriggerType.POLLING


def config_from(kind: TriggerType, posted: QueryDict, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config that a form says; another trigger than the stored one begins without inputs. Raises Wrong."""
    key = posted.get("trigger", "")[:_MOST]
    if key != stored.get("trigger"):
        return chosen_config(key)
    trigger = registry.trigger(key)
    errors: dict[str, str] = {}
    texts: dict[str, str] = {}
    config: dict[str, Any] = {"trigger": key}
    if kind is TriggerType.POLLING:
        config["interval"] = stored.get("interval", DEFAULT_SECONDS)
    if trigger is None:
        config["inputs"] = stored.get("inputs", {})
    else:
        try:
            config["inputs"] = form_reading.parse(trigger.input_json_schema(), _texts(posted))
        except form_reading.Unreadable as wrong:
            errors, texts = dict(wrong.messages), dict(wrong.texts)
            config["inputs"] = wrong.inputs
    if name := posted.get(_CREDENTIAL, "").replace("\x00", "").strip()[:100]:
        config[_CREDENTIAL] = name
    interval = posted.get("interval", "").strip() or str(DEFAULT_SECONDS)
    if kind is TriggerType.EVENT:
        pass
    elif interval.isascii() and interval.isdigit() and LEAST_SECONDS <= int(interval[:9]) <= MOST_SECONDS:
        config["interval"] = int(interval[:9])
    else:
        errors["interval"] = _("Use a whole number from %(low)s to %(high)s.") % {
            "low": LEAST_SECONDS, "high": MOST_SECONDS,
        }  # fmt: skip
        texts["interval"] = interval[:_MOST]
    if errors:
        raise Wrong(errors, texts, config)
    return config


def _texts(posted: QueryDict) -> dict[str, Sequence[str]]:
    return {name: [text.replace("\x00", "") for text in posted.getlist(name)] for name in posted}


def polled(row: Trigger) -> Polled:
    """Return how a live trigger's polling goes."""
    state = row.state.get(STATE)
    state = state if isinstance(state, Mapping) else {}
    now = timezone.now()
    under_way = is_under_way(row, now)
    moment = kept_moment(state.get("polled_at"))
    mark = "-".join(str(part) for part in (state.get("polled_at"), under_way, row.next_fire_at))
    return Polled(
        last=moment,
        next=None if under_way else row.next_fire_at,
        words=_waits(state) or (_found(state) if moment else ""),
        error=_error(state),
        under_way=under_way,
        mark=mark,
    )


def _waits(state: Mapping[str, Any]) -> str:
    if not state.get(WAITS):
        return ""
    return _("It waits for its turn: the provider takes only so many requests in a while.")


def _found(state: Mapping[str, Any]) -> str:
    """Return what the last poll that went well found."""
    if "error" in state or not isinstance(state.get("found"), int):
        return ""
    found, started, refused = (_count(state.get(name)) for name in ("found", "started", "refused"))
    parts = []
    if "skips" in state:
        skipped = _count(state.get("skipped"))
        said = ngettext(
            "%(count)d item was there already and started nothing: what appears from now on does.",
            "%(count)d items were there already and started nothing: what appears from now on does.",
            skipped,
        )
        parts.append(said % {"count": skipped})
    elif not found:
        parts.append(_("Nothing new."))
    else:
        parts.append(
            ngettext("%(count)d run was started.", "%(count)d runs were started.", started) % {"count": started}
        )
    if refused:
        said = ngettext(
            "%(count)d item was left out: it is larger than a run may take.",
            "%(count)d items were left out: they are larger than a run may take.",
            refused,
        )
        parts.append(said % {"count": refused})
    return " ".join(parts)


def _error(state: Mapping[str, Any]) -> str:
    error = state.get("error")
    if not isinstance(error, Mapping):
        return ""
    failures = _count(state.get("failures"))
    times = ngettext("The last poll failed.", "The last %(count)d polls failed.", failures) % {"count": failures}
    return " ".join(str(part) for part in (times, error.get("message"), error.get("hint")) if part)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
