"""The menu of actions that a new step can be, made from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.views.decorators.http import require_http_methods

from integrations.registry import registry
from integrations.sdk import Action
from integrations.words import declared
from orchestrator.builder import curl
from orchestrator.builder.add_rows import row_html
from orchestrator.builder.add_search import terms
from orchestrator.builder.agents import tools
from orchestrator.builder.reference import ActionRow, FieldRow, action_row, action_url, repeat_words
from orchestrator.builder.spoken import Words, action_category, fit, words_of
from orchestrator.builder.spots import spot_of
from orchestrator.builder.step_facts import input_schema
from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, tenant_page
from orchestrator.tenants.models import Role, Tenant
from orchestrator.tenants.shell import fragment, is_fragment, page
from orchestrator.types import JSONValue
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.operators import needs_credential
from orchestrator.vault.selectors import credential_list
from orchestrator.vault.sharing import usable
from orchestrator.workflows import services
from orchestrator.workflows.copies import step_paste
from orchestrator.workflows.models import Step, Workflow

MAX_PASTED: Final = 1_000_000
FALLBACK_ACTION: Final = "http.request"
_NO_FIT: Final = 9
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
class Entry:
    """One action in the menu: its texts, and how well it fits what was typed, None where it does not."""

    action: Action
    words: Words
    fit: int | None

    @property
    def order(self) -> tuple[int, str]:
        return (_NO_FIT if self.fit is None else self.fit), self.words.names[0]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One action in the menu, drawn. ``shown`` tells whether it fits what was typed and the category that is open."""

    key: str
    shown: bool
    html: SafeString


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
    action_url: str
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
        step = step_of(actor, workflow, request.POST)
    except (Conflict, Invalid, NotFound) as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, workflow.pk)
    return _opened(actor, workflow, step)


def _opened(actor: Actor, workflow: Workflow, step: Step) -> HttpResponse:
    """Lead to the new step's form, to the first field that has to be filled in."""
    schema = input_schema(registry.get(step.action))
    given = step.config.get("inputs", {})
    needed = [name for name in schema.get("required", ()) if name not in given]
    at = reverse("workflow-step", args=[actor.tenant.slug, workflow.pk, step.key])
    return redirect(f"{at}#field-{needed[0]}" if needed else at)


def _paste(request: HttpRequest, actor: Actor, workflow: Workflow) -> HttpResponse:
    """Add the step that a text is a copy of, or an HTTP step that sends what a cURL command does."""
    text = request.POST["curl"].replace("\0", "")
    if text.lstrip().startswith("{"):
        return _paste_step(request, actor, workflow, text)
    try:
        found = curl.parse(text)
        step = step_of(actor, workflow, {**request.POST.dict(), "action": FALLBACK_ACTION}, inputs=found.inputs)
    except curl.NotCurl as error:
        return _menu(request, actor, workflow, error=f"{error} {_('Nothing was added.')}")
    except (Conflict, Invalid, NotFound) as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, workflow.pk)
    if found.left_out:
        said = _("%(names)s was left out: secrets belong in a credential. Choose one in the form, or make it.")
        messages.warning(request, said % {"names": ", ".join(found.left_out)})
    return _opened(actor, workflow, step)


def _paste_step(request: HttpRequest, actor: Actor, workflow: Workflow, text: str) -> HttpResponse:
    data = request.POST
    try:
        step = step_paste(
            actor=actor,
            workflow=workflow,
            text=text[:MAX_PASTED],
            after=data.get("after") or None,
            parent=data.get("parent") or None,
            lane=data.get("lane", "")[:63],
        )
    except Invalid as error:
        return _menu(request, actor, workflow, error=f"{error.message} {_('Nothing was added.')}")
    except (Conflict, NotFound) as error:
        messages.error(request, error.message)
        return redirect("workflow", actor.tenant.slug, workflow.pk)
    return redirect("workflow-step", actor.tenant.slug, workflow.pk, step.key)


@transaction.atomic
def step_of(
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
    fitting = _fitting(action, usable(actor, credential_list(actor.tenant)))
    changes: dict[str, Any] = {"config": {"inputs": inputs}} if inputs else {}
    if needs_credential(action) and len(fitting) == 1:
        changes["credential"] = fitting[0].name
    if changes:
        step = services.step_update(actor=actor, workflow=workflow, key=step.key, changes=changes)
    return step


def _menu(request: HttpRequest, actor: Actor, workflow: Workflow, *, error: str = "") -> HttpResponse:
    given = request.POST if request.method == "POST" else request.GET
    query, open_category = given.get("q", "").strip()[:100], given.get("category", "")[:100]
    wanted, credentials = terms(query), usable(actor, credential_list(actor.tenant))
    spot = spot_of(workflow, given)
    address = reverse("step-add", args=[actor.tenant.slug, workflow.pk])
    offered = tools(registry.actions()) if spot.is_tool else registry.actions()
    entries = [_entry(action, wanted) for action in offered]
    categories = _categories(f"{address}?{spot.query}", wanted, open_category, entries)
    current = next(entry.key for entry in categories if entry.current)
    groups = _groups(credentials, wanted, current, entries)
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
        raise NotFound(_("There is no such action."))
    about = _about(actor.tenant, action, usable(actor, credential_list(actor.tenant)))
    context = {"workflow": workflow, "preview": about, "spot": spot_of(workflow, request.GET)}
    return fragment(request, actor, "builder/add_preview.html", context)


def _entry(action: Action, wanted: Sequence[str]) -> Entry:
    words = words_of(action)
    return Entry(action=action, words=words, fit=fit(wanted, words))


def _groups(
    credentials: Sequence[Credential], wanted: Sequence[str], category: str, entries: Sequence[Entry]
) -> tuple[Group, ...]:
    """Return every action, best first within each group, the group with the best first; the same fit leaves the groups
    in their order. Those that do not fit are there, hidden, for the script.
    """
    found: dict[str, list[tuple[Entry, list[Credential]]]] = {key: [] for key, _words in _GROUPS}
    for entry in entries:
        fitting = _fitting(entry.action, credentials)
        found[_group(entry.action, fitting)].append((entry, fitting))
    ranked = {key: sorted(entries, key=lambda each: each[0].order) for key, entries in found.items() if entries}
    groups = [(key, words) for key, words in _GROUPS if key in ranked]
    # Sorting is stable. Of a category only what is in it counts.
    groups.sort(key=lambda group: min(_fit_in(entry, category) for entry, _fitting in ranked[group[0]]))
    return tuple(_group_of(key, _(words), ranked[key], wanted, category) for key, words in groups)


def _fit_in(entry: Entry, category: str) -> int:
    is_in = category in ("", action_category(entry.action))
    return entry.fit if entry.fit is not None and is_in else _NO_FIT


def _group_of(
    key: str,
    words: str,
    entries: Sequence[tuple[Entry, list[Credential]]],
    wanted: Sequence[str],
    category: str,
) -> Group:
    rows = tuple(
        Row(
            key=entry.action.key,
            shown=shown,
            html=row_html(
                entry.action,
                dom_id=f"add-{key}-{number}",
                words=entry.words,
                category=action_category(entry.action),
                wanted=wanted,
                shown=shown,
                credential=fitting[0] if fitting and key == CONNECTED else None,
                needs=key == NEEDS,
            ),
        )
        for number, (entry, fitting) in enumerate(entries, 1)
        for shown in (entry.fit is not None and category in ("", action_category(entry.action)),)
    )
    return Group(key=key, words=words, rows=rows, shown=any(row.shown for row in rows))


def _group(action: Action, fitting: Sequence[Credential]) -> str:
    if not needs_credential(action):
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


def _categories(address: str, wanted: Sequence[str], open_category: str, entries: Sequence[Entry]) -> list[Category]:
    """Return the left column: everything, the kinds of our own steps, then those of providers."""
    counts: dict[str, int] = {}
    providers: dict[str, str] = {}
    for each in entries:
        name = action_category(each.action)
        counts[name] = counts.get(name, 0) + (each.fit is not None)
        providers.setdefault(name, each.action.provider.key)
    first = [name for name in _FIRST if name in counts]
    names = [*first, *sorted((name for name in counts if name not in _FIRST), key=declared)]
    query = f"&{urlencode({'q': ' '.join(wanted)})}" if wanted else ""
    lines = [
        Category(
            key=name,
            words=declared(name),
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
    return [everything, *lines]


def _about(tenant: Tenant, action: Action | None, credentials: Sequence[Credential]) -> Preview:
    assert action is not None
    row, fitting = action_row(action), _fitting(action, credentials)
    return Preview(
        action=row,
        action_url=action_url(tenant, action),
        credential=fitting[0] if fitting else None,
        needs_credential=action.auth_required and not fitting,
        takes_credential=bool(action.accepted_auth) and not action.auth_required,
        required=tuple(field for field in row.inputs if field.required),
        optional=tuple(field for field in row.inputs if not field.required),
        repeat=repeat_words(action),
        used=Step.objects.for_tenant(tenant).filter(action=action.key).count(),
    )
