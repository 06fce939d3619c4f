"""The admin site, with every model that is shown in it.

The composition root of the admin: each app's model admins live in the app and register on ``site``; those of
``runs`` also put "Run now" onto the workflows.
"""

from __future__ import annotations

from orchestrator.tenants import admin as tenants
from orchestrator.tenants.admin_site import site
from orchestrator.vault import admin as vault
from orchestrator.workflows import admin as workflows
from runs import admin as runs

__all__ = ["runs", "site", "tenants", "vault", "workflows"]
