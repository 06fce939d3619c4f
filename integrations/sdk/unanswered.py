"""The errors of a request that got no answer: what may have happened, and whether it may be sent again."""

from __future__ import annotations

import httpx

from integrations.sdk.errors import IntegrationError, OutcomeUnknown, Timeout, Transient
from integrations.words import gettext as _


def late(request: httpx.Request, *, sent: bool, repeatable: bool, seconds: float) -> IntegrationError:
    """Return the error of an answer that did not come in time."""
    host = request.url.host
    if not sent:
        return Transient(
            _("Could not reach %(host)s within %(seconds)s s.") % {"host": host, "seconds": f"{seconds:.3g}"},
            hint=_("Is the address right and the host up?"),
        )
    message = _("%(host)s did not answer in full within %(seconds)s s.") % {"host": host, "seconds": f"{seconds:.3g}"}
    if repeatable:
        return Timeout(message, hint=_("Allow the step more time, or ask for less."))
    return _unknown(message, host)


def broken(request: httpx.Request, reason: str, *, connected: bool, sent: bool, repeatable: bool) -> IntegrationError:
    """Return the error of a connection that was not made, or broke; ``reason`` is for a person."""
    host = request.url.host
    message = _("Could not connect to %(host)s: %(reason)s.") % {"host": host, "reason": reason}
    if connected:
        message = _("The connection to %(host)s broke before its answer was complete: %(reason)s.") % {
            "host": host,
            "reason": reason,
        }
    if repeatable or not sent:
        return Transient(message, hint="" if connected else _("Is the address right and the host up?"))
    return _unknown(message, host)


def _unknown(message: str, host: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        message, hint=_("Look at %(host)s whether the request had its effect before you run it again.") % {"host": host}
    )
