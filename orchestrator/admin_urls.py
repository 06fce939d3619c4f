"""Addresses of the admin, with every model that is shown in it."""

from __future__ import annotations

from orchestrator.admin import site

urlpatterns = site.get_urls()
