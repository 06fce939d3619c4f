from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone

from orchestrator.errors import Forbidden, NotFound
from orchestrator.tenants import services
from orchestrator.tenants.access import (
    Actor,
    actor_for_token,
    actor_for_user,
    get_for_tenant_or_404,
    require,
    tenant_page,
)
from orchestrator.tenants.models import ApiToken, Membership, Role, Scope, Tenant


@pytest.fixture
def token_of(tenant: Tenant) -> Callable[..., str]:
    """Return a function that makes a token of a member and gives the plaintext."""

    def make(user: User, *scopes: Scope) -> str:
        actor = actor_for_user(user, tenant.slug)
        return services.token_create(actor=actor, name="ci", scopes=scopes or actor.scopes)[1]

    return make


def test_a_member_acts_with_their_role(tenant: Tenant, editor: User) -> None:
    actor = actor_for_user(editor, "acme")
    assert (actor.tenant, actor.role, actor.user, actor.token) == (tenant, Role.EDITOR, editor, None)
    assert actor.may(Role.OPERATOR)
    assert not actor.may(Role.ADMIN)


def test_a_stranger_and_an_unknown_tenant_get_the_same_answer(tenant: Tenant, stranger: User) -> None:
    with pytest.raises(NotFound) as of_another:
        actor_for_user(stranger, "acme")
    with pytest.raises(NotFound) as of_none:
        actor_for_user(stranger, "nowhere")
    assert str(of_another.value) == str(of_none.value)


def test_a_superuser_acts_as_owner_without_a_membership(tenant: Tenant) -> None:
    root = User.objects.create_superuser("root", password="a good password")
    assert actor_for_user(root, "acme").role == Role.OWNER


def test_a_refusal_names_the_role_that_is_needed_and_the_one_there_is(tenant: Tenant, viewer: User) -> None:
    with pytest.raises(Forbidden, match="needs the role editor in Acme; yours is viewer"):
        require(actor_for_user(viewer, "acme"), Role.EDITOR)


@pytest.mark.parametrize(
    ("scope", "role", "reach"),
    [
        (Scope.READ, Role.VIEWER, {Scope.READ}),
        (Scope.RUN, Role.OPERATOR, {Scope.READ, Scope.RUN}),
        (Scope.WRITE, Role.EDITOR, {Scope.READ, Scope.RUN, Scope.WRITE}),
        (Scope.ADMIN, Role.OWNER, set(Scope)),
    ],
)
def test_a_token_acts_with_what_its_scope_reaches_and_no_more(
    owner: User, token_of: Callable[..., str], scope: Scope, role: Role, reach: set[Scope]
) -> None:
    actor = actor_for_token(token_of(owner, scope))
    assert actor is not None
    assert (actor.role, actor.scopes) == (role, reach)
    assert actor.label == "owner-of-acme (token ci)"


def test_a_token_never_reaches_beyond_its_users_present_role(
    tenant: Tenant, owner: User, editor: User, token_of: Callable[..., str]
) -> None:
    plain = token_of(editor)
    services.member_add(actor=actor_for_user(owner, "acme"), user=editor, role=Role.VIEWER)
    actor = actor_for_token(plain)
    assert actor is not None
    assert (actor.role, actor.scopes) == (Role.VIEWER, {Scope.READ})


def test_a_refused_token_is_told_which_scope_it_lacks(owner: User, token_of: Callable[..., str]) -> None:
    actor = actor_for_token(token_of(owner, Scope.READ))
    assert actor is not None
    with pytest.raises(Forbidden, match="a token with the scope write"):
        require(actor, Role.EDITOR)


def test_an_unknown_token_is_nobody(db: None) -> None:
    for text in ("", "orc_nothing", "\ud800", "ü" * 5000):
        assert actor_for_token(text) is None


def test_a_token_ends_with_its_time_its_user_or_their_membership(
    editor: User, operator: User, viewer: User, token_of: Callable[..., str]
) -> None:
    expired, inactive, removed = token_of(editor), token_of(operator), token_of(viewer)
    ApiToken.unscoped.filter(user=editor).update(expires_at=timezone.now())
    User.objects.filter(pk=operator.pk).update(is_active=False)
    Membership.unscoped.filter(user=viewer).delete()
    assert [actor_for_token(plain) for plain in (expired, inactive, removed)] == [None, None, None]


def test_a_tokens_use_is_noted_at_most_once_a_minute(
    editor: User, token_of: Callable[..., str], django_assert_num_queries: Callable[..., object]
) -> None:
    plain = token_of(editor)
    actor_for_token(plain)
    first = ApiToken.unscoped.get().last_used_at
    assert first is not None
    with django_assert_num_queries(2):  # type: ignore[attr-defined]
        actor_for_token(plain)
    assert ApiToken.unscoped.get().last_used_at == first
    ApiToken.unscoped.update(last_used_at=first - timedelta(minutes=2))
    actor_for_token(plain)
    assert ApiToken.unscoped.get().last_used_at >= first


def test_a_token_is_stored_as_its_hash_alone(editor: User, token_of: Callable[..., str]) -> None:
    plain = token_of(editor)
    row = ApiToken.unscoped.values().get()
    assert all(plain not in str(value) for value in row.values())
    assert plain.startswith(row["prefix"])


def test_another_tenants_row_looks_like_none(tenant: Tenant, stranger: User, viewer: User) -> None:
    theirs = Membership.unscoped.get(user=stranger)
    ours = Membership.unscoped.get(user=viewer)
    assert get_for_tenant_or_404(Membership, tenant, pk=ours.pk) == ours
    for value in (theirs.pk, 1, -1, 2**80, "x", "1; --", None):
        with pytest.raises(NotFound):
            get_for_tenant_or_404(Membership, tenant, pk=value)


@tenant_page(Role.EDITOR)
def page(request: HttpRequest, actor: Actor, **kwargs: object) -> HttpResponse:
    """Show who asks."""
    if kwargs.get("missing"):
        raise NotFound("There is no such step.")
    return HttpResponse(actor.label)


def ask(user: User | AnonymousUser, tenant: str = "acme", **kwargs: object) -> HttpResponse:
    request = RequestFactory().get(f"/w/{tenant}/x", {"q": "1"})
    request.user = user
    request.session = {}
    answer = page(request, tenant=tenant, **kwargs)
    assert isinstance(answer, HttpResponse)
    return answer


def test_a_page_gets_the_actor(editor: User) -> None:
    assert ask(editor).content == b"editor-of-acme"


def test_a_page_sends_who_is_not_signed_in_to_sign_in_and_back(tenant: Tenant, settings: object) -> None:
    settings.LOGIN_URL = "/sign-in"  # type: ignore[attr-defined]
    answer = ask(AnonymousUser())
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in?next=/w/acme/x%3Fq%3D1")


def test_a_page_is_not_there_for_a_stranger(stranger: User, tenant: Tenant) -> None:
    with pytest.raises(Http404):
        ask(stranger)


def test_a_page_answers_404_when_the_view_finds_nothing(editor: User) -> None:
    with pytest.raises(Http404, match="no such step"):
        ask(editor, missing=True)


def test_a_page_refuses_a_role_too_low(viewer: User) -> None:
    with pytest.raises(PermissionDenied, match="needs the role editor"):
        ask(viewer)
