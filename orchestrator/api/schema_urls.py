"""The API's description and its viewer."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularAPIView

from orchestrator.api.viewer import docs

urlpatterns = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", docs, name="api-docs"),
]
