"""Filters of the list of runs that people keep under a name, each for themselves."""

from __future__ import annotations

from typing import Final

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Forbidden, Invalid
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, get_for_tenant_or_404
from orchestrator.tenants.permissions import require_operation
from orchestrator.workflows.models import Workflow
from runs.models import SavedView

MOST_VIEWS: Final = 30
MOST_CHARACTERS: Final = 60
MOST_QUERY: Final = 2_000


def view_list(actor: Actor) -> QuerySet[SavedView]:
    """Return the actor's own views in their tenant, oldest first; one query."""
    return SavedView.objects.for_tenant(actor.tenant).filter(owner=actor.user).order_by("id")


@transaction.atomic
def view_save(*, actor: Actor, name: str, query: str, workflow: Workflow | None = None) -> SavedView:
    """Keep filters under a name; the view that has this name already shows them from now on.

    ``query`` is that of the list's address, ``workflow`` the one that it names. Raises Invalid for a name that is empty
    or too long and for a query that says nothing, Conflict where the person has MOST_VIEWS.
    """
    require_operation(actor, "view.own")
    owner, name = _owner(actor), _name(name)
    if not query:
        raise Invalid(_("Nothing was saved: choose filters first, a view is what they are called."))
    if len(query) > MOST_QUERY:
        raise Invalid(_("Nothing was saved: these filters are too long. Take some of them away."))
    _one_after_the_other(owner)
    own = view_list(actor)
    view = own.filter(name=name).first()
    if view is None and own.count() >= MOST_VIEWS:
        raise Conflict(
            _("Nothing was saved: you have %(most)s views, and more are not kept. Delete one first.")
            % {"most": MOST_VIEWS}
        )
    view = view or SavedView(tenant=actor.tenant, owner=owner, name=name)
    view.query, view.workflow = query, workflow
    view.save()
    audit.record(actor=actor, action="view.saved", target=view)
    return view


@transaction.atomic
def view_rename(*, actor: Actor, view: SavedView, name: str) -> SavedView:
    """Call a view of one's own something else.

    Raises NotFound for somebody else's, Invalid for a bad name, Conflict where another view has it.
    """
    require_operation(actor, "view.own")
    owner, name = _owner(actor), _name(name)
    _one_after_the_other(owner)
    view = get_for_tenant_or_404(SavedView, actor.tenant, pk=view.pk, owner=owner)
    if view_list(actor).filter(name=name).exclude(pk=view.pk).exists():
        raise Conflict(
            _("It was not renamed: another of your views is called “%(name)s”. Choose another name.") % {"name": name}
        )
    view.name = name
    view.save(update_fields=["name"])
    audit.record(actor=actor, action="view.renamed", target=view)
    return view


@transaction.atomic
def view_delete(*, actor: Actor, view: SavedView) -> None:
    """Delete a view: one's own, or as an admin anyone's. The runs stay. Raises NotFound where it is gone."""
    view = get_for_tenant_or_404(SavedView, actor.tenant, pk=view.pk)
    require_operation(actor, "view.own" if actor.user and view.owner_id == actor.user.pk else "view.edit")
    audit.record(actor=actor, action="view.deleted", target=view)
    view.delete()


def _owner(actor: Actor) -> User:
    if actor.user is None:
        raise Forbidden(_("A view belongs to a person. Sign in to keep one."))
    return actor.user


def _name(text: str) -> str:
    """Return a name as it is kept: in one line, without what a database does not take."""
    name = " ".join(text.replace("\0", "").split())
    if not name:
        raise Invalid(_("Nothing was saved: write what the view is called."))
    if len(name) > MOST_CHARACTERS:
        raise Invalid(
            _("Nothing was saved: a view’s name has at most %(most)s characters.") % {"most": MOST_CHARACTERS}
        )
    return name


def _one_after_the_other(owner: User) -> None:
    """Let one change of a person's views at a time through: two at once would pass the limit, or share a name."""
    User.objects.select_for_update(no_key=True).values_list("pk").get(pk=owner.pk)
