"""Which operation needs which role: the one table, held against every service by a test."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from orchestrator.tenants.access import Actor, require
from orchestrator.tenants.models import Role

MINIMUM_ROLE: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "workflow.read": Role.VIEWER,
        "workflow.edit": Role.EDITOR,
        "workflow.publish": Role.EDITOR,
        "workflow.switch": Role.EDITOR,
        "workflow.delete": Role.EDITOR,
        "trigger.address.read": Role.EDITOR,
        "run.read": Role.VIEWER,
        "run.start": Role.OPERATOR,
        "run.cancel": Role.OPERATOR,
        "run.rerun": Role.OPERATOR,
        "run.resolve": Role.OPERATOR,
        "run.delete": Role.EDITOR,
        "run.test": Role.EDITOR,
        "view.own": Role.VIEWER,
        "view.edit": Role.ADMIN,
        "credential.read": Role.VIEWER,
        "credential.edit": Role.EDITOR,
        "credential.check": Role.EDITOR,
        "variable.edit": Role.EDITOR,
        "alert.read": Role.VIEWER,
        "alert.edit": Role.ADMIN,
        "member.read": Role.VIEWER,
        "member.edit": Role.ADMIN,
        "owner.edit": Role.OWNER,
        "factor.reset": Role.ADMIN,
        "factor.require": Role.OWNER,
        "sso.read": Role.ADMIN,
        "sso.edit": Role.OWNER,
        "invitation.read": Role.ADMIN,
        "invitation.edit": Role.ADMIN,
        "token.own": Role.VIEWER,
        "token.edit": Role.ADMIN,
        "audit.read": Role.ADMIN,
        "tenant.edit": Role.ADMIN,
    }
)


def require_operation(actor: Actor, operation: str) -> None:
    """Raise Forbidden unless the actor's role covers ``operation``, a key of MINIMUM_ROLE."""
    require(actor, MINIMUM_ROLE[operation])
