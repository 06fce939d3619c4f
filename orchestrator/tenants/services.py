"""Changes to tenants, people and tokens; each is checked, done and written to the audit log in one transaction."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.errors import Conflict, Forbidden, Invalid, Problem
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, get_for_tenant_or_404, system_actor, token_digest
from orchestrator.tenants.models import ApiToken, Membership, Role, Scope, Tenant
from orchestrator.tenants.permissions import require_operation
from orchestrator.tenants.sessions import sessions_end

TOKEN_PREFIX: Final = "orc_"
SHOWN_CHARACTERS: Final = 10
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@transaction.atomic
def tenant_create(*, slug: str, name: str = "", owner: User | None = None) -> tuple[Tenant, bool]:
    """Return the tenant with this slug and whether it was made now; an existing one keeps its name.

    ``owner`` becomes an owner either way. Raises Invalid for a slug or name that is refused.
    """
    if not _SLUG.fullmatch(slug):
        raise Invalid(
            _("%(slug).80r is not a slug: use lower-case letters, digits and hyphens, at most 63.") % {"slug": slug}
        )
    if len(name) > 200 or not name.isprintable():
        raise Invalid(_("The tenant's name is not valid: use at most 200 visible characters."))
    tenant, created = Tenant.objects.get_or_create(slug=slug, defaults={"name": name.strip() or slug})
    actor = system_actor(tenant)
    if created:
        audit.record(actor=actor, action="tenant.created", target=tenant)
    if owner is not None:
        member_add(actor=actor, user=owner, role=Role.OWNER)
    return tenant, created


# What may be changed of a tenant once it is there; its slug is in addresses that others hold.
TENANT_FIELDS: Final = frozenset(
    {"name", "time_zone", "max_concurrent_runs", "runs_per_minute", "retention_days", "egress_allow"}
)
USER_FIELDS: Final = frozenset({"email", "is_active", "is_staff", "is_superuser"})


@transaction.atomic
def tenant_update(*, actor: Actor, changes: Mapping[str, Any]) -> Tenant:
    """Change the actor's tenant. Raises Invalid with a problem for each wrong field."""
    require_operation(actor, "tenant.edit")
    tenant = Tenant.objects.select_for_update().get(pk=actor.tenant.pk)
    _set(tenant, changes, TENANT_FIELDS)
    if tenant.time_zone not in available_timezones():
        raise Invalid(
            _("The time zone is not known."), problems=[_problem("time_zone", _("Use a name like Europe/Berlin."))]
        )
    if not tenant.name.strip() or not tenant.name.isprintable():
        raise Invalid(_("The name is not valid."), problems=[_problem("name", _("Use 1 to 200 visible characters."))])
    if not isinstance(tenant.egress_allow, list) or not all(isinstance(host, str) for host in tenant.egress_allow):
        raise Invalid(
            _("The hosts are not valid."), problems=[_problem("egress_allow", _("Write a list of host names."))]
        )
    if wrong := next((host for host in tenant.egress_allow if not _is_host(host)), ""):
        message = _(
            "%(host).80r is no host. Write one like api.example.com, *.example.com or api.example.com:8443."
        ) % {"host": wrong}
        raise Invalid(_("The hosts are not valid."), problems=[_problem("egress_allow", message)])
    tenant.save(update_fields=list(changes))
    audit.record(actor=actor, action="tenant.changed", target=tenant, detail={"changed": [*sorted(changes)]})
    return tenant


def _is_host(entry: str) -> bool:
    """Whether a step's client can compare an address with this: ``host``, ``host:port``, ``*.domain`` or an origin."""
    try:
        parts = urlsplit(entry if "://" in entry else f"//{entry}")
        port = parts.port
    except ValueError:
        return False
    host = (parts.hostname or "").removeprefix("*.")
    plain = not (parts.path or parts.query or parts.fragment or parts.username) and port != 0
    return plain and parts.scheme in ("", "http", "https") and bool(host) and not re.search(r"[\s*%\\]", host)


@transaction.atomic
def user_update(*, by: User, user: User, changes: Mapping[str, Any], password: str = "") -> User:
    """Change a user or their password. Raises Forbidden unless ``by`` is a superuser, or it is their own password.

    Written to the audit log of each tenant that the user belongs to. Nobody takes their own rights away.
    """
    if not by.is_superuser and (changes or by.pk != user.pk):
        raise Forbidden(_("Only a superuser changes users. Ask your operator."))
    user = User.objects.select_for_update().get(pk=user.pk)
    _set(user, changes, USER_FIELDS)
    if by.pk == user.pk and not (user.is_active and (user.is_superuser or not by.is_superuser)):
        raise Conflict(_("You cannot take your own rights away. Ask another superuser to do it."))
    changed = sorted(changes)
    if password:
        if weak := password_problems(password, user):
            raise Invalid(" ".join(weak), problems=[_problem("password", text) for text in weak])
        user.set_password(password)
        changed.append("password")
    user.save()
    for membership in Membership.unscoped.filter(user=user).select_related("tenant"):
        actor = replace(system_actor(membership.tenant), user=by)
        audit.record(actor=actor, action="user.changed", target=user, detail={"changed": list(changed)})
    return user


@transaction.atomic
def own_sessions_end(*, user: User, this: str | None, mark: str = "") -> int:
    """End a person's other sessions at their own word, as ``sessions_end``; return how many.

    Written to the audit log of each tenant that they belong to: it tells that somebody else was signed in as them.
    """
    count = sessions_end(user=user, this=this, mark=mark)
    if count:
        for membership in Membership.unscoped.filter(user=user).select_related("tenant"):
            actor = replace(system_actor(membership.tenant), user=user)
            audit.record(actor=actor, action="user.sessions_ended", target=user, detail={"count": count})
    return count


def _set(row: Tenant | User, changes: Mapping[str, Any], allowed: frozenset[str]) -> None:
    """Set fields and check them. Raises Invalid with a problem for each wrong one."""
    if unknown := changes.keys() - allowed:
        raise Invalid(_("%(name).80r cannot be changed here.") % {"name": min(unknown)})
    for name, value in changes.items():
        setattr(row, name, value)
    try:
        row.clean_fields(exclude={field.name for field in row._meta.fields} - changes.keys())
    except ValidationError as error:
        found = error.message_dict.items()
        problems = [_problem(name, " ".join(texts)) for name, texts in found]
        raise Invalid(_("Some values are not valid."), problems=problems) from error


def password_problems(password: str, user: User | None = None) -> list[str]:
    """Return what is wrong with a password, a sentence each; empty when it is a good one."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        return list(error.messages)
    return []


@transaction.atomic
def user_create(
    *, name: str, password: str, staff: bool = False, superuser: bool = False, weak_allowed: bool = False
) -> tuple[User, bool]:
    """Return the user and whether they were made now; an existing one keeps their password and gains ``staff``.

    ``weak_allowed`` is for an operator, whose own choice it is. Raises Invalid for a name or password that
    is refused, with the reasons.
    """
    existing = User.objects.filter(username=name).first()
    if existing is not None:
        if staff and not existing.is_staff:
            existing.is_staff = True
            existing.save(update_fields=["is_staff"])
        return existing, False
    user = User(username=name, is_staff=staff, is_superuser=superuser)
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        problems = [_problem(path, " ".join(texts)) for path, texts in error.message_dict.items()]
        raise Invalid(
            _("The user was not made: %(messages)s") % {"messages": " ".join(error.messages)}, problems=problems
        ) from error
    weak = [] if weak_allowed and password else password_problems(password, user)
    if weak:
        problems = [_problem("password", " ".join(weak))]
        raise Invalid(_("The user was not made: %(messages)s") % {"messages": " ".join(weak)}, problems=problems)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        # Two hosts asked at once: the other one's is as good.
        return User.objects.get(username=name), False
    return user, True


@transaction.atomic
def member_add(*, actor: Actor, user: User, role: Role) -> Membership:
    """Give a person a role in the actor's tenant, or change it. Only owners make or change owners."""
    require_operation(actor, "member.edit")
    _lock_members(actor.tenant)
    present = Membership.objects.for_tenant(actor.tenant).filter(user=user).first()
    if present is not None and present.role == role:
        return present
    if Role.OWNER in (role, present.role if present else None):
        require_operation(actor, "owner.edit")
    if present is not None and present.role == Role.OWNER:
        _keep_an_owner(actor.tenant, user)
    membership, _ = Membership.unscoped.update_or_create(tenant=actor.tenant, user=user, defaults={"role": role})
    audit.record(
        actor=actor,
        action="member.set",
        target=membership,
        detail={"user": user.get_username(), "role": role.value, "before": present.role if present else None},
    )
    return membership


@transaction.atomic
def member_remove(*, actor: Actor, membership: Membership) -> None:
    """Take a person out of the tenant, or leave it; their tokens go with them, and their runs stop."""
    _lock_members(actor.tenant)
    membership = get_for_tenant_or_404(Membership, actor.tenant, pk=membership.pk)
    user = membership.user
    leaves = actor.user == user and actor.token is None
    if not leaves:
        require_operation(actor, "member.edit")
    if membership.role == Role.OWNER:
        require_operation(actor, "owner.edit")
        _keep_an_owner(actor.tenant, user)
    audit.record(actor=actor, action="member.removed", target=membership, detail={"user": user.get_username()})
    ApiToken.objects.for_tenant(actor.tenant).filter(user=user).delete()
    Membership.objects.for_tenant(actor.tenant).filter(pk=membership.pk).delete()


@transaction.atomic
def token_create(
    *, actor: Actor, name: str, scopes: Iterable[Scope], expires_at: datetime | None = None
) -> tuple[ApiToken, str]:
    """Make an API token that acts for the actor; return its row and the token itself, which is shown once.

    Raises Forbidden for a scope beyond the actor's own, Invalid for a time in the past.
    """
    require_operation(actor, "token.own")
    if actor.user is None:
        raise Invalid(_("A token acts for a person: sign in as one."))
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid(_("The token needs a name."), problems=[_problem("name", _("Use 1 to 200 visible characters."))])
    wanted = frozenset(scopes)
    if not wanted:
        raise Invalid(_("A token needs at least one scope."), problems=[_problem("scopes", _("Choose one or more."))])
    if beyond := wanted - actor.scopes:
        names = ", ".join(sorted(scope.value for scope in beyond))
        raise Forbidden(
            _("Your role %(role)s does not reach the scope %(names)s. Ask an owner or admin.")
            % {"role": actor.role.value, "names": names}
        )
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(
            _("The token would have expired already."), problems=[_problem("expires_at", _("Use a later time."))]
        )
    plain = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.unscoped.create(
        tenant=actor.tenant,
        user=actor.user,
        name=name,
        prefix=plain[:SHOWN_CHARACTERS],
        digest=token_digest(plain),
        scopes=sorted(scope.value for scope in wanted),
        expires_at=expires_at,
    )
    audit.record(actor=actor, action="token.created", target=token, detail={"scopes": list(token.scopes)})
    return token, plain


@transaction.atomic
def token_revoke(*, actor: Actor, token: ApiToken) -> None:
    """Delete a token: one's own, or as an admin anyone's; queued runs that it started are cancelled."""
    token = get_for_tenant_or_404(ApiToken, actor.tenant, pk=token.pk)
    require_operation(actor, "token.own" if actor.user and token.user_id == actor.user.pk else "token.edit")
    audit.record(actor=actor, action="token.revoked", target=token)
    token.delete()


def _lock_members(tenant: Tenant) -> None:
    """Let one change of people at a time through: two owners who demote each other at once would leave none."""
    Tenant.objects.select_for_update().get(pk=tenant.pk)


def _keep_an_owner(tenant: Tenant, leaving: User) -> None:
    if not Membership.objects.for_tenant(tenant).filter(role=Role.OWNER).exclude(user=leaving).exists():
        raise Conflict(_("The tenant would be without an owner. Make somebody else an owner first."), code="last_owner")


def _problem(path: str, message: str) -> Problem:
    return Problem(path=path, message=message, code="invalid")
