"""The admin site, with every model that is shown in it.

The composition root of the admin: each app's model admins live in the app and register on ``site``; those of
``runs`` also put "Run now" onto the workflows.
"""

from __future__ import annotations

import orchestrator.tenants.admin  # noqa: F401
import orchestrator.vault.admin  # noqa: F401
import orchestrator.workflows.admin  # noqa: F401
import runs.admin  # noqa: F401
from orchestrator.tenants.admin_site import site

__all__ = ["site"]
