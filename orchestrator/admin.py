"""The admin site, with every model that is shown in it.

The composition root of the admin: each app's model admins live in the app and register on ``site``.
"""

from __future__ import annotations

from orchestrator.tenants.admin_base import site

__all__ = ["site"]
