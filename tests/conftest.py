"""People and tenants that most tests need: two tenants, and someone of every role in the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from hypothesis import HealthCheck, settings

from orchestrator.assets import Files
from orchestrator.tenants.models import Membership, Role, Tenant
from runs import doorbell

# How long an example takes says how busy the machine is.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _files_listed_once() -> Iterator[None]:
    """List the static files once: each client loads the middleware anew, and the list takes 9 of its 10 ms."""
    listed: dict[str, Any] = {}
    add_files = Files.add_files_from_finders

    def add_listed(files: Files) -> None:
        if not listed:
            add_files(files)
            listed.update(files.files)
        files.files.update(listed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Files, "add_files_from_finders", add_listed)
        yield


@pytest.fixture(scope="session", autouse=True)
def _authorities_read_once() -> Iterator[None]:
    """Read the certificates of the authorities once: ``httpx.get`` does it for each request, and takes 20 ms for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


@pytest.fixture(autouse=True)
def _silent_doorbell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the bell's thread, which asks the database, out of tests that are not about it."""
    monkeypatch.setattr(doorbell, "ring", lambda: None)
    monkeypatch.setattr(doorbell, "call", lambda: None)


@pytest.fixture
def tenant(db: None) -> Tenant:
    return Tenant.objects.create(slug="acme", name="Acme")


@pytest.fixture
def other_tenant(db: None) -> Tenant:
    return Tenant.objects.create(slug="globex", name="Globex")


@pytest.fixture
def make_member(db: None) -> Callable[..., User]:
    """Return a function that makes a user with a role in a tenant."""

    def make(tenant: Tenant, role: Role, name: str | None = None) -> User:
        user = User.objects.create_user(name or f"{role}-of-{tenant.slug}", password="a good password")
        Membership.unscoped.create(tenant=tenant, user=user, role=role)
        return user

    return make


@pytest.fixture
def owner(tenant: Tenant, make_member: Callable[..., User]) -> User:
    return make_member(tenant, Role.OWNER)


@pytest.fixture
def editor(tenant: Tenant, make_member: Callable[..., User]) -> User:
    return make_member(tenant, Role.EDITOR)


@pytest.fixture
def operator(tenant: Tenant, make_member: Callable[..., User]) -> User:
    return make_member(tenant, Role.OPERATOR)


@pytest.fixture
def viewer(tenant: Tenant, make_member: Callable[..., User]) -> User:
    return make_member(tenant, Role.VIEWER)


@pytest.fixture
def stranger(other_tenant: Tenant, make_member: Callable[..., User]) -> User:
    """An owner of the other tenant, who must not learn anything of the first."""
    return make_member(other_tenant, Role.OWNER)
