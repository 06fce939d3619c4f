"""What a polling trigger's config may say, and when it is polled. Pure; times are aware, in UTC."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from integrations.words import credential_words
from integrations.words import gettext as _
from orchestrator.errors import Problem
from orchestrator.flow.credentials import credential_state
from orchestrator.flow.definition import TriggerDefinition
from orchestrator.flow.expressions import find_templates
from orchestrator.flow.facts import Catalog, CredentialFacts, TriggerFacts
from orchestrator.flow.names import TriggerType
from orchestrator.flow.telling import close, error, joined, warning

LEAST_SECONDS: Final = 10
MOST_SECONDS: Final = 24 * 3_600
DEFAULT_SECONDS: Final = 60
# How long a trigger that fails again and again waits at most, unless its interval is longer or it is told to.
MOST_BACKOFF: Final = timedelta(hours=1)
MOST_TOLD: Final = timedelta(days=1)
_DOUBLED: Final = 12  # no interval needs to be doubled more often
_BRING_NOTHING: Final = (TriggerType.MANUAL, TriggerType.SCHEDULE)
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class AppConfig(BaseModel):
    """``trigger`` is a registered key, ``inputs`` are that one's, ``credential`` is a name."""

    model_config = ConfigDict(extra="forbid")

    trigger: str = Field("", max_length=128)
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    credential: str | None = Field(None, max_length=100)


class PollingConfig(AppConfig):
    """What is asked, and every how many seconds."""

    interval: int = Field(DEFAULT_SECONDS, ge=LEAST_SECONDS, le=MOST_SECONDS)


def config_of(config: Any) -> PollingConfig:
    """Return a stored config. Raises ValidationError for one that was never checked."""
    return PollingConfig.model_validate(config)


def next_poll(interval: int, now: datetime, *, offset: int) -> datetime:
    """Return when to poll next after a poll that is just done.

    ``offset`` spreads the triggers of an interval over it, so that they do not all ask in the same second. The first
    poll comes at once, so the pause after it may be shorter than the interval, by half at most.
    """
    start = _EPOCH + timedelta(seconds=offset % interval)
    earliest = now + timedelta(seconds=interval / 2)
    count = -((start - earliest) // timedelta(seconds=interval))
    return start + timedelta(seconds=count * interval)


def backoff(interval: int, failures: int, *, retry_after: float | None = None) -> timedelta:
    """Return how long to wait after so many failures in a row; at least as long as the other side asked, if it did."""
    waits = timedelta(seconds=interval * 2 ** min(failures, _DOUBLED))
    waits = min(waits, max(MOST_BACKOFF, timedelta(seconds=interval)))
    # Before it becomes a duration: whatever an integration makes of a header, infinity too.
    told = min(retry_after, MOST_TOLD.total_seconds()) if retry_after and retry_after > 0 else 0
    return max(waits, timedelta(seconds=told))


def watched(config: AppConfig) -> str:
    """Return what tells whether a cursor belongs to a config: one of another place would be wrong here."""
    text = json.dumps([config.trigger, config.inputs], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def bodies(triggers: Sequence[TriggerDefinition], catalog: Catalog) -> dict[str, Mapping[str, Any]]:
    """Return the schemas of what runs begin with, by their triggers' names; none where any of them may bring anything.

    By hand and at a time of the clock nothing comes that was not meant for the others.
    """
    found = {}
    for trigger in triggers:
        if trigger.type in _BRING_NOTHING:
            continue
        facts = catalog.trigger(str(trigger.config.get("trigger"))) if trigger.type is TriggerType.POLLING else None
        if facts is None or facts.output_schema is None:
            return {}
        found[facts.name] = facts.output_schema
    return found


def polling_problems(
    path: str, config: PollingConfig, *, catalog: Catalog, credentials: Mapping[str, CredentialFacts]
) -> Iterator[Problem]:
    """Yield what is wrong with a polling trigger's config beyond its shape; ``path`` is the config's."""
    yield from app_problems(path, TriggerType.POLLING, config, catalog=catalog, credentials=credentials)


def app_problems(
    path: str,
    kind: TriggerType,
    config: AppConfig,
    *,
    catalog: Catalog,
    credentials: Mapping[str, CredentialFacts],
) -> Iterator[Problem]:
    """Yield what is wrong with what a config of this type says of an integration's trigger."""
    if not config.trigger:
        yield error(f"{path}.trigger", _("Choose what to look for."), "trigger_missing")
        return
    facts = catalog.trigger(config.trigger)
    if facts is None:
        hint = close(config.trigger, catalog.trigger_keys())
        message = _("There is no trigger %(trigger)r in this installation.%(hint)s") % {
            "trigger": config.trigger,
            "hint": hint,
        }
        yield error(f"{path}.trigger", message, "trigger_unknown")
        return
    if facts.type is not kind:
        message = _("%(trigger)s is of the type %(its)s, and this trigger is of the type %(own)s.") % {
            "trigger": config.trigger, "its": facts.type.value, "own": kind.value,
        }  # fmt: skip
        yield error(f"{path}.trigger", message, "trigger_type")
        return
    yield from _credential(f"{path}.credential", config.credential, facts, credentials)
    templates = list(find_templates(config.inputs, f"{path}.inputs"))
    for where, _text in templates:
        message = _(
            "Nothing has run yet where a trigger begins, so there is no data for an expression: write the value."
        )
        yield error(where, message, "trigger_expression")
    held = {where for where, _text in templates}
    for inner, message, code in facts.check_inputs(config.inputs):
        where = joined(f"{path}.inputs", inner)
        if where not in held:
            yield error(where, message, code)


def _credential(
    where: str, name: str | None, facts: TriggerFacts, credentials: Mapping[str, CredentialFacts]
) -> Iterator[Problem]:
    needed = credential_words(facts.accepted_auth)
    if not name:
        if facts.auth_required:
            yield error(
                where,
                _("%(name)s requires %(needed)s. Choose a credential.")
                % {"name": facts.provider_name, "needed": needed},
                "credential_missing",
            )
        return
    known = credentials.get(name)
    if known is None:
        yield error(
            where,
            _("There is no credential %(name)r.%(hint)s") % {"name": name, "hint": close(name, list(credentials))},
            "credential_unknown",
        )
    elif not facts.accepted_auth:
        yield warning(where, _("%(name)s uses no credential.") % {"name": facts.name}, "credential_unused")
    elif known.auth_type not in facts.accepted_auth:
        yield error(
            where,
            _("%(name)s requires %(needed)s; this is %(auth_type)s.")
            % {"name": facts.provider_name, "needed": needed, "auth_type": credential_words([known.auth_type])},
            "credential_type",
        )
    elif known.provider != facts.provider:
        yield error(
            where,
            _("This credential is for %(other)s, not %(provider)s.")
            % {"other": known.provider, "provider": facts.provider},
            "credential_provider",
        )
    else:
        yield from credential_state(where, name, known)
