"""Which addresses a step may reach: a table of our own, consulted with the very address that is connected to.

``ipaddress.is_global`` is not enough: it says True for several spellings that lead back inside (NAT64, 6to4). Here
IPv6 is refused unless it lies in 2000::/3 and is not carved out of it, and an IPv4 address that travels inside an
IPv6 one is unwrapped and judged as IPv4.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx

from integrations.sdk.errors import Permanent
from integrations.words import gettext_noop

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# IANA's special-purpose registries, and one address of a cloud platform that is public in form only.
_REFUSED_V4: Final = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", gettext_noop("this host")),
        ("10.0.0.0/8", gettext_noop("private")),
        ("100.64.0.0/10", gettext_noop("shared by a carrier")),
        ("127.0.0.0/8", gettext_noop("loopback")),
        ("168.63.129.16/32", gettext_noop("a cloud platform's own")),
        ("169.254.0.0/16", gettext_noop("link-local")),
        ("172.16.0.0/12", gettext_noop("private")),
        ("192.0.0.0/24", gettext_noop("reserved")),
        ("192.0.2.0/24", gettext_noop("documentation")),
        ("192.88.99.0/24", gettext_noop("reserved")),
        ("192.168.0.0/16", gettext_noop("private")),
        ("198.18.0.0/15", gettext_noop("benchmarking")),
        ("198.51.100.0/24", gettext_noop("documentation")),
        ("203.0.113.0/24", gettext_noop("documentation")),
        ("224.0.0.0/4", gettext_noop("multicast")),
        ("240.0.0.0/4", gettext_noop("reserved")),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("2001:db8::/32", gettext_noop("documentation")),
        ("2001::/23", gettext_noop("reserved")),  # Teredo, ORCHID, benchmarking and other protocol assignments
        ("3fff::/20", gettext_noop("documentation")),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_NAMED_V6: Final = (
    (IPv6Network("::1/128"), gettext_noop("loopback")),
    (IPv6Network("::/96"), gettext_noop("this host")),
    (IPv6Network("64:ff9b:1::/48"), gettext_noop("local translation")),
    (IPv6Network("fc00::/7"), gettext_noop("private")),
    (IPv6Network("fe80::/10"), gettext_noop("link-local")),
    (IPv6Network("ff00::/8"), gettext_noop("multicast")),
)


class AddressRefused(Permanent):
    """The request would reach an address that steps may not reach."""


@lru_cache(maxsize=4096)
def refusal(address: str) -> str | None:
    """Return why ``address`` (as the socket layer spells it) may not be reached, or None if it is public."""
    try:
        parsed: Address = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return gettext_noop("not an address")
    return _refusal_v4(parsed) if isinstance(parsed, IPv4Address) else _refusal_v6(parsed)


def _refusal_v4(address: IPv4Address) -> str | None:
    return next((reason for network, reason in _REFUSED_V4 if address in network), None)


def _refusal_v6(address: IPv6Address) -> str | None:
    inner = _unwrap(address)
    if inner is not None:
        return _refusal_v4(inner)
    if address in _GLOBAL_V6:
        return next((reason for network, reason in _REFUSED_V6 if address in network), None)
    return next((reason for network, reason in _NAMED_V6 if address in network), "reserved")


def _unwrap(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to ``address`` are delivered to, if it carries one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return IPv4Address((int(address) >> 80) & 0xFFFFFFFF)
    return None


@dataclass(frozen=True, kw_only=True)
class _Allowed:
    """One entry of EGRESS_ALLOW: a network or a host, with or without a port."""

    network: Network | None = None
    host: str = ""
    port: int | None = None

    def admits(self, port: int) -> bool:
        return self.port is None or self.port == port


def _parse_allowed(entry: str) -> _Allowed:
    """Parse ``host``, ``host:port``, ``[v6]:port``, an address or a CIDR. Raises ValueError with one sentence."""
    try:
        return _Allowed(network=ipaddress.ip_network(entry, strict=False))
    except ValueError:
        pass
    try:
        parts = urlsplit(f"//{entry}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or "/" in entry or "@" in entry or any(character.isspace() for character in entry):
        raise ValueError(f"EGRESS_ALLOW has {entry!r}, which is not a host, a host:port or a network like 10.0.0.0/8.")
    try:
        return _Allowed(network=ipaddress.ip_network(host), port=port)
    except ValueError:
        return _Allowed(host=host.lower().rstrip("."), port=port)


@dataclass(frozen=True, kw_only=True)
class EgressPolicy:
    """What steps may reach besides public addresses.

    ``allow`` are EGRESS_ALLOW's entries; ``origins`` the operator's replaced roots, of which exactly scheme, host and
    port pass; ``health_url`` is ``{BASE_URL}/healthz``, of which exactly a GET passes. Raises ValueError with one
    sentence on an entry that cannot be read.
    """

    allow: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    health_url: str | None = None
    _entries: tuple[_Allowed, ...] = field(init=False, repr=False, compare=False)
    _origins: frozenset[tuple[str, str, int]] = field(init=False, repr=False, compare=False)
    _health: httpx.URL | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_entries", tuple(_parse_allowed(entry) for entry in self.allow))
        object.__setattr__(self, "_origins", frozenset(origin(httpx.URL(url)) for url in self.origins))
        object.__setattr__(self, "_health", httpx.URL(self.health_url) if self.health_url else None)

    def trusts(self, request: httpx.Request) -> bool:
        """Whether the operator exempted this very request, wherever its host leads."""
        here = origin(request.url)
        _, host, port = here
        by_name = (entry for entry in self._entries if entry.host)
        if here in self._origins or any(entry.host == host and entry.admits(port) for entry in by_name):
            return True
        return self._health is not None and request.method == "GET" and request.url == self._health

    def trusts_host(self, host: str, port: int) -> bool:
        """Whether the operator exempted this host by its name, wherever that leads."""
        here = host.lower().rstrip(".")
        return any(entry.host == here and entry.admits(port) for entry in self._entries if entry.host)

    def refusal(self, address: str, port: int) -> str | None:
        """Return why this address may not be connected to, or None."""
        reason = refusal(address)
        if reason is None or not self._entries:
            return reason
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        networks = ((entry, entry.network) for entry in self._entries if entry.network is not None)
        return None if any(parsed in network and entry.admits(port) for entry, network in networks) else reason


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Return scheme, host in its ASCII form without a final dot, and port."""
    port = url.port or DEFAULT_PORTS.get(url.scheme, 0)
    return url.scheme, url.raw_host.decode("ascii").lower().rstrip("."), port


def host_is_listed(url: httpx.URL, entries: Sequence[str]) -> bool:
    """Whether the URL's host is one of ``entries``: ``host``, ``host:port``, ``*.domain``, or a whole origin."""
    scheme, host, port = origin(url)
    return any(_entry_matches(entry, scheme, host, port) for entry in entries)


@lru_cache(maxsize=4096)
def _entry_matches(entry: str, scheme: str, host: str, port: int) -> bool:
    if "://" in entry:
        return (scheme, host, port) == origin(httpx.URL(entry))
    parts = urlsplit(f"//{entry.strip()}")
    wanted = (parts.hostname or "").lower().rstrip(".")
    if not wanted or (parts.port is not None and parts.port != port):
        return False
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted
