"""The only way from a request to an object: who acts, in which tenant, with which rights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Forbidden, NotFound
from orchestrator.tenants.models import ApiToken, Membership, Role, Scope, SecondFactor, Tenant
from orchestrator.tenants.scoping import TenantOwned
from orchestrator.tenants.sign_on_sessions import marks_of

_M = TypeVar("_M", bound=models.Model)
_P = ParamSpec("_P")

# A scope brings those before it along: who may write may read.
SCOPE_REACH: Final[dict[Scope, frozenset[Scope]]] = {
    scope: frozenset(list(Scope)[: position + 1]) for position, scope in enumerate(Scope)
}
# What a role may do at the most, as scopes of a token.
ROLE_SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: frozenset({Scope.READ, Scope.RUN}),
    Role.EDITOR: frozenset({Scope.READ, Scope.RUN, Scope.WRITE}),
    Role.ADMIN: frozenset(Scope),
    Role.OWNER: frozenset(Scope),
}
# What a scope reaches at the most, as a role: services ask for roles, and must not hear of tokens.
SCOPE_ROLE: Final[dict[Scope, Role]] = {
    Scope.READ: Role.VIEWER,
    Scope.RUN: Role.OPERATOR,
    Scope.WRITE: Role.EDITOR,
    Scope.ADMIN: Role.OWNER,
}
# A token's last use is noted at most this often: a write for every request would be its heaviest part.
_USE_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person, or a token that acts for one, in one tenant.

    ``role`` is what the actor may do now: a token's is cut down to its scopes, and ``scopes`` to the role.
    """

    tenant: Tenant
    role: Role
    scopes: frozenset[Scope]
    user: User | None
    token: ApiToken | None = None

    @property
    def label(self) -> str:
        """Return the name that the audit log shows."""
        name = self.user.get_username() if self.user else "system"
        return f"{name} (token {self.token.name})" if self.token else name

    def may(self, role: Role) -> bool:
        """Whether the actor's role is ``role`` or above."""
        return self.role.rank >= role.rank


def require(actor: Actor, role: Role) -> None:
    """Raise Forbidden unless the actor has ``role`` or above; the message names the role."""
    if actor.may(role):
        return
    if actor.token:
        scope = next(scope for scope in Scope if SCOPE_ROLE[scope].rank >= role.rank)
        reaches, remedy = (
            _("this token's is"),
            _("Use a token with the scope %(scope)s, of a person with that role.") % {"scope": scope.value},
        )
    else:
        reaches, remedy = _("yours is"), _("Ask an owner or admin of the tenant.")
    raise Forbidden(
        _("This needs the role %(role)s in %(tenant)s; %(reaches)s %(own)s. %(remedy)s")
        % {
            "role": role.value,
            "tenant": actor.tenant.name,
            "reaches": reaches,
            "own": actor.role.value,
            "remedy": remedy,
        }
    )


def system_actor(tenant: Tenant) -> Actor:
    """Return the actor of what the product does by itself: a first start, a command on the terminal."""
    return Actor(tenant=tenant, role=Role.OWNER, scopes=frozenset(Scope), user=None)


def actor_for_user(user: User, tenant_slug: str) -> Actor:
    """Return the person as an actor of the tenant; a superuser acts as owner everywhere.

    Raises NotFound for a tenant that does not exist and for one they do not belong to, alike.
    """
    membership = Membership.unscoped.select_related("tenant").filter(user=user, tenant__slug=tenant_slug).first()
    if membership is not None:
        role, tenant = Role(membership.role), membership.tenant
    else:
        found = Tenant.objects.filter(slug=tenant_slug).first() if user.is_superuser else None
        if found is None:
            raise NotFound(_("There is no such tenant, or you do not belong to it."))
        role, tenant = Role.OWNER, found
    return Actor(tenant=tenant, role=role, scopes=ROLE_SCOPES[role], user=user)


class SecondFactorNeeded(Forbidden):
    """The tenant asks its members for a second factor, and this person has none."""

    code = "second_factor"


class SingleSignOnNeeded(Forbidden):
    """The session does not open the tenant: its provider has to vouch for the person first."""

    code = "single_sign_on"


def actor_for_session(user: User, tenant_slug: str, session: Mapping[str, Any] | SessionBase) -> Actor:
    """Return a signed-in person as an actor of the tenant, as ``actor_for_user`` does.

    Raises SingleSignOnNeeded where the tenant's provider has to vouch for them first, SecondFactorNeeded in a tenant
    that asks for a second factor of who has none. Single sign-on counts as a factor of its own.
    """
    actor, marks = actor_for_user(user, tenant_slug), marks_of(session)
    tenant = actor.tenant
    if marks.opens(tenant.pk):
        return actor
    if not marks.admits(tenant.pk) or asks_for_sign_on(tenant, actor.role, user):
        said = {"name": tenant.name, "slug": tenant.slug}
        raise SingleSignOnNeeded(_("%(name)s is opened by its single sign-on. Go to /sso/%(slug)s/.") % said)
    factor = SecondFactor.objects.filter(user=user, confirmed_at__isnull=False)
    if tenant.second_factor_required and not factor.exists():
        raise SecondFactorNeeded(
            _("%(name)s asks its members for a second factor. Set yours up under /account/.") % {"name": tenant.name}
        )
    return actor


def asks_for_sign_on(tenant: Tenant, role: Role | str, user: User) -> bool:
    """Whether a password alone does not open the tenant; to owners it does, for the day the provider is wrong."""
    return tenant.single_sign_on_required and role != Role.OWNER and not user.is_superuser


def token_digest(plaintext: str) -> str:
    """Return what is stored of a token: tokens are 32 random bytes, so a plain hash cannot be guessed back."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).hexdigest()


def actor_for_token(plaintext: str) -> Actor | None:
    """Return the actor of an API token, or None when it is unknown, expired, or its user is gone.

    Found by its hash in a unique index, so that the time of a look-up tells nothing of the token.
    """
    now = timezone.now()
    token = (
        ApiToken.unscoped.select_related("tenant", "user")
        .filter(digest=token_digest(plaintext), user__is_active=True)
        .exclude(expires_at__lte=now)
        .first()
    )
    if token is None:
        return None
    role = _role_of(token)
    if role is None:
        return None
    if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
        ApiToken.unscoped.filter(pk=token.pk).update(last_used_at=now)
    scopes = ROLE_SCOPES[role] & _reach(token.scopes)
    if not scopes:
        return None
    reached = max((SCOPE_ROLE[scope] for scope in scopes), key=lambda found: found.rank)
    role = role if role.rank <= reached.rank else reached
    return Actor(tenant=token.tenant, role=role, scopes=scopes, user=token.user, token=token)


def _reach(stored: Iterable[str]) -> frozenset[Scope]:
    """Return the stored scopes with all that they bring along; a word that is no scope gives nothing."""
    return frozenset().union(*(SCOPE_REACH[scope] for scope in Scope if scope.value in set(stored)))


def _role_of(token: ApiToken) -> Role | None:
    """Return the present role of a token's user: a token never outlives its user's membership."""
    membership = Membership.objects.for_tenant(token.tenant_id).filter(user=token.user_id).first()
    if membership is not None:
        return Role(membership.role)
    return Role.OWNER if token.user.is_superuser else None


def get_for_tenant_or_404(model: type[_M], tenant: Tenant, **lookup: Any) -> _M:
    """Return the tenant's row, or raise NotFound: another tenant's row looks like none at all."""
    assert issubclass(model, TenantOwned)
    try:
        found = model.objects.for_tenant(tenant).filter(**lookup).first()
    except (ValueError, TypeError, OverflowError):
        # An id that cannot be one: as good as unknown.
        found = None
    if found is None:
        raise NotFound(_("There is no such %(kind)s in this tenant.") % {"kind": model._meta.verbose_name})
    return found


def tenant_page(
    minimum: Role = Role.VIEWER,
) -> Callable[[Callable[Concatenate[HttpRequest, Actor, _P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a page under ``/w/<slug:tenant>/``: the view gets the actor after the request.

    Who is not signed in goes to the sign-in page; who lacks a second factor that the tenant asks for goes to set
    it up, who has to sign in through the tenant's provider goes there; who does not belong to the tenant gets a 404.
    """

    def decorate(
        view: Callable[Concatenate[HttpRequest, Actor, _P], HttpResponseBase],
    ) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def page(request: HttpRequest, tenant: str, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
            if not isinstance(request.user, User):
                return redirect_to_login(request.get_full_path())
            # Translated here, so that no page answers 500 to an id of another tenant or to a role too low.
            try:
                actor = actor_for_session(request.user, tenant, request.session)
                require(actor, minimum)
                return view(request, actor, *args, **kwargs)
            except NotFound as error:
                raise Http404(error.message) from error
            except SingleSignOnNeeded as error:
                if _is_visit(request):
                    query = urlencode({"next": request.get_full_path()})
                    return redirect(f"{reverse('sso-tenant', args=[tenant])}?{query}")
                raise PermissionDenied(error.message) from error
            except SecondFactorNeeded as error:
                if _is_visit(request):
                    return redirect(f"{reverse('account')}?{urlencode({'for': tenant})}#second")
                raise PermissionDenied(error.message) from error
            except Forbidden as error:
                raise PermissionDenied(error.message) from error

        return page

    return decorate


def _is_visit(request: HttpRequest) -> bool:
    """Whether a person goes to a page, and so can be led to another one."""
    return request.method == "GET" and "HX-Request" not in request.headers
