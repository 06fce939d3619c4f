"""What a channel's settings may be: each value checked, every problem named with its field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from integrations.sdk.errors import IntegrationError
from integrations.sdk.redirects import check_url
from orchestrator.alerts.kinds import ChannelKind, Event
from orchestrator.alerts.models import LEAST_QUIET, MOST_QUIET
from orchestrator.errors import Invalid, Problem
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import AuthType, Credential
from orchestrator.workflows.models import Workflow

MOST_EMAILS: Final = 20
MOST_WORKFLOWS: Final = 500
_URL_CHARACTERS: Final = 2_000
_COMMON: Final = frozenset({"name", "is_on", "events", "workflows", "quiet_minutes"})
FIELDS: Final[Mapping[ChannelKind, frozenset[str]]] = {
    ChannelKind.EMAIL: _COMMON | {"emails"},
    ChannelKind.WEBHOOK: _COMMON | {"url"},
    ChannelKind.SLACK: _COMMON | {"url", "credential", "slack_channel"},
}


class _Wrong(Exception):
    """A value that is not taken; the message says what is."""


def checked(tenant: Tenant, kind: ChannelKind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they are kept; ``credential`` becomes the row, or None.

    Raises Invalid with a problem for every value that is not taken.
    """
    found: dict[str, Any] = {}
    problems = [
        Problem(path=name, message=_("A channel of this kind has no such setting."), code="unknown")
        for name in values.keys() - FIELDS[kind]
    ]
    for name, value in values.items():
        if name in FIELDS[kind]:
            try:
                found[name] = _CHECKS[name](tenant, value)
            except _Wrong as error:
                problems.append(Problem(path=name, message=str(error), code="invalid"))
    if problems:
        raise refused(problems)
    return found


def refused(problems: list[Problem]) -> Invalid:
    """Return the error of settings that are not taken; the first problem is what is said at the top."""
    return Invalid(_("Nothing was saved: %(why)s") % {"why": problems[0].message}, problems=problems)


def _name(_tenant: Tenant, value: Any) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > 100 or not name.isprintable():
        raise _Wrong(_("Use 1 to 100 visible characters."))
    return name


def _is_on(_tenant: Tenant, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(_("It is on or off."))
    return value


def _events(_tenant: Tenant, value: Any) -> list[str]:
    wanted = set(value) if _are_texts(value) else set()
    if not wanted or wanted - set(Event):
        raise _Wrong(_("Choose at least one of: %(known)s.") % {"known": ", ".join(Event)})
    return [event.value for event in Event if event in wanted]


def _workflows(tenant: Tenant, value: Any) -> list[int] | None:
    if value is None:
        return None
    texts = value if _are_texts(value) else ()
    ids = {int(each) for each in texts if each.isascii() and each.isdigit() and len(each) < 20}
    if not ids or len(ids) != len(set(value)) or len(ids) > MOST_WORKFLOWS:
        raise _Wrong(_("Choose at least one workflow of this tenant, or all of them."))
    known = set(Workflow.objects.for_tenant(tenant).filter(pk__in=_storable(ids)).values_list("pk", flat=True))
    if known != ids:
        raise _Wrong(_("One of these workflows does not exist in this tenant."))
    return sorted(ids)


def _storable(ids: Collection[int]) -> list[int]:
    return [each for each in ids if each < 2**63]


def _quiet_minutes(_tenant: Tenant, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not LEAST_QUIET <= value <= MOST_QUIET:
        raise _Wrong(_("Use %(least)d to %(most)d minutes.") % {"least": LEAST_QUIET, "most": MOST_QUIET})
    return value


def _emails(_tenant: Tenant, value: Any) -> list[str]:
    addresses = list(dict.fromkeys(each.strip() for each in value)) if _are_texts(value) else []
    if not addresses or len(addresses) > MOST_EMAILS:
        raise _Wrong(_("Enter 1 to %(most)d addresses, one a line.") % {"most": MOST_EMAILS})
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            raise _Wrong(_("%(address)s is no mail address.") % {"address": address[:100]}) from None
        if not address.isascii():
            raise _Wrong(_("%(address)s has letters that not every mail server takes.") % {"address": address[:100]})
    return addresses


def _url(_tenant: Tenant, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    wrong = _Wrong(_("Enter an address that starts with https:// or http://."))
    if not text.isascii() or not text.isprintable() or len(text) > _URL_CHARACTERS or "#" in text:
        raise wrong
    try:
        parts = urlsplit(text)
        _port = parts.port
        check_url(httpx.URL(text))
    except (ValueError, httpx.InvalidURL, IntegrationError):
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise wrong
    return text


def _credential(tenant: Tenant, value: Any) -> Credential | None:
    if value in (None, ""):
        return None
    rows = (
        Credential.objects.for_tenant(tenant)
        .filter(provider="slack")
        .exclude(auth_type=AuthType.API_KEY)
        .defer("sealed")
    )
    name = value if isinstance(value, str) and value.isprintable() else ""
    found = rows.filter(name=name).first()
    if found is None:
        raise _Wrong(_("Choose a Slack credential of this tenant."))
    return found


def _slack_channel(_tenant: Tenant, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else "\n"
    if len(text) > 80 or not (text.isprintable() or not text):
        raise _Wrong(_("Enter a channel like #alerts, or its id."))
    return text


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) <= 1_000 and all(isinstance(each, str) for each in value)


_CHECKS: Final[Mapping[str, Callable[[Tenant, Any], Any]]] = {
    "name": _name,
    "is_on": _is_on,
    "events": _events,
    "workflows": _workflows,
    "quiet_minutes": _quiet_minutes,
    "emails": _emails,
    "url": _url,
    "credential": _credential,
    "slack_channel": _slack_channel,
}
