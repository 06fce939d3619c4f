"""A provider: the service that a group of actions talks to."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from integrations.sdk.auth import DEFAULT_KINDS, AuthKind, AuthTest
from integrations.sdk.errors import AuthError, DeclarationError
from integrations.sdk.limits import RateLimit
from integrations.words import declared
from integrations.words import gettext as _

if TYPE_CHECKING:
    import httpx

PROVIDER_KEY: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
QUALITIES: Final = ("", "bronze", "silver", "gold")
TILES: Final = frozenset({"hook", "http", "logic", "chat", "mail", "db", "ai", "pay", "gray"})


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where every customer has an address of their own: what a person fills in as ``site`` of a credential's settings.

    It is an address over HTTPS, with a path where there is one; the credential goes there and nowhere else.
    """

    label: str = "Address"
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Who is called, and with what credentials.

    ``base_url`` is the canonical root, which an operator may replace; one with a ``site`` has none, and takes each
    credential's own; ``regions`` are the roots of further regions by their names, one of which a credential may name;
    ``auth`` lists the kinds it offers, the first preferred; ``allowed_hosts`` are further hosts that get its
    credential, over HTTPS; ``icon`` is an SVG file beside the declaration or the name of a drawing; ``tile`` is the
    colour of its square; ``docs_url`` its reference;
    ``quality`` says what was checked: ``bronze`` declared in full, ``silver`` also under the contract suite, ``gold``
    also held against the provider's official description; ``rate_limit`` holds for actions without one of their own.
    """

    key: str
    name: str
    base_url: str = ""
    auth: Sequence[AuthKind] = ()
    description: str = ""
    icon: str = ""
    category: str = ""
    docs_url: str = ""
    allowed_hosts: Sequence[str] = ()
    oauth_family: str | None = None
    site: Site | None = None
    regions: Mapping[str, str] = field(default_factory=dict, compare=False)
    tile: str = "gray"
    quality: str = ""
    rate_limit: RateLimit | None = None
    origin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.origin:
            object.__setattr__(self, "origin", _caller())
        object.__setattr__(self, "auth", tuple(self.auth))
        object.__setattr__(self, "allowed_hosts", tuple(self.allowed_hosts))
        for problem in self._problems():
            raise DeclarationError(f"{self.origin}: {problem}")

    def _problems(self) -> Sequence[str]:
        found = []
        if not PROVIDER_KEY.fullmatch(self.key):
            found.append(f"the provider key {self.key!r} must be snake_case, like 'google_sheets'")
        if self.base_url and urlsplit(self.base_url).scheme not in {"http", "https"}:
            found.append(f"base_url of provider {self.key!r} must start with https://")
        if self.regions and not self.base_url:
            found.append(f"provider {self.key!r} has regions beside its own, and so needs a base_url")
        for name, root in self.regions.items():
            if not PROVIDER_KEY.fullmatch(name) or urlsplit(root).scheme != "https":
                found.append(f"region {name!r} of provider {self.key!r} must be in snake_case, with an https:// root")
        if self.base_url and self.site is not None:
            found.append(f"provider {self.key!r} has a site of each credential's own, and so no base_url")
        if self.tile not in TILES:
            found.append(f"tile {self.tile!r} of provider {self.key!r} must be one of {', '.join(sorted(TILES))}")
        if self.quality not in QUALITIES:
            found.append(f"quality {self.quality!r} of provider {self.key!r} must be bronze, silver or gold")
        types = [kind.type for kind in self.auth]
        if len(set(types)) < len(types):
            found.append(f"provider {self.key!r} lists a kind of credential twice")
        return found

    def root(self, settings: Mapping[str, Any]) -> str:
        """Return the root to call with a credential of these settings.

        Raises AuthError where they name no site, or a region that is none.
        """
        if self.regions and (region := str(settings.get("region") or "")):
            return self._region(region)
        if self.site is None:
            return self.base_url
        if site := str(settings.get("site") or ""):
            return site
        raise AuthError(
            _("The credential does not say where %(name)s is.") % {"name": declared(self.name)},
            hint=_("Fill in “%(label)s” on the credential's page.") % {"label": declared(self.site.label)},
        )

    def _region(self, name: str) -> str:
        if name in self.regions:
            return self.regions[name]
        raise AuthError(
            _("%(name)s has no region %(region)r.") % {"name": declared(self.name), "region": name[:63]},
            hint=_("Choose the region on the credential's page."),
        )

    def auth_kind(self, auth_type: str) -> AuthKind:
        """Return the declared kind, or the plain one of that type where the provider declares none."""
        return next((kind for kind in self.auth if kind.type == auth_type), DEFAULT_KINDS[auth_type])

    def auth_test(self, auth_type: str) -> AuthTest | None:
        """Return the test of that kind, else of any kind: the account asked for is the same."""
        tests = [kind.test for kind in (self.auth_kind(auth_type), *self.auth) if kind.test]
        return tests[0] if tests else None

    def authorizer(
        self, auth: Mapping[str, Any], settings: Mapping[str, Any] | None = None
    ) -> Callable[[httpx.Request], None] | None:
        """Return what puts the credential on a request, or None where there is nothing to put.

        ``auth`` is what ``ctx.auth`` holds; ``settings`` are the credential's readable ones.
        """
        auth_type = str(auth.get("type", "none"))
        if auth_type == "none":
            return None
        kind, given = self.auth_kind(auth_type), settings or {}

        def authorize(request: httpx.Request) -> None:
            kind.apply(request, auth, given)

        return authorize

    def credential_hosts(self, base_url: str = "") -> tuple[str, ...]:
        """Return the origins that get this provider's credential: its root (or the operator's) and allowed hosts."""
        parts = urlsplit(base_url or self.base_url)
        root = (f"{parts.scheme}://{parts.netloc}",) if parts.netloc else ()
        return (*root, *(f"https://{host}" for host in self.allowed_hosts))


def _caller() -> str:
    """Return ``file:line`` of the declaration: the first frame outside this module and the generated ``__init__``."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in {__file__, "<string>"}:
        frame = frame.f_back
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_lineno}"
