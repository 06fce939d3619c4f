"""The one press that connects a step: a new sign-in at its provider, or the one that ended once more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from integrations.sdk import Action
from integrations.words import declared
from orchestrator.flow.facts import scopes_missing
from orchestrator.tenants.models import Role
from orchestrator.vault.models import AuthType, Health
from orchestrator.vault.oauth_apps import sign_in_of
from orchestrator.vault.services import free_name

if TYPE_CHECKING:
    from orchestrator.builder.board import Board


@dataclass(frozen=True, kw_only=True)
class Connect:
    """What is posted by the press, and where to."""

    words: str
    url: str
    fields: Mapping[str, str]


def connect_of(board: Board, action: Action | None, key: str, chosen: str | None) -> Connect | None:
    """Return how a step is connected by one press, None where there is nothing to connect or more to be said first."""
    if action is None or AuthType.OAUTH2 not in action.accepted_auth or not board.actor.may(Role.EDITOR):
        return None
    back = {"next": board.url("workflow-step", key)}
    if chosen:
        row = next((row for row in board.credentials if row.name == chosen), None)
        if row is None or row.auth_type != AuthType.OAUTH2:
            return None
        if row.health != Health.RECONNECT and not scopes_missing(action.scopes, row.scopes):
            return None
        url = reverse("credential-connect", args=[board.tenant.slug, row.pk])
        return Connect(words=_("Connect again"), url=url, fields=back)
    found = None if action.any_provider else sign_in_of(action.provider.key, {})
    if found is None or found.app is None:
        return None
    name = declared(action.provider.name)
    given = {
        "provider": action.provider.key,
        "auth_type": AuthType.OAUTH2.value,
        "name": free_name(board.tenant, name),
        "connect": "1",
    }
    url = reverse("credential-new", args=[board.tenant.slug])
    return Connect(words=_("Connect %(provider)s") % {"provider": name}, url=url, fields={**given, **back})
