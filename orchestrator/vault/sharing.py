"""With whom a credential is shared: the least role that may use it in workflows, without ever seeing its secret.

What a workflow uses is decided when a version of it is made, for a publish or a test, by who makes it. What is
published goes on with its credentials, whoever starts it and whoever they are shared with since; a test is run again
only by whom they are shared with now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.errors import Forbidden, Invalid, Problem
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.models import Role
from orchestrator.vault.models import SHARED_WITH, Credential

_WORDS: Final[Mapping[Role, str]] = {
    Role.EDITOR: noop("Everyone who edits workflows"),
    Role.ADMIN: noop("Admins and owners"),
    Role.OWNER: noop("Owners"),
}


def shared_words(role: str) -> str:
    """Return whom ``role``, one of SHARED_WITH, shares a credential with, in the reader's language."""
    return _(_WORDS[Role(role)])


def may_use(actor: Actor, credential: Credential) -> bool:
    """Whether the actor may use a credential in workflows, and change it."""
    return actor.may(Role(credential.shared_with))


def require_use(actor: Actor, credentials: Iterable[Credential]) -> None:
    """Raise Forbidden, with their names, where some of these are not shared with the actor."""
    names = sorted(each.name for each in credentials if not may_use(actor, each))
    if names:
        raise Forbidden(
            _("Not shared with you: %(names)s. Ask an owner or admin of %(tenant)s to share it, or to do this.")
            % {"names": ", ".join(map(repr, names[:5])), "tenant": actor.tenant.name}
        )


def usable_of_name(actor: Actor, name: str) -> int | None:
    """Return the tenant's credential of this name, None where there is none. Raises Forbidden for an unshared one."""
    found = Credential.objects.for_tenant(actor.tenant).filter(name=name).defer("sealed").first()
    if found is None:
        return None
    require_use(actor, (found,))
    return found.pk


def require_use_of_restricted(actor: Actor, ids: Iterable[int]) -> None:
    """Raise Forbidden where some of these, none that every editor may use, are not shared with the actor."""
    rows = Credential.objects.for_tenant(actor.tenant).filter(pk__in=ids).exclude(shared_with=Role.EDITOR)
    require_use(actor, rows.defer("sealed"))


def usable_or_404(actor: Actor, pk: int) -> Credential:
    """Return one of the tenant's credentials that is shared with the actor. Raises NotFound and Forbidden."""
    found = get_for_tenant_or_404(Credential, actor.tenant, pk=pk)
    require_use(actor, (found,))
    return found


def usable(actor: Actor, credentials: Iterable[Credential]) -> list[Credential]:
    """Return those that are shared with the actor."""
    return [each for each in credentials if may_use(actor, each)]


def roles_to_share_with(actor: Actor) -> list[Role]:
    """Return the roles that the actor may choose from: nobody shuts themselves out."""
    return [role for role in SHARED_WITH if actor.may(role)]


def checked_role(actor: Actor, value: str) -> Role:
    """Return the role that a credential is to be shared with. Raises Invalid for one the actor cannot choose."""
    offered = roles_to_share_with(actor)
    if value in offered:
        return Role(value)
    message = _("It can be shared from one of these roles on: %(roles)s.") % {"roles": ", ".join(offered)}
    raise Invalid(message, problems=[Problem(path="shared_with", message=message, code="choice")])
