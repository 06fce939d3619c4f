"""The first start: migrate, then make the tenant and the person that everything else begins with.

``up`` and ``setup`` call this at every start, from several hosts at once if need be: one of them works, the others
wait, and what is already there is left as it is.
"""

from __future__ import annotations

import fcntl
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from orchestrator.errors import Conflict
from orchestrator.tenants import consistency, services
from orchestrator.tenants.access import system_actor
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from orchestrator.workflows.examples import examples_create

TENANT: Final = "demo"
ADMIN: Final = "admin"
LOCK_FILE: Final = "setup.lock"
WAIT_SECONDS: Final = 120.0
# PostgreSQL's advisory locks are numbers that everybody who uses the database shares: "orchestr" in ASCII.
_ADVISORY_LOCK: Final = 0x6F72636865737472


@dataclass(frozen=True, kw_only=True)
class FirstStart:
    """What a start found and made. ``password_made`` is shown once and kept nowhere."""

    tenant: str
    user: str
    made_tenant: bool
    made_user: bool
    password_made: str | None = field(default=None, repr=False)
    weak: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


def first_start(*, demo: bool, base_url: str) -> FirstStart:
    """Migrate and make tenant, user and, with ``demo``, the example workflows; safe to repeat.

    ``base_url`` is where the product will answer. Raises Conflict when another host is at it for too long.
    """
    with only_one():
        _migrate()
        return _make_people(demo=demo, base_url=base_url)


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
    else:
        # What `migrate` does after its last migration, without the second that the rest of it takes at every start.
        consistency.install()


@transaction.atomic
def _make_people(*, demo: bool, base_url: str) -> FirstStart:
    """Make what is missing, all or nothing: a start that is killed here begins again from nothing."""
    given = settings.ENV.admin_password
    password = given or secrets.token_urlsafe(12)
    user, made_user = services.user_create(name=ADMIN, password=password, staff=True, superuser=True, weak_allowed=True)
    tenant, made_tenant = services.tenant_create(slug=TENANT, name="Demo")
    if made_tenant or made_user:
        services.member_add(actor=system_actor(tenant), user=user, role=Role.OWNER)
    return FirstStart(
        tenant=tenant.slug,
        user=user.get_username(),
        made_tenant=made_tenant,
        made_user=made_user,
        password_made=password if made_user and not given else None,
        weak=tuple(services.password_problems(password, user)) if made_user and given else (),
        examples=_make_examples(tenant, base_url) if demo else (),
    )


def _make_examples(tenant: Tenant, base_url: str) -> tuple[str, ...]:
    """Make the examples in a tenant where nobody has touched a workflow yet: deleted ones must not come back."""
    if AuditEvent.objects.for_tenant(tenant).filter(action__startswith="workflow.").exists():
        return ()
    return tuple(workflow.slug for workflow in examples_create(actor=system_actor(tenant), base_url=base_url))


@contextmanager
def only_one(seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Let one process at a time through, on all hosts that share the database. Raises Conflict after ``seconds``."""
    with _LOCKS[connection.vendor](seconds):
        yield


@contextmanager
def _file_lock(seconds: float) -> Iterator[None]:
    settings.ENV.data_dir.mkdir(parents=True, exist_ok=True)
    # The operating system lets go of the lock when the process ends, however it ends.
    with open(settings.ENV.data_dir / LOCK_FILE, "w") as handle:
        _wait(lambda: _flock(handle.fileno()), seconds)
        yield


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _advisory_lock(seconds: float) -> Iterator[None]:
    def take() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_LOCK])
            return bool(cursor.fetchone()[0])

    _wait(take, seconds)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


_LOCKS: Final = {"sqlite": _file_lock, "postgresql": _advisory_lock}


def _wait(take: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not take():
        if time.monotonic() > deadline:
            raise Conflict(
                f"Another process has been setting up this database for {seconds:.0f} s: "
                "wait for it to end, or end it, and start again."
            )
        time.sleep(0.1)
