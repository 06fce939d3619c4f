from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.tenants import selectors, services
from orchestrator.tenants.access import Actor, actor_for_token, actor_for_user, system_actor
from orchestrator.tenants.models import ApiToken, AuditEvent, Membership, Role, Scope, Tenant

Make = Callable[..., User]


@pytest.fixture
def acting(tenant: Tenant, make_member: Make) -> Callable[[Role], Actor]:
    """Return a function that gives the actor of a fresh member."""
    return lambda role: actor_for_user(make_member(tenant, role, f"a-{role.value}"), tenant.slug)


def test_a_tenant_is_made_once_and_kept(db: None) -> None:
    first, created = services.tenant_create(slug="acme", name="Acme")
    again, made_again = services.tenant_create(slug="acme", name="Other")
    assert (created, made_again, again.pk, again.name) == (True, False, first.pk, "Acme")
    assert [event.action for event in AuditEvent.objects.for_tenant(first)] == ["tenant.created"]


@pytest.mark.parametrize("slug", ["", "Acme", "-a", "a-", "a_b", "ä", "a" * 64, "a\n"])
def test_a_tenants_slug_is_checked(db: None, slug: str) -> None:
    with pytest.raises(Invalid, match="not a slug"):
        services.tenant_create(slug=slug)


def test_a_named_owner_becomes_one_even_of_a_tenant_that_exists(tenant: Tenant, editor: User) -> None:
    services.tenant_create(slug="acme", owner=editor)
    assert actor_for_user(editor, "acme").role == Role.OWNER


def test_a_user_who_exists_keeps_their_password_and_gains_staff(db: None) -> None:
    user, created = services.user_create(name="mia", password="correct horse battery")
    again, made_again = services.user_create(name="mia", password="another long password", staff=True)
    again.refresh_from_db()
    assert (created, made_again, again.pk, again.is_staff) == (True, False, user.pk, True)
    assert again.check_password("correct horse battery")


@pytest.mark.parametrize(("name", "password"), [("mia", "12345678"), ("mia", ""), ("mia mia", "correct horse battery")])
def test_a_weak_password_or_a_wrong_name_makes_no_user(db: None, name: str, password: str) -> None:
    with pytest.raises(Invalid, match="The user was not made: "):
        services.user_create(name=name, password=password)
    assert not User.objects.exists()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.EDITOR])
def test_only_admins_change_members(acting: Callable[[Role], Actor], stranger: User, role: Role) -> None:
    with pytest.raises(Forbidden, match="role admin"):
        services.member_add(actor=acting(role), user=stranger, role=Role.VIEWER)


def test_an_admin_adds_and_changes_members_and_each_change_is_in_the_audit_log(
    acting: Callable[[Role], Actor], tenant: Tenant, stranger: User
) -> None:
    admin = acting(Role.ADMIN)
    for role in (Role.VIEWER, Role.VIEWER, Role.EDITOR):
        services.member_add(actor=admin, user=stranger, role=role)
    events = AuditEvent.objects.for_tenant(tenant).order_by("id")
    assert [(e.actor_label, e.action, e.detail["before"], e.detail["role"]) for e in events] == [
        ("a-admin", "member.set", None, "viewer"),
        ("a-admin", "member.set", "viewer", "editor"),
    ]


def test_an_admin_makes_and_unmakes_no_owner(
    acting: Callable[[Role], Actor], owner: User, make_member: Make, tenant: Tenant
) -> None:
    admin = acting(Role.ADMIN)
    assert admin.user is not None
    with pytest.raises(Forbidden, match="role owner"):
        services.member_add(actor=admin, user=admin.user, role=Role.OWNER)
    with pytest.raises(Forbidden, match="role owner"):
        services.member_add(actor=admin, user=owner, role=Role.VIEWER)
    with pytest.raises(Forbidden, match="role owner"):
        services.member_remove(actor=admin, membership=Membership.unscoped.get(user=owner))


def test_the_last_owner_stays(tenant: Tenant, owner: User, make_member: Make) -> None:
    actor = actor_for_user(owner, "acme")
    for attempt in (
        lambda: services.member_add(actor=actor, user=owner, role=Role.EDITOR),
        lambda: services.member_remove(actor=actor, membership=Membership.unscoped.get(user=owner)),
    ):
        with pytest.raises(Conflict, match="without an owner"):
            attempt()
    make_member(tenant, Role.OWNER, "second")
    services.member_add(actor=actor, user=owner, role=Role.EDITOR)
    assert actor_for_user(owner, "acme").role == Role.EDITOR


def test_a_removed_member_is_out_at_once_with_their_tokens(tenant: Tenant, owner: User, editor: User) -> None:
    theirs = actor_for_user(editor, "acme")
    token, plain = services.token_create(actor=theirs, name="ci", scopes=[Scope.WRITE])
    services.member_remove(actor=actor_for_user(owner, "acme"), membership=Membership.unscoped.get(user=editor))
    assert actor_for_token(plain) is None
    assert not ApiToken.unscoped.filter(pk=token.pk).exists()
    with pytest.raises(NotFound):
        actor_for_user(editor, "acme")


def test_a_member_may_leave_but_not_by_a_token(tenant: Tenant, viewer: User) -> None:
    actor = actor_for_user(viewer, "acme")
    membership = Membership.unscoped.get(user=viewer)
    _, plain = services.token_create(actor=actor, name="ci", scopes=[Scope.READ])
    by_token = actor_for_token(plain)
    assert by_token is not None
    with pytest.raises(Forbidden):
        services.member_remove(actor=by_token, membership=membership)
    services.member_remove(actor=actor, membership=membership)
    assert not Membership.unscoped.filter(user=viewer).exists()


def test_a_membership_of_another_tenant_is_not_found(owner: User, stranger: User) -> None:
    with pytest.raises(NotFound):
        services.member_remove(actor=actor_for_user(owner, "acme"), membership=Membership.unscoped.get(user=stranger))


def test_a_token_is_refused_a_scope_beyond_the_role(operator: User) -> None:
    with pytest.raises(Forbidden, match="does not reach the scope write"):
        services.token_create(actor=actor_for_user(operator, "acme"), name="ci", scopes=[Scope.READ, Scope.WRITE])


@pytest.mark.parametrize(
    ("name", "scopes", "minutes"), [("", [Scope.READ], 5), ("ci", [], 5), ("ci", [Scope.READ], -1), ("\n", ["read"], 5)]
)
def test_a_token_needs_a_name_a_scope_and_a_time_to_come(
    viewer: User, name: str, scopes: list[Scope], minutes: int
) -> None:
    with pytest.raises(Invalid):
        services.token_create(
            actor=actor_for_user(viewer, "acme"),
            name=name,
            scopes=scopes,
            expires_at=timezone.now() + timedelta(minutes=minutes),
        )


def test_the_product_itself_gets_no_token(tenant: Tenant) -> None:
    with pytest.raises(Invalid, match="acts for a person"):
        services.token_create(actor=system_actor(tenant), name="ci", scopes=[Scope.READ])


def test_a_person_revokes_their_own_token_and_an_admin_anyones(tenant: Tenant, owner: User, viewer: User) -> None:
    mine = actor_for_user(viewer, "acme")
    first, _ = services.token_create(actor=mine, name="one", scopes=[Scope.READ])
    second, plain = services.token_create(actor=mine, name="two", scopes=[Scope.READ])
    services.token_revoke(actor=mine, token=first)
    services.token_revoke(actor=actor_for_user(owner, "acme"), token=second)
    assert actor_for_token(plain) is None
    of_owner, _ = services.token_create(actor=actor_for_user(owner, "acme"), name="x", scopes=[Scope.READ])
    with pytest.raises(Forbidden):
        services.token_revoke(actor=mine, token=of_owner)


def test_authority_lasts_as_long_as_the_member_and_the_token(
    tenant: Tenant, other_tenant: Tenant, owner: User, editor: User, django_assert_num_queries: Callable[..., object]
) -> None:
    token, _ = services.token_create(actor=actor_for_user(editor, "acme"), name="ci", scopes=[Scope.RUN])
    asked = [
        (tenant.pk, editor.pk, None),
        (tenant.pk, editor.pk, token.pk),
        (tenant.pk, owner.pk, token.pk),  # somebody else's token
        (other_tenant.pk, editor.pk, None),
        (tenant.pk, None, None),  # the user was deleted
        (tenant.pk, editor.pk, 1),
    ]
    expected = [True, True, False, False, False, False]
    with django_assert_num_queries(3):  # type: ignore[attr-defined]
        valid = selectors.valid_authorities(asked)
    assert [authority in valid for authority in asked] == expected
    services.token_revoke(actor=actor_for_user(owner, "acme"), token=token)
    assert selectors.valid_authorities(asked) == {(tenant.pk, editor.pk, None)}
    User.objects.filter(pk=editor.pk).update(is_active=False)
    assert selectors.valid_authorities(asked) == frozenset()


def test_a_superuser_keeps_authority_without_a_membership(tenant: Tenant) -> None:
    root = User.objects.create_superuser("root", password="a good password")
    assert selectors.valid_authorities([(tenant.pk, root.pk, None)])
