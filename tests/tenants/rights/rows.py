"""A row of the table: one address of the product, and who may ask it by which method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from orchestrator.tenants.models import Role, Scope

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# The least scope that reaches what a role may do.
SCOPE_OF: Final[Mapping[Role, Scope]] = {
    Role.VIEWER: Scope.READ,
    Role.OPERATOR: Scope.RUN,
    Role.EDITOR: Scope.WRITE,
    Role.ADMIN: Scope.ADMIN,
    Role.OWNER: Scope.ADMIN,
}


class Least(Enum):
    """Who may ask, where that is no matter of a role."""

    ANYBODY = "anybody"
    PERSON = "who is signed in"
    SUPERUSER = "a superuser"
    NOBODY = "nobody"


class Face(Enum):
    """How an address is asked, and how it refuses."""

    OPEN = "open"
    PAGE = "page"
    API = "api"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One route. ``least`` maps the methods that it takes to who may; any other method is answered 405.

    ``sent`` is the body, ``query`` what follows the address; ``$name`` in them is an object of the world. ``of`` names
    the object of a parameter where the route does not say it. A second row for a route has its own ``case``. One that
    ``leads_on`` answers with another address without a look at the object.
    """

    route: str
    face: Face
    least: Mapping[str, Role | Least]
    scope: Scope | None = None
    sent: Any = None
    query: str = ""
    of: Mapping[str, str] = field(default_factory=dict)
    case: str = ""
    leads_on: bool = False

    def __str__(self) -> str:
        return f"{self.route} ({self.case})" if self.case else self.route

    @property
    def names_an_object(self) -> bool:
        """Whether the address leads to one object of a tenant, by an id or by a secret."""
        return any(word in self.route for word in ("<int:pk>", "<str:pk>", "<path:object_id>", "<str:token>"))

    def scope_of(self, method: str) -> Scope:
        """Return the least scope of a token that may ask."""
        least = self.least[method]
        assert isinstance(least, Role)
        return self.scope or SCOPE_OF[least]


def _least(methods: Mapping[str, Role | Least | None]) -> dict[str, Role | Least]:
    return {name.upper(): least for name, least in methods.items() if least is not None}


def row(face: Face, route: str, more: Mapping[str, Any]) -> Row:
    """Return a row; of ``more``, names of methods say who may, and the rest are the row's own fields."""
    methods = {name: value for name, value in more.items() if name.upper() in METHODS}
    return Row(route=route, face=face, least=_least(methods), **{k: v for k, v in more.items() if k not in methods})


def page(route: str, **more: Any) -> Row:
    """A page of a tenant, asked with a session."""
    return row(Face.PAGE, f"w/<slug:tenant>/{route}", more)


def api(route: str, **more: Any) -> Row:
    """An operation of the API, asked with a token, or with a session and ``X-Tenant``; what is sent is JSON."""
    return row(Face.API, f"api/v1/{route}", more)


def open_to(route: str, **more: Any) -> Row:
    """An address of no tenant, or one that is found by a secret."""
    return row(Face.OPEN, route, more)


def admin(route: str, **more: Any) -> Row:
    """A page of the administration, for staff; its views take any method, and all but POST as GET."""
    return row(Face.ADMIN, f"admin/{route}", more)
