"""Connections to hosts that speak no HTTP, under the guard of requests: each address is checked as it is used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

import httpx

from integrations.sdk.egress import AddressRefused, EgressPolicy, host_is_listed
from integrations.sdk.errors import InputError, Transient
from integrations.words import gettext as _

CONNECT_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 0.1
_SCHEME: Final = "tcp"

# One of the addresses that a name leads to, as the socket layer gives them.
_Found: TypeAlias = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]


# Connects to a host and a port. Blocks. Raises InputError, AddressRefused and Transient.
Dial: TypeAlias = Callable[[str, int], socket.socket]


class Dialler(Protocol):
    """Connects, and says to which addresses that may be done. Both block and raise alike."""

    def __call__(self, host: str, port: int) -> socket.socket: ...

    def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses that may be connected to, for a library that makes its connections itself."""
        ...


def dialler(policy: EgressPolicy, *, egress_allow: Sequence[str], deadline: datetime) -> Dialler:
    """Return what connects for one attempt; ``egress_allow`` narrows the hosts that may be reached."""
    return _Dialler(policy=policy, egress_allow=tuple(egress_allow), deadline=deadline)


@dataclass(frozen=True, kw_only=True)
class _Dialler:
    policy: EgressPolicy
    egress_allow: tuple[str, ...]
    deadline: datetime

    def __call__(self, host: str, port: int) -> socket.socket:
        name = _checked(host, port)
        reason = _("nothing listens there")
        for family, kind, protocol, _name, address in self._allowed(name, port):
            try:
                return _connected(socket.socket(family, kind, protocol), address, self.deadline)
            except TimeoutError:
                reason = _("no connection in time")
            except OSError as error:
                reason = _("it was reset") if isinstance(error, ConnectionResetError) else reason
        raise Transient(
            _("Could not connect to %(name)s: %(reason)s.") % {"name": name, "reason": reason},
            hint=_("Is the address right and the host up?"),
        )

    def addresses(self, host: str, port: int) -> Sequence[str]:
        found = self._allowed(_checked(host, port), port)
        return tuple(dict.fromkeys(str(address[0]) for *_kind, address in found))

    def _allowed(self, name: str, port: int) -> Sequence[_Found]:
        """Return what a name leads to, as far as it may be reached. Raises AddressRefused, Transient."""
        if self.egress_allow and not host_is_listed(httpx.URL(scheme=_SCHEME, host=name, port=port), self.egress_allow):
            raise AddressRefused(
                _("%(name)s is not among the hosts that this workspace may reach.") % {"name": name},
                hint=_("An administrator of the workspace can add it to its list."),
            )
        try:
            found: Sequence[_Found] = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Transient(
                _("Could not connect to %(name)s: its name is not known.") % {"name": name},
                hint=_("Is the address right?"),
            ) from None
        if self.policy.trusts_host(name, port):
            return found
        refusals = [self.policy.refusal(str(address[0]), port) for *_kind, address in found]
        allowed = [each for each, refusal in zip(found, refusals, strict=True) if refusal is None]
        why = next((refusal for refusal in reversed(refusals) if refusal), "")
        if not allowed and why:
            raise AddressRefused(
                _("%(name)s leads to an address that steps may not reach (%(why)s).") % {"name": name, "why": _(why)},
                hint=_("Steps reach public addresses only; an operator can allow others with EGRESS_ALLOW."),
            )
        return allowed


def _checked(host: str, port: int) -> str:
    """Return the host as it is looked up. Raises InputError."""
    name = host.strip().rstrip(".")
    if not name or len(name) > 253 or any(sign.isspace() or sign in "/@?#" for sign in name):
        raise InputError(_("The server's name cannot be read."), field="host")
    if not 0 < port < 65_536:
        raise InputError(_("The port is a number from 1 to 65535."), field="port")
    return name


def _connected(made: socket.socket, address: object, deadline: datetime) -> socket.socket:
    try:
        remaining = max(_LEAST_SECONDS, (deadline - datetime.now(UTC)).total_seconds())
        made.settimeout(min(CONNECT_SECONDS, remaining))
        made.connect(address)  # type: ignore[arg-type]
        made.settimeout(remaining)
    except BaseException:
        made.close()
        raise
    return made
