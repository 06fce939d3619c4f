"""Connections to hosts that speak no HTTP, under the guard of requests: each address is checked as it is used."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeAlias

import httpx

from integrations.sdk.egress import AddressRefused, EgressPolicy, host_is_listed
from integrations.sdk.errors import InputError, Transient
from integrations.words import gettext as _

CONNECT_SECONDS: Final = 10.0
_LEAST_SECONDS: Final = 0.1
_SCHEME: Final = "tcp"

# Connects to a host and a port. Blocks. Raises InputError, AddressRefused and Transient.
Dial: TypeAlias = Callable[[str, int], socket.socket]


def dialler(policy: EgressPolicy, *, egress_allow: Sequence[str], deadline: datetime) -> Dial:
    """Return what connects for one attempt; ``egress_allow`` narrows the hosts that may be reached."""
    return partial(_dial, policy, tuple(egress_allow), deadline)


def _dial(policy: EgressPolicy, egress_allow: Sequence[str], deadline: datetime, host: str, port: int) -> socket.socket:
    name = _checked(host, port)
    if egress_allow and not host_is_listed(httpx.URL(scheme=_SCHEME, host=name, port=port), egress_allow):
        raise AddressRefused(
            _("%(name)s is not among the hosts that this workspace may reach.") % {"name": name},
            hint=_("An administrator of the workspace can add it to its list."),
        )
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Transient(
            _("Could not connect to %(name)s: its name is not known.") % {"name": name}, hint=_("Is the address right?")
        ) from None
    is_trusted = policy.trusts_host(name, port)
    reason = _("nothing listens there")
    refused: str | None = None
    for family, kind, protocol, _name, address in found:
        refusal = None if is_trusted else policy.refusal(str(address[0]), port)
        if refusal is not None:
            refused = refusal
            continue
        try:
            return _connected(socket.socket(family, kind, protocol), address, deadline)
        except TimeoutError:
            reason = _("no connection in time")
        except OSError as error:
            reason = _("it was reset") if isinstance(error, ConnectionResetError) else reason
    if refused is not None:
        raise AddressRefused(
            _("%(name)s leads to an address that steps may not reach (%(why)s).") % {"name": name, "why": _(refused)},
            hint=_("Steps reach public addresses only; an operator can allow others with EGRESS_ALLOW."),
        )
    raise Transient(
        _("Could not connect to %(name)s: %(reason)s.") % {"name": name, "reason": reason},
        hint=_("Is the address right and the host up?"),
    )


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
