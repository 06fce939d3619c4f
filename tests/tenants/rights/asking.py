"""Who asks, how an address is asked, and what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.http.cookie import SimpleCookie
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from orchestrator.tenants.models import Role, Scope
from tests.tenants.rights.rows import Face, Least, Row
from tests.tenants.rights.world import World

# What a request leaves behind whatever comes of it: the session, and when a token was used.
_TRACES: Final = ("tenants_personsession", "tenants_apitoken", "tenants_signinfailure")
_SEGMENT: Final[Mapping[str, str]] = {
    "workflows": "workflow",
    "runs": "run",
    "credentials": "credential",
    "tokens": "token",
    "keys": "token",
    "members": "member",
    "invitations": "invitation",
    "views": "view",
    "variables": "variable",
    "join": "join",
    "alerts": "alert_channel",
    "alert-channels": "alert_channel",
}
_KNOWN: Final[Mapping[str, str]] = {
    "provider": "hello",
    "action": "world",
    "number": "1",
    "older": "1",
    "newer": "2",
    "field": "channel",
}
# One for all: each has its own copy of the middleware, which takes longer to make than a request.
_CLIENT: Final = Client(raise_request_exception=False)
_REFUSAL: Final = re.compile(r"This needs the role|This token lacks")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who asks: ``role`` in the world's tenant, None for who does not belong to it; ``scopes`` of a token."""

    name: str
    role: Role | None = None
    user: User | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    scopes: frozenset[Scope] | None = None
    is_staff: bool = False
    # Of a staff of another tenant, and of a token of one: they are somebody, elsewhere.
    is_elsewhere: bool = False
    session: str = ""

    @property
    def is_superuser(self) -> bool:
        return self.user is not None and self.user.is_superuser


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came of a request; ``wrote`` are the statements that changed a row of a tenant."""

    status: int
    location: str
    text: str
    said: tuple[str, ...]
    wrote: tuple[str, ...]

    @property
    def leads_to_sign_in(self) -> bool:
        return self.status == 302 and self.location.startswith(("/sign-in/", "/admin/login/"))

    @property
    def is_done(self) -> bool:
        """Whether this is no refusal: nothing about rights, sign-in or an object that is not there; nor a fault."""
        refused = self.status in (401, 403, 404, 405) or self.status >= 500 or self.leads_to_sign_in
        return not refused and not any(map(_REFUSAL.search, (*self.said, self.text)))

    def __str__(self) -> str:
        title = re.search(r"<title>(.*?)</title>", self.text, re.S)
        text = title.group(1).strip() if title else self.text[:300]
        return f"{self.status} {self.location or text!r} {list(self.said)} {list(self.wrote)[:3] or ''}"


def signed_in(name: str, user: User, **more: Any) -> Caller:
    """Return somebody with a session."""
    client = Client()
    client.force_login(user)
    return Caller(name=name, user=user, session=client.cookies["sessionid"].value, **more)


def routes() -> Iterator[str]:
    """Yield the route of every address of the product."""

    def walk(resolver: URLResolver, front: str) -> Iterator[str]:
        for entry in resolver.url_patterns:
            route = front + str(entry.pattern)
            if isinstance(entry, URLResolver):
                yield from walk(entry, route)
            elif isinstance(entry, URLPattern):
                yield route

    yield from dict.fromkeys(walk(get_resolver(), ""))


def address(row: Row, world: World, *, role: Role | None = None, tenant: str = "") -> str:
    """Return where a row is asked: of a ``name@`` the asker's own object. Raises AssertionError without a recipe."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1).partition(":")[2] or match.group(1)
        if name == "tenant":
            return tenant or world.tenant.slug
        wanted = row.of.get(name) or _wanted(name, row.route[: match.start()])
        own = f"{wanted.rstrip('@')}@{role or Role.OWNER}"
        if wanted.endswith("@") or (row.face is Face.ADMIN and own in world.names):
            wanted = own
        found = world.names.get(wanted, wanted)
        assert found, f"no recipe for <{name}> in {row.route}: say it with `of`"
        return found

    filled = re.sub(r"<([^>]+)>", value, _plain(row.route))
    return f"/{filled}" + (f"?{world.fill(row.query)}" if row.query else "")


def _plain(route: str) -> str:
    """Return the regular expressions of the administration's own routes as the others are written."""
    return re.sub(r"\^?\(\?P<(\w+)>[^)]*\)(/?)\$", r"<\1>\2", route)


def _wanted(name: str, before: str) -> str:
    if name in ("pk", "token"):
        return _SEGMENT.get(before.rstrip("/").rpartition("/")[2], "")
    if name == "key":
        return "hook" if before.endswith("triggers/") else "first"
    return {**_KNOWN, "ref": "ref", "other": "ended"}.get(name, "")


def ask(
    row: Row,
    method: str,
    where: str,
    world: World,
    caller: Caller,
    *,
    sent: Any = None,
    look: Callable[[], None] | None = None,
) -> Answered:
    """Send a request and take back what it did; before that, ``look`` at it where it wrote anything."""
    _CLIENT.cookies = SimpleCookie({"sessionid": caller.session} if caller.session else {})
    body = world.fill(row.sent if sent is None else sent)
    as_json = row.face is Face.API or where == "/mcp"
    options: dict[str, Any] = {"headers": dict(caller.headers)}
    if method != "GET" and as_json and body is not None:
        options |= {"data": json.dumps(body), "content_type": "application/json"}
    elif method == "POST" and not as_json:
        options |= {"data": body or {}}
    wrote: list[str] = []
    with transaction.atomic(), _noting(wrote):
        response = getattr(_CLIENT, method.lower())(where, **options)
        text = response.getvalue().decode("utf-8", "replace")
        if look is not None and wrote:
            look()
        transaction.set_rollback(True)
    said = getattr(getattr(response.wsgi_request, "_messages", None), "_queued_messages", ())
    return Answered(
        status=response.status_code,
        location=response.headers.get("Location", ""),
        text=text,
        said=tuple(str(message) for message in said),
        wrote=tuple(wrote),
    )


@contextmanager
def _noting(wrote: list[str]) -> Iterator[None]:
    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        verb, _space, rest = sql.lstrip().partition(" ")
        if verb.upper() in ("INSERT", "UPDATE", "DELETE") and not any(table in rest[:60] for table in _TRACES):
            wrote.append(sql[:200])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield


def expected(row: Row, method: str, caller: Caller) -> str:
    """Return what somebody is to be answered: done, refused, not there, unknown (no valid sign-in), to sign in."""
    least = row.least[method]
    if row.face is Face.OPEN:
        if isinstance(least, Role):
            return _of_token(row, method, caller) if caller.scopes is not None else "unknown"
        if least is Least.ANYBODY:
            return "open or not there" if row.leads_on else "open"
        if caller.user and row.leads_on:
            return "open or not there"
        return "done" if caller.user else "sign in"
    if row.face is Face.ADMIN:
        return _of_staff(row, least, caller)
    if row.face is Face.API and caller.scopes is not None:
        return _of_token(row, method, caller)
    if caller.user is None:
        return "unknown" if row.face is Face.API else "sign in"
    if caller.role is None:
        return "not there"
    assert isinstance(least, Role)
    return "done" if caller.role.rank >= least.rank else "refused"


def _of_token(row: Row, method: str, caller: Caller) -> str:
    least = row.least[method]
    assert isinstance(least, Role)
    assert caller.scopes is not None
    if caller.is_elsewhere:
        return "not there" if row.names_an_object else "done"
    assert caller.role is not None
    return "done" if caller.role.rank >= least.rank and row.scope_of(method) in caller.scopes else "refused"


def _of_staff(row: Row, least: Role | Least, caller: Caller) -> str:
    if least is Least.ANYBODY:
        return "open"
    if caller.is_superuser:
        return "refused" if least is Least.NOBODY else "done"
    if not caller.is_staff or (caller.role is not None and caller.role.rank < Role.EDITOR.rank):
        return "sign in"
    if caller.is_elsewhere and row.names_an_object and not row.leads_on:
        return "refused"
    if isinstance(least, Least):
        return "refused"
    return "done" if caller.role is None or caller.role.rank >= least.rank else "refused"
