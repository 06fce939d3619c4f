"""``integration list``: what is registered and how good it is, as lines for a terminal and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django.core.management.base import CommandError

from integrations.registry import registry
from integrations.sdk import Action, PollingTrigger, WebhookTrigger
from integrations.sdk.declaration import Declaration
from integrations.sdk.quality import Assessment

_WORDS: Final = {"exempt": "exempt from", "unmet": "does not keep"}


def chosen(providers: Sequence[str], kind: str) -> list[Declaration]:
    """Return the actions and triggers, or those of these providers and this kind. Raises CommandError."""
    for key in providers:
        if registry.provider(key) is None:
            known = ", ".join(provider.key for provider in registry.providers())
            raise CommandError(f"There is no provider {key!r}: there are {known}.")
    declared: list[Declaration] = []
    if kind != "trigger":
        declared += registry.actions()
    if kind != "action":
        declared += registry.triggers()
    return [each for each in declared if not providers or each.provider.key in providers]


def lines(declared: Sequence[Declaration]) -> Iterator[str]:
    """Yield a line for each: its key, what it does, and what it needs."""
    widest = max((len(each.key) for each in declared), default=0)
    for each in declared:
        kinds = " or ".join(sorted(each.accepted_auth)) or "no credential"
        what = "" if isinstance(each, Action) else f"{_how(each)} trigger, "
        yield f"{each.key:<{widest}}  {each.description}  ({what}{kinds})"


def _how(declared: Declaration) -> str:
    return "polling" if isinstance(declared, PollingTrigger) else "webhook"


def described(declared: Declaration) -> dict[str, Any]:
    """Return all that a declaration says, as JSON."""
    told: dict[str, Any] = {
        "key": declared.key,
        "kind": "action" if isinstance(declared, Action) else "trigger",
        "name": declared.name,
        "provider": declared.provider.key,
        "description": declared.description,
        "category": declared.category,
        "icon": declared.provider.icon,
        "synonyms": list(declared.synonyms),
        "auth_type": declared.auth_type,
        "accepted_auth": sorted(declared.accepted_auth),
        "auth_required": declared.auth_required,
        "idempotent": declared.idempotent if isinstance(declared, Action) else True,
        "http": declared.http,
        "timeout": declared.timeout,
        "declared_at": declared.origin,
        "input_schema": declared.input_json_schema(),
        "secret_inputs": list(declared.secret_inputs),
        "output_schema": declared.output_json_schema(),
        "sample": declared.sample,
    }
    if isinstance(declared, Action):
        options = sorted(declared.options)
        told |= {"effect": declared.effect, "pure": declared.pure, "lanes": declared.lanes, "options": options}
    else:
        told["starts_by"] = _how(declared)
    if isinstance(declared, PollingTrigger):
        told["first_run"] = declared.first_run
    if isinstance(declared, WebhookTrigger):
        told |= {"methods": list(declared.methods), "subscribes": declared.subscribe is not None}
    return told


def quality_row(assessment: Assessment) -> dict[str, Any]:
    """Return a provider's level and every rule's verdict, as JSON."""
    return {
        "provider": assessment.provider.key,
        "level": assessment.level,
        "rules": [
            {"rule": each.rule.key, "level": each.rule.level, "state": each.state, "why": each.why}
            for each in assessment.verdicts
        ],
    }


def quality_lines(assessments: Sequence[Assessment]) -> Iterator[str]:
    """Yield a line for each provider with the rules that it keeps, then those of a level that it does not, and why."""
    widest = max((len(each.provider.key) for each in assessments), default=0)
    for found in assessments:
        kept = " ".join(each.rule.key for each in found.verdicts if each.state == "met")
        yield f"{found.provider.key:<{widest}}  {found.level or 'no level':<8}  {kept}"
        for each in found.verdicts:
            if each.rule.level and each.state != "met":
                yield f"{'':<{widest}}  {_WORDS[each.state]} {each.rule.key}: {each.why}"
