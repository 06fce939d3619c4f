"""What the operator's own settings stand in for, where a step names no credential: mail by EMAIL_URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from integrations.sdk import Action

_MAIL: Final = "email.send"


@dataclass(frozen=True, kw_only=True)
class OperatorsAccount:
    """An account of the operator's, as an action gets it; nothing secret of it is in ``repr``."""

    auth: Mapping[str, Any] = field(repr=False)
    settings: Mapping[str, Any]
    secrets: tuple[str, ...] = field(repr=False)


def operators_account(action: str) -> OperatorsAccount | None:
    """Return what a step of this action works with where it names no credential, None where that is nothing.

    The operator's mail server sends for every tenant, so its mail is from EMAIL_FROM alone.
    """
    if action != _MAIL or not settings.EMAIL_HOST:
        return None
    user, password = settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD
    return OperatorsAccount(
        auth={"provider": "email", "type": "basic", "username": user, "password": password},
        settings={
            "smtp_host": settings.EMAIL_HOST,
            "smtp_port": settings.EMAIL_PORT,
            "smtp_security": "tls" if settings.EMAIL_USE_SSL else "starttls" if settings.EMAIL_USE_TLS else "none",
            "sender": settings.DEFAULT_FROM_EMAIL,
        },
        secrets=(password,) if password else (),
    )


def needs_credential(action: Action) -> bool:
    """Whether a step of the action cannot do without a credential of the tenant."""
    return action.auth_required and operators_account(action.key) is None
