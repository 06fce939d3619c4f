"""What the page of one credential shows, as ready values, and what is said before one is made or deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop
from django.utils.translation import ngettext

from integrations.registry import registry
from integrations.words import declared
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from orchestrator.tenants.selectors import events_of
from orchestrator.vault.account import declared_test
from orchestrator.vault.checks import Verdict
from orchestrator.vault.faces import HealthFace, face_of
from orchestrator.vault.forms import CredentialForm, credential_form
from orchestrator.vault.listing import provider_name
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.offers import kind_title
from orchestrator.vault.selectors import is_readable
from orchestrator.vault.sharing import may_use, shared_words
from orchestrator.vault.sign_ins import sign_in_ready
from orchestrator.words import status_word
from orchestrator.workflows.credentials import replacements
from orchestrator.workflows.selectors import TRIGGER, CredentialUsage, credential_usages

HISTORY_LINES: Final = 8
USED_BY_LINES: Final = 20
STEPS_NAMED: Final = 10
_EVENTS: Final[Mapping[str, str]] = {
    "credential.created": noop("Created by %(who)s"),
    "credential.changed": noop("Changed by %(who)s"),
    "credential.connecting": noop("Sign-in begun by %(who)s"),
    "credential.connected": noop("Connected by %(who)s"),
    "credential.checked": noop("Tested by %(who)s: %(health)s"),
    "credential.rejected": noop("Refused by its provider"),
    "credential.replaced": noop("Replaced in drafts by %(who)s, with “%(by)s”"),
}


@dataclass(frozen=True, kw_only=True)
class UsedStep:
    """A step; ``url`` is its field in the builder, empty where the draft no longer has the step."""

    key: str
    url: str


@dataclass(frozen=True, kw_only=True)
class UsedBy:
    """A workflow that uses a credential, in which steps, and where: ``where`` is empty for both draft and version."""

    name: str
    url: str
    steps: tuple[UsedStep, ...]
    more_steps: int
    where: str


@dataclass(frozen=True, kw_only=True)
class Event:
    at: datetime
    words: str
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class SecretField:
    """A secret that is set: its label alone."""

    label: str
    is_first: bool


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """What deleting a credential would mean, and which others could take its place in how many drafts."""

    choices: tuple[Credential, ...]
    drafts: int
    published: tuple[UsedBy, ...]
    refused: str
    chosen: str


@dataclass(frozen=True, kw_only=True)
class Drawer:
    """One credential in full: health first, then settings, who uses it, and its history."""

    credential: Credential
    provider: str
    kind: str
    health: HealthFace
    cause: str
    fix: str
    settings: tuple[tuple[str, str], ...]
    secrets: tuple[SecretField, ...]
    set_by: str
    scopes: tuple[str, ...]
    used_by: tuple[UsedBy, ...]
    more_used_by: int
    events: tuple[Event, ...]
    can_test: bool
    can_connect: bool
    is_connected: bool
    shared_with: str
    may_edit: bool
    form: CredentialForm | None = None
    verdict: Verdict | None = None
    leaving: Leaving | None = None

    @property
    def asks_to_connect(self) -> bool:
        """Whether the next thing to do is to connect it."""
        return self.may_edit and self.can_connect and self.health.status != Health.WORKING

    @property
    def asks_for_secret(self) -> bool:
        """Whether the next thing to do is to enter a new secret."""
        ends = self.health.status in (Health.RECONNECT, Health.EXPIRING)
        return self.may_edit and not self.can_connect and ends

    @property
    def has_primary(self) -> bool:
        """Whether the main button of the page is one of the drawer's own."""
        is_open = self.form is None and self.leaving is None
        return bool(self.form) or (is_open and (self.asks_to_connect or self.asks_for_secret))


def drawer(actor: Actor, found: Credential, *, form: CredentialForm | None = None, leaves: bool = False,
           refused: str = "", chosen: str = "", verdict: Verdict | None = None) -> Drawer:  # fmt: skip
    """Return one credential in full; with ``leaves`` also what would be without it."""
    shown = form or credential_form(found.provider, found.auth_type, credential=found)
    usages = credential_usages(actor.tenant, found)
    used_by = _used_by(actor.tenant, usages)
    can_test = declared_test(found.provider, found.auth_type) is not None
    can_connect = sign_in_ready(found)
    health = face_of(found)
    labels = [field.label for field in shown.secret if field.kind == "password" and field.is_needed]
    return Drawer(
        credential=found,
        provider=provider_name(found.provider),
        kind=kind_title(found.provider, found.auth_type),
        health=health,
        cause=found.health_message if is_readable(found) else unreadable_words(),
        fix=_fix(found, health, can_test=can_test, can_connect=can_connect) if is_readable(found) else "",
        settings=tuple(
            (field.label, dict(field.choices).get(field.value, field.value)) for field in shown.settings if field.value
        ),
        secrets=tuple(
            SecretField(label=label, is_first=not index) for index, label in enumerate(labels or [_("Secret")])
        ),
        set_by=found.secret_set_by.get_username() if found.secret_set_by else "",
        scopes=tuple(map(str, found.scopes or ())),
        used_by=used_by[:USED_BY_LINES],
        more_used_by=max(0, len(used_by) - USED_BY_LINES),
        events=_events(actor.tenant, found),
        can_test=can_test,
        can_connect=can_connect,
        is_connected=bool(found.account or found.expires_at or found.health in (Health.WORKING, Health.EXPIRING)),
        shared_with=shared_words(found.shared_with),
        may_edit=actor.may(Role.EDITOR) and may_use(actor, found),
        form=form,
        verdict=verdict,
        leaving=_leaving(actor.tenant, found, usages, used_by, refused, chosen) if leaves else None,
    )


def unreadable_words() -> str:
    """Return what is said while the vault's key is away."""
    return _("Secrets cannot be read right now. Runs wait, nothing is lost.")


def _fix(found: Credential, health: HealthFace, *, can_test: bool, can_connect: bool) -> str:
    """Return what to do about a credential's health, empty where there is nothing to do."""
    provider = provider_name(found.provider)
    if health.status == Health.RECONNECT and can_connect:
        return _("Steps that use it fail until it is connected. Trying them again does not help.")
    if health.status == Health.RECONNECT:
        return _("Steps that use it fail until a new secret is entered. Trying again does not help.")
    if health.status == Health.EXPIRING:
        return _("Enter a new secret before then: steps that use it fail once it has ended.")
    if health.status == Health.NOT_CHECKED and can_test:
        return _("%(provider)s has not been asked about it yet: that is done soon, or now by a test.") % {
            "provider": provider
        }
    if health.status == Health.NOT_CHECKED:
        return _("%(provider)s has no test of its own: whether it works shows in a step that uses it.") % {
            "provider": provider
        }
    return ""


def _used_by(tenant: Tenant, usages: Sequence[CredentialUsage]) -> tuple[UsedBy, ...]:
    by_workflow: dict[int, list[CredentialUsage]] = {}
    for usage in usages:
        by_workflow.setdefault(usage.workflow_id, []).append(usage)
    return tuple(_workflow(tenant, pk, found) for pk, found in by_workflow.items())


def _workflow(tenant: Tenant, pk: int, usages: Sequence[CredentialUsage]) -> UsedBy:
    drafts, published = (any(getattr(usage, name) for usage in usages) for name in ("in_draft", "in_published"))
    return UsedBy(
        name=usages[0].workflow_name,
        url=reverse("workflow", args=[tenant.slug, pk]),
        steps=tuple(_step(tenant, pk, usage) for usage in usages[:STEPS_NAMED]),
        more_steps=max(0, len(usages) - STEPS_NAMED),
        where="" if drafts and published else _("draft") if drafts else _("published version"),
    )


def _step(tenant: Tenant, pk: int, usage: CredentialUsage) -> UsedStep:
    if not usage.in_draft:
        return UsedStep(key=usage.step_key, url="")
    at = [tenant.slug, pk, usage.step_key]
    if usage.field == TRIGGER:
        return UsedStep(key=usage.step_key, url=reverse("workflow-trigger", args=at))
    return UsedStep(key=usage.step_key, url=f"{reverse('workflow-step', args=at)}#field-{usage.field}")


def _leaving(tenant: Tenant, found: Credential, usages: Sequence[CredentialUsage], used_by: Iterable[UsedBy],
             refused: str, chosen: str) -> Leaving:  # fmt: skip
    published = {usage.workflow_name for usage in usages if usage.in_published}
    return Leaving(
        choices=tuple(replacements(tenant, found)[:200]),
        drafts=len({usage.workflow_id for usage in usages if usage.in_draft}),
        published=tuple(each for each in used_by if each.name in published),
        refused=refused,
        chosen=chosen,
    )


def _events(tenant: Tenant, found: Credential) -> tuple[Event, ...]:
    rows = events_of(tenant, target_type="credential", target_id=found.pk)[:HISTORY_LINES]
    return tuple(_event(tenant, row) for row in rows)


def _event(tenant: Tenant, row: AuditEvent) -> Event:
    detail: Mapping[str, Any] = row.detail if isinstance(row.detail, dict) else {}
    words = _EVENTS.get(row.action, "%(who)s")
    if row.action == "credential.changed" and "secret" in (detail.get("changed") or ()):
        words = noop("New secret by %(who)s")
    run = str(detail.get("run", ""))
    values = {"who": row.actor_label, "health": status_word(detail.get("health")), "by": detail.get("by", "")}
    url = reverse("run", args=[tenant.slug, int(run)]) if run.isascii() and run.isdigit() and len(run) < 20 else ""
    return Event(at=row.at, words=_(words) % values, url=url)


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What steps can do with a credential: the first few actions by name, and how many more."""

    names: tuple[str, ...]
    more: str


def abilities(provider: str, auth_type: str) -> Abilities:
    """Return what a credential of this kind makes possible, in the words of its provider's actions."""
    names = [
        declared(action.name)
        for action in registry.actions()
        if action.provider.key == provider and auth_type in action.accepted_auth
    ]
    more = len(names) - 6
    words = ngettext("%(count)d more", "%(count)d more", more) % {"count": more} if more > 0 else ""
    return Abilities(names=tuple(names[:6]), more=words)
