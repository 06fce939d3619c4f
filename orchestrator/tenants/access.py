"""The only way from a request to an object: who acts, in which tenant, with which rights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.db import models
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from orchestrator.errors import Forbidden, NotFound
from orchestrator.tenants.models import ApiToken, Membership, Role, Scope, Tenant
from orchestrator.tenants.scoping import TenantOwned

_M = TypeVar("_M", bound=models.Model)
_P = ParamSpec("_P")

# What a role may do at the most, as scopes of a token.
ROLE_SCOPES: Final[dict[Role, frozenset[Scope]]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: frozenset({Scope.READ, Scope.RUN}),
    Role.EDITOR: frozenset({Scope.READ, Scope.RUN, Scope.WRITE}),
    Role.ADMIN: frozenset(Scope),
    Role.OWNER: frozenset(Scope),
}
# A token's last use is noted at most this often: a write for every request would be its heaviest part.
_USE_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person, or a token that acts for one, in one tenant. ``scopes`` never reach beyond ``role``."""

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
    if not actor.may(role):
        raise Forbidden(
            f"This needs the role {role.value} in {actor.tenant.name}; yours is {actor.role.value}. "
            "Ask an owner or admin of the tenant."
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
            raise NotFound("There is no such tenant, or you do not belong to it.")
        role, tenant = Role.OWNER, found
    return Actor(tenant=tenant, role=role, scopes=ROLE_SCOPES[role], user=user)


def token_digest(plaintext: str) -> str:
    """Return what is stored of a token: tokens are 32 random bytes, so a plain hash cannot be guessed back."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogateescape")).hexdigest()


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
    scopes = ROLE_SCOPES[role] & frozenset(Scope(scope) for scope in token.scopes)
    return Actor(tenant=token.tenant, role=role, scopes=scopes, user=token.user, token=token)


def _role_of(token: ApiToken) -> Role | None:
    """Return the present role of a token's user: a token never outlives its user's membership."""
    membership = Membership.objects.for_tenant(token.tenant_id).filter(user=token.user_id).first()
    if membership is not None:
        return Role(membership.role)
    return Role.OWNER if token.user.is_superuser else None


def get_for_tenant_or_404(model: type[_M], tenant: Tenant, **lookup: Any) -> _M:
    """Return the tenant's row, or raise NotFound: another tenant's row looks like none at all."""
    assert issubclass(model, TenantOwned)
    found = model.objects.for_tenant(tenant).filter(**lookup).first()
    if found is None:
        raise NotFound(f"There is no such {model._meta.verbose_name} in this tenant.")
    return found


def tenant_page(
    minimum: Role = Role.VIEWER,
) -> Callable[[Callable[Concatenate[HttpRequest, Actor, _P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a page under ``/w/<slug:tenant>/``: the view gets the actor after the request.

    Who is not signed in goes to the sign-in page; who does not belong to the tenant gets a 404.
    """

    def decorate(
        view: Callable[Concatenate[HttpRequest, Actor, _P], HttpResponseBase],
    ) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def page(request: HttpRequest, tenant: str, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
            if not isinstance(request.user, User):
                return redirect_to_login(request.get_full_path())
            actor = actor_for_user(request.user, tenant)
            require(actor, minimum)
            return view(request, actor, *args, **kwargs)

        return page

    return decorate
