"""Which database a credential means, and how it is reached: only at addresses that were checked just before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from integrations.sdk import Account, AuthContext, InputError, Permanent, Transient
from integrations.words import gettext as _

if TYPE_CHECKING:
    from types import ModuleType

DOCS_URL: Final = "https://www.postgresql.org/docs/current/"
DEFAULT_PORT: Final = 5432
CHECK_SECONDS: Final = 15.0
VERIFIED: Final = "verify-full"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A database and who signs in to it; ``addresses`` are where its host may be reached."""

    host: str
    port: int
    database: str
    tls: str
    user: str
    password: str = field(repr=False)
    addresses: Sequence[str] = ()

    @property
    def label(self) -> str:
        return f"{self.user}@{self.host}/{self.database}"


async def found(
    addresses: Callable[[str, int], Sequence[str]], settings: Mapping[str, Any], auth: Mapping[str, Any]
) -> Place:
    """Return the place that a credential means. Raises InputError, AddressRefused and Transient."""
    host, database = str(settings.get("host") or ""), str(settings.get("database") or "")
    if not host or not database:
        raise InputError(
            _("The credential names no server or no database."), hint=_("Enter both in the credential's form.")
        )
    port = int(settings.get("port") or DEFAULT_PORT)
    reached = await asyncio.to_thread(addresses, host, port)
    if not reached:
        # Without one the library would look for itself.
        raise Transient(_("Could not connect to %(name)s: its name is not known.") % {"name": host})
    return Place(
        host=host,
        port=port,
        database=database,
        tls=str(settings.get("tls") or VERIFIED),
        user=str(auth["username"]),
        password=str(auth["password"]),
        addresses=reached,
    )


def driver() -> ModuleType:
    """Return the module that speaks to the server. Raises Permanent where its library is not installed."""
    try:
        # Late: an installation that works with no PostgreSQL need not have it.
        from integrations.providers.postgres import session
    except ImportError:
        raise Permanent(
            _("The library that speaks to PostgreSQL is not installed here."),
            hint=_("The operator installs it on every host: pip install 'orchestrator[postgres]'."),
        ) from None
    return session


async def account(ctx: AuthContext) -> Account:
    """Sign in to the database that the credential names."""
    if ctx.dial is None:
        raise Permanent(_("Only HTTP is spoken from here."))
    session = driver()
    place = await found(ctx.dial.addresses, ctx.settings, ctx.auth)
    async with session.connected(place, seconds=CHECK_SECONDS):
        return Account(label=place.label)
