"""The menu of actions that a new step can be, made from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods

from integrations.registry import registry
from integrations.sdk import Action, Provider
from orchestrator.builder import curl
from orchestrator.builder.add_search import Piece, pieces, score, terms
from orchestrator.builder.developers import ActionRow, FieldRow, action_row
from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.shell import fragment, is_fragment, page
from orchestrator.types import JSONValue
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.selectors import credential_list
from orchestrator.workflows import services
from orchestrator.workflows.models import Step, Workflow
from runs.outline import lane_words

FALLBACK_ACTION: Final = "http.request"
CONNECTED, NEEDS, BUILT_IN = "connected", "needs", "builtin"
_GROUPS: Final = (
    (CONNECTED, noop("Connected")),
    (NEEDS, noop("Needs a credential")),
    (BUILT_IN, noop("Built in")),
)
# The kinds of our own steps come first, in this order; the providers' follow by name.
_FIRST: Final[Mapping[str, str]] = {
    "Logic": "branch",
    "Data": "form",
    "Code": "code",
    "AI": "spark",
    "People": "user",
}


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where the new step goes: behind a step, first in a step's lane, or first of all (nothing set)."""

    after: str = ""
    parent: str = ""
    lane: str = ""
    words: str = ""

    @property
    def query(self) -> str:
        given = {"after": self.after} if self.after else {"parent": self.parent, "lane": self.lane}
        return urlencode(given if any(given.values()) else {"first": "1"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One action in the menu. ``shown`` tells whether it fits what was typed and the category that is open."""

    key: str
    provider: Provider
    name: tuple[Piece, ...]
    about: tuple[Piece, ...]
    find: str
    credential: Credential | None
    category: str
    shown: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    key: str
    words: str
    rows: tuple[Row, ...]
    shown: bool


@dataclass(frozen=True, kw_only=True)
class Category:
    """One line of the left column: a link, and how many actions it holds; without a ``key`` it is everything."""

    key: str
    words: str
    icon: str
    provider: str
    count: int
    url: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a person learns about an action before choosing it."""

    action: ActionRow
    credential: Credential | None
    needs_credential: bool
    takes_credential: bool
    required: tuple[FieldRow, ...]
    optional: tuple[FieldRow, ...]
    repeat: str
    used: int


@require_http_methods(["GET", "HEAD", "POST"])
@tenant_page(Role.EDITOR)
def step_add(request: HttpRequest, actor: Actor, pk: int) -> HttpResponse:
    """Show the actions, or add a step of the chosen one and open its form."""
    workflow = get_for_tenant_or_404(Workflow, actor.tenant, pk=pk)
    if request.method != "POST":
        return _preview(request, actor, workflow) if "about" in request.GET else _menu(request, actor, workflow)
    if "curl" in request.POST:
        return _paste(request, actor, workflow)
    if registry.get(request.POST.get("action", "")) is None:
        return _menu(request, actor, workflow, error=_("Choose one of the actions below. Nothing was added."))
    try:
        step = _add(actor, workflow, request.POST)
    except (Conflict, Invalid, NotFound) as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, workflow.pk)
    return redirect("workflow-step", actor.tenant.slug, workflow.pk, step.key)


def _paste(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    """Add an HTTP step that sends what a cURL command does."""
    try:
        found = curl.parse(request.POST["curl"].replace("\0", ""))
        step = _add(actor, workflow, {**request.POST.dict(), "action": FALLBACK_ACTION}, inputs=found.inputs)
    except curl.NotCurl as error:
        return _menu(request, actor, workflow, error=f"{error} {_('Nothing was added.')}")
    except (Conflict, Invalid, NotFound) as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, workflow.pk)
    if found.left_out:
        said = _("%(names)s was left out: secrets belong in a credential. Choose one in the form, or make it.")
        messages.warning(request, said % {"names": ", ".join(found.left_out)})
    return redirect("workflow-step", actor.tenant.slug, workflow.pk, step.key)


@transaction.atomic
def _add(
    actor: Actor, workflow: Workflow, data: Mapping[str, str], *, inputs: Mapping[str, JSONValue] | None = None
) -> Step:
    """Add the step and, where the tenant has exactly one credential for it, choose that."""
    action = registry.get(data.get("action", ""))
    assert action is not None
    step = services.step_add(
        actor=actor,
        workflow=workflow,
        action=action.key,
        after=data.get("after") or None,
        parent=data.get("parent") or None,
        lane=data.get("lane", "")[:63],
    )
    fitting = _fitting(action, credential_list(actor.tenant))
    changes: dict[str, Any] = {"config": {"inputs": inputs}} if inputs else {}
    if action.auth_required and len(fitting) == 1:
        changes["credential"] = fitting[0].name
    if changes:
        step = services.step_update(actor=actor, workflow=workflow, key=step.key, changes=changes)
    return step


def _menu(request: HttpRequest, actor: Actor, workflow: Workflow, *, error: str = "") -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    query, open_category = given.get("q", "").strip()[:100], given.get("category", "")[:100]
    wanted, credentials = terms(query), list(credential_list(actor.tenant))
    spot = _spot(workflow, given)
    address = reverse("step-add", args=[actor.tenant.slug, workflow.pk])
    categories = _categories(f"{address}?{spot.query}", wanted, open_category)
    current = next(entry.key for entry in categories if entry.current)
    groups = _groups(credentials, wanted, current)
    first = next((row for group in groups for row in group.rows if row.shown), None)
    context = {
        "tenant": actor.tenant,
        "workflow": workflow,
        "spot": spot,
        "query": query,
        "category": current,
        "categories": categories,
        "groups": groups,
        "count": sum(row.shown for group in groups for row in group.rows),
        "preview": _about(actor.tenant, registry.get(first.key), credentials) if first else None,
        "pasted": given.get("curl", "")[: curl.MAX_COMMAND],
        "fallback": FALLBACK_ACTION if registry.get(FALLBACK_ACTION) else "",
        "error": error,
    }
    if is_fragment(request):
        return fragment(request, actor, "builder/add_menu.html", context)
    return page(
        request, actor, "builder/add.html", context, nav="workflow-list", narrow=True, status=400 if error else 200
    )


def _preview(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    """Answer the right column alone: it follows the row that is chosen."""
    action = registry.get(request.GET.get("about", ""))
    if action is None:
        raise NotFound("There is no such action.")
    about = _about(actor.tenant, action, list(credential_list(actor.tenant)))
    context = {"workflow": workflow, "preview": about, "spot": _spot(workflow, request.GET)}
    return fragment(request, actor, "builder/add_preview.html", context)


def _spot(workflow: Workflow, given: Mapping[str, str]) -> Spot:
    """Return where the step goes; without a word about it, the end of the workflow."""
    rows = list(Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).order_by("position", "id"))
    named = {row.key: row for row in rows}
    after, parent = given.get("after", ""), given.get("parent", "")
    if not after and not parent and "first" not in given:
        after = next((row.key for row in reversed(rows) if row.parent_id is None), "")
    if after in named:
        return Spot(after=after, words=_("After “%(name)s”") % {"name": named[after].name or after})
    lane = given.get("lane", "")[:63]
    if parent in named and lane:
        values = {"name": named[parent].name or parent, "lane": lane_words(named[parent].action, lane)}
        return Spot(parent=parent, lane=lane, words=_("In “%(name)s”, first in %(lane)s") % values)
    return Spot(words=_("As the first step"))


def _groups(credentials: Sequence[Credential], wanted: Sequence[str], category: str) -> tuple[Group, ...]:
    """Return every action, best first within each group; those that do not fit are there, hidden, for the script."""
    found: dict[str, list[tuple[int, str, Row]]] = {key: [] for key, _words in _GROUPS}
    for action in registry.actions():
        find = _find_text(action)
        fit = score(wanted, action.name.lower(), find)
        fitting = _fitting(action, credentials)
        row = Row(
            key=action.key,
            provider=action.provider,
            name=pieces(action.name, wanted),
            about=pieces(f"{action.provider.name} · {action.description}", wanted),
            find=find,
            credential=fitting[0] if fitting else None,
            category=_category(action),
            shown=fit is not None and category in ("", _category(action)),
        )
        found[_group(action, fitting)].append((9 if fit is None else fit, action.name.lower(), row))
    return tuple(
        Group(
            key=key,
            words=_(words),
            rows=tuple(row for _fit, _name, row in sorted(found[key], key=lambda entry: entry[:2])),
            shown=any(row.shown for _fit, _name, row in found[key]),
        )
        for key, words in _GROUPS
        if found[key]
    )


def _group(action: Action, fitting: Sequence[Credential]) -> str:
    if not action.auth_required:
        return BUILT_IN
    return CONNECTED if fitting else NEEDS


def _fitting(action: Action, credentials: Iterable[Credential]) -> list[Credential]:
    """Return the credentials that the action takes, those that work first."""
    found = [
        credential
        for credential in credentials
        if credential.auth_type in action.accepted_auth
        and (action.any_provider or credential.provider == action.provider.key)
    ]
    return sorted(found, key=lambda credential: credential.health == Health.RECONNECT) if action.auth_required else []


def _categories(address: str, wanted: Sequence[str], open_category: str) -> list[Category]:
    """Return the left column: everything, the kinds of our own steps, then those of providers."""
    counts: dict[str, int] = {}
    providers: dict[str, str] = {}
    for action in registry.actions():
        name = _category(action)
        fits = score(wanted, action.name.lower(), _find_text(action)) is not None
        counts[name] = counts.get(name, 0) + fits
        providers.setdefault(name, action.provider.key)
    first = [name for name in _FIRST if name in counts]
    names = [*first, *sorted(name for name in counts if name not in _FIRST)]
    query = f"&{urlencode({'q': ' '.join(wanted)})}" if wanted else ""
    entries = [
        Category(
            key=name,
            words=name,
            icon=_FIRST.get(name, ""),
            provider="" if name in _FIRST else providers[name],
            count=counts[name],
            url=f"{address}{query}&{urlencode({'category': name})}",
            current=name == open_category,
        )
        for name in names
    ]
    everything = Category(
        key="",
        words=_("All"),
        icon="search",
        provider="",
        count=sum(counts.values()),
        url=f"{address}{query}",
        current=open_category not in counts,
    )
    return [everything, *entries]


def _category(action: Action) -> str:
    return action.category or action.provider.name


@lru_cache(maxsize=4_000)
def _find_text(action: Action) -> str:
    """Return all that a search looks in, in lower case."""
    parts = (action.name, action.provider.name, action.description, *action.synonyms, action.key, action.category)
    return " ".join(" ".join(parts).lower().split())


def _about(tenant: Tenant, action: Action | None, credentials: Sequence[Credential]) -> Preview:
    assert action is not None
    row, fitting = action_row(action), _fitting(action, credentials)
    return Preview(
        action=row,
        credential=fitting[0] if fitting else None,
        needs_credential=action.auth_required and not fitting,
        takes_credential=bool(action.accepted_auth) and not action.auth_required,
        required=tuple(field for field in row.inputs if field.required),
        optional=tuple(field for field in row.inputs if not field.required),
        repeat=_repeat_words(action),
        used=Step.objects.for_tenant(tenant).filter(action=action.key).count(),
    )


def _repeat_words(action: Action) -> str:
    if action.pure:
        return _("Yes, nothing leaves the run")
    if action.idempotent:
        return _("Yes, doing it twice does no harm")
    if action.idempotent_when is not None:
        return _("Depends on what you fill in")
    return _("No, so an attempt whose answer was lost is not sent again by itself")
