"""From an HTTP answer to the error that says what to do: one table."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from integrations.sdk.errors import (
    AuthError,
    IntegrationError,
    NotFound,
    Permanent,
    PermissionMissing,
    RateLimited,
    Transient,
)
from integrations.words import gettext as _
from integrations.words import gettext_noop

MAX_RETRY_AFTER: Final = 3600.0
MAX_DETAIL: Final = 500

_BY_STATUS: Final[Mapping[int, type[IntegrationError]]] = {
    401: AuthError,
    403: PermissionMissing,
    404: NotFound,
    408: Transient,
    410: NotFound,
    425: Transient,
    429: RateLimited,
}
_HINTS: Final[Mapping[type[IntegrationError], str]] = {
    AuthError: gettext_noop("Connect the account again or enter a new key."),
    PermissionMissing: gettext_noop("The credential was accepted but may not do this: check its permissions."),
    NotFound: gettext_noop("Check the id or the address in the step's inputs."),
    RateLimited: gettext_noop("It takes only so many requests in a while: send fewer of them, or later."),
    Transient: gettext_noop("The other side is away or has too much to do; nothing in the step need be changed."),
}


def error_class(status: int) -> type[IntegrationError]:
    """Return the class for an answered status outside 2xx: 5xx is transient, what has no row is permanent."""
    return Transient if status >= 500 else _BY_STATUS.get(status, Permanent)


def error_for(
    response: httpx.Response,
    message: str = "",
    *,
    hint: str = "",
    detail: str = "",
    kind: type[IntegrationError] | None = None,
    pause: float | None = None,
) -> IntegrationError:
    """Return the classified error of an answer; ``message`` is the provider's own where it is fit for a person.

    ``pause`` is after how many seconds it may be asked again, where the provider says so in the body.
    """
    chosen = kind or error_class(response.status_code)
    answered = {"host": host_of(response), "status": response.status_code, "reason": response.reason_phrase}
    text = message or (_("%(host)s answered %(status)s %(reason)s") % answered).rstrip()
    hint = hint or (_(_HINTS[chosen]) if chosen in _HINTS else "")
    detail = (detail or _excerpt(response))[:MAX_DETAIL]
    if issubclass(chosen, Transient):
        seconds = retry_after(response.headers) if pause is None else _capped(pause)
        return chosen(text, retry_after=seconds, hint=hint, detail=detail)
    return chosen(text, hint=hint, detail=detail)


def host_of(response: httpx.Response) -> str:
    return response.request.url.host or _("The server")


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """Return the seconds, 0 to 3600, of ``retry-after-ms`` or ``Retry-After`` (seconds or a date), or None."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _capped(milliseconds / 1000)
    value = (headers.get("retry-after") or "").strip()
    seconds = _number(value)
    if seconds is None and value:
        seconds = _seconds_until(value, time.time() if now is None else now)
    return None if seconds is None else _capped(seconds)


def _seconds_until(date: str, now: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _capped(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _excerpt(response: httpx.Response) -> str:
    return response.content[: 4 * MAX_DETAIL].decode("utf-8", "replace")
