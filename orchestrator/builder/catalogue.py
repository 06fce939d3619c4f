"""The catalogue of integrations: providers, one provider, one action. All of it is made from the registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from integrations.registry import Trigger, registry
from integrations.sdk import Action, Provider, WebhookTrigger
from integrations.words import credential_words, declared
from orchestrator.builder import step_form
from orchestrator.builder.add_search import terms
from orchestrator.builder.quality_rows import level_words, quality_of
from orchestrator.builder.reference import (
    FieldRow,
    action_row,
    action_url,
    error_rows,
    field_rows,
    repeat_words,
)
from orchestrator.builder.spoken import fit, input_schema_of, output_schema_of, words_of
from orchestrator.errors import NotFound
from orchestrator.tenants.access import Actor, tenant_page
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.shell import page
from orchestrator.vault.selectors import credential_list
from orchestrator.words import called
from orchestrator.workflows.models import Step

PAGE_PROVIDERS: Final = 60
PAGE_ACTIONS: Final = 60
# What one provider's page shows of the tenant's credentials, an action's page of the steps that use it.
MOST: Final = 10
# Errors that nobody can meet without a request on the wire.
_OF_THE_WIRE: Final = frozenset({"AuthError", "PermissionMissing", "RateLimited", "Transient", "OutcomeUnknown"})


@dataclass(frozen=True, kw_only=True)
class ProviderCard:
    provider: Provider
    name: str
    description: str
    url: str
    actions: int
    triggers: int
    auth: str
    level: str


@dataclass(frozen=True, kw_only=True)
class TriggerLine:
    """One trigger of a provider: what starts a workflow, with its fields and those of what a run gets."""

    key: str
    name: str
    description: str
    how: str
    inputs: tuple[FieldRow, ...]
    output: tuple[FieldRow, ...]


@dataclass(frozen=True, kw_only=True)
class ActionLine:
    """One line of a list of actions. Not the Action itself: a template would call it."""

    key: str
    name: str
    description: str
    provider_name: str
    url: str
    idempotent: bool
    kind: str


@dataclass(frozen=True, kw_only=True)
class Use:
    """A step of the tenant that is this action."""

    workflow: str
    step: str
    url: str


@require_safe
@tenant_page()
def integrations(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the providers or, for a search, the actions that fit it."""
    query = request.GET.get("q", "").strip()[:100]
    known = registry.actions()
    context: dict[str, Any] = {
        "query": query,
        "actions": len(known),
        "providers": len({action.provider.key for action in known}),
    }
    number = request.GET.get("page")
    if query:
        context["paged"] = paged = Paginator(_matching(query, known), PAGE_ACTIONS).get_page(number)
        context["lines"] = [_line(actor.tenant, action) for action in paged]
    else:
        cards = _cards(actor.tenant, known)
        context["paged"] = context["cards"] = Paginator(cards, PAGE_PROVIDERS).get_page(number)
    return page(request, actor, "developers/integrations.html", context, nav="integrations")


@require_safe
@tenant_page()
def integration_provider(request: HttpRequest, actor: Actor, provider: str) -> HttpResponse:
    """Show a provider: its actions, and the tenant's credentials for it."""
    found = registry.provider(provider)
    if found is None:
        raise NotFound(_("There is no such provider in this installation."))
    own = sorted(
        (each for each in registry.actions() if each.provider is found), key=lambda each: words_of(each).name.lower()
    )
    triggers = [each for each in registry.triggers() if each.provider is found]
    paged = Paginator(own, PAGE_ACTIONS).get_page(request.GET.get("page"))
    context = {
        "provider": found,
        "name": declared(found.name),
        "description": declared(found.description),
        "kinds": [declared(kind.title) for kind in found.auth],
        "paged": paged,
        "lines": [_line(actor.tenant, action) for action in paged],
        "triggers": [_trigger_line(each) for each in triggers],
        "quality": quality_of(found, [*own, *triggers]),
        "credentials": list(credential_list(actor.tenant).filter(provider=found.key)[:MOST]),
    }
    return page(request, actor, "developers/provider.html", context, nav="integrations")


@require_safe
@tenant_page()
def integration_action(request: HttpRequest, actor: Actor, provider: str, action: str) -> HttpResponse:
    """Show an action: the form that its step has, what it gives, what can go wrong, and who uses it."""
    found = registry.get(f"{provider}.{action}")
    if found is None:
        raise NotFound(_("There is no such action in this installation."))
    drawn = step_form.fields(input_schema_of(found), {})
    steps = Step.objects.for_tenant(actor.tenant).filter(action=found.key)
    context = {
        "action": action_row(found),
        "provider_url": reverse("integration-provider", args=[actor.tenant.slug, found.provider.key]),
        "fields": drawn,
        "repeat": repeat_words(found),
        "credential": credential_words(found.accepted_auth),
        "errors": [row for row in error_rows() if found.http or row.name not in _OF_THE_WIRE],
        "uses": _uses(actor.tenant, found),
        "used": steps.count(),
    }
    return page(request, actor, "developers/action.html", context, nav="integrations")


def _cards(tenant: Tenant, actions: Sequence[Action]) -> list[ProviderCard]:
    counts = Counter(action.provider.key for action in actions)
    triggers = Counter(trigger.provider.key for trigger in registry.triggers())
    return [
        ProviderCard(
            provider=provider,
            name=declared(provider.name),
            description=declared(provider.description),
            url=reverse("integration-provider", args=[tenant.slug, provider.key]),
            actions=counts[provider.key],
            triggers=triggers[provider.key],
            auth=", ".join(declared(kind.title) for kind in provider.auth),
            level=level_words(provider),
        )
        for provider in sorted(registry.providers(), key=lambda provider: declared(provider.name).lower())
        if counts[provider.key] or triggers[provider.key]
    ]


def _trigger_line(trigger: Trigger) -> TriggerLine:
    words = words_of(trigger)
    return TriggerLine(
        key=trigger.key,
        name=words.name,
        description=words.description,
        how=_how(trigger),
        inputs=field_rows(input_schema_of(trigger)),
        output=field_rows(output_schema_of(trigger)),
    )


def _how(trigger: Trigger) -> str:
    """Return how a trigger learns of what is new."""
    named = {"provider": trigger.provider.name}
    if not isinstance(trigger, WebhookTrigger):
        return _("It looks every so many seconds.")
    if trigger.subscribe is None:
        return _("%(provider)s calls it at once: you enter its address there.") % named
    return _("%(provider)s calls it at once: that is arranged when you publish.") % named


def _matching(query: str, actions: Sequence[Action]) -> list[Action]:
    wanted = terms(query)
    if not wanted:
        return []
    fits = ((fit(wanted, words_of(action)), action) for action in actions)
    best = sorted(((rank, action.key, action) for rank, action in fits if rank is not None), key=lambda each: each[:2])
    return [action for _rank, _key, action in best]


def _line(tenant: Tenant, action: Action) -> ActionLine:
    words = words_of(action)
    return ActionLine(
        key=action.key,
        name=words.name,
        description=words.description,
        provider_name=words.provider,
        url=action_url(tenant, action),
        idempotent=action.idempotent is True,
        kind="" if action.auth_type == "none" else declared(action.provider.auth_kind(action.auth_type).title),
    )


def _uses(tenant: Tenant, action: Action) -> list[Use]:
    rows = Step.objects.for_tenant(tenant).filter(action=action.key).select_related("workflow")
    return [
        Use(
            workflow=row.workflow.name,
            step=called(row.name, action.name),
            url=reverse("workflow-step", args=[tenant.slug, row.workflow_id, row.key]),
        )
        for row in rows.only("name", "key", "workflow__name").order_by("workflow__name", "pk")[:MOST]
    ]
