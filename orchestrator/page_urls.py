"""Addresses of the pages."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("orchestrator.tenants.urls")),
    path("", include("orchestrator.builder.home_urls")),
    path("", include("orchestrator.builder.urls")),
    path("", include("orchestrator.builder.publish_urls")),
    path("", include("runs.urls")),
    path("", include("orchestrator.vault.urls")),
    path("", include("orchestrator.alerts.urls")),
]
