"""What roles are called and what they mean, for the people who give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role
from orchestrator.tenants.permissions import MINIMUM_ROLE

_WORDS: Final[Mapping[Role, tuple[str, str]]] = {
    Role.VIEWER: (noop("Viewer"), noop("Sees workflows, runs and their data, and changes nothing.")),
    Role.OPERATOR: (noop("Operator"), noop("Starts, stops and answers runs too.")),
    Role.EDITOR: (noop("Editor"), noop("Builds and publishes workflows, and enters credentials too.")),
    Role.ADMIN: (noop("Admin"), noop("Invites and removes people, changes limits, and reads the audit log too.")),
    Role.OWNER: (noop("Owner"), noop("Makes and removes owners too. A tenant always has one.")),
}


@dataclass(frozen=True, kw_only=True)
class RoleWords:
    """A role with its name and its meaning, in the reader's language."""

    value: str
    name: str
    meaning: str


def role_words(role: str) -> RoleWords:
    """Return the words of a role; ``role`` is one of ``Role``."""
    name, meaning = _WORDS[Role(role)]
    return RoleWords(value=str(role), name=_(name), meaning=_(meaning))


def all_roles() -> list[RoleWords]:
    """Return every role, least first."""
    return [role_words(role) for role in Role]


def roles_to_give(actor: Actor) -> list[RoleWords]:
    """Return the roles that the actor may give to others: owners alone make owners."""
    if not actor.may(MINIMUM_ROLE["member.edit"]):
        return []
    may_owners = actor.may(MINIMUM_ROLE["owner.edit"])
    return [words for words in all_roles() if may_owners or words.value != Role.OWNER]
