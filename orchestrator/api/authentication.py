"""Who calls: a token of one tenant, or a signed-in person who names the tenant in ``X-Tenant``."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from orchestrator.tenants.access import Actor, actor_for_session, actor_for_token


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer <token>``; ``request.auth`` becomes the Actor."""

    keyword = "Bearer"

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != self.keyword.lower():
            return None
        actor = actor_for_token(token.strip())
        if actor is None or actor.user is None:
            raise AuthenticationFailed(_("The token is unknown, expired or revoked. Make a new one."), "invalid_token")
        return actor.user, actor

    def authenticate_header(self, request: Request) -> str:
        return f'{self.keyword} realm="api"'


class TenantSessionAuthentication(SessionAuthentication):
    """The browser's session (with CSRF protection) plus ``X-Tenant: <slug>``."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        user = getattr(request._request, "user", AnonymousUser())
        if not isinstance(user, User) or not user.is_active:
            return None
        slug = request.headers.get("X-Tenant")
        if not slug:
            raise AuthenticationFailed(_("Send `X-Tenant: <slug>` to say which tenant is meant."), "tenant_missing")
        self.enforce_csrf(request)
        return user, actor_for_session(user, slug, request._request.session)
