"""The API's description and its viewer."""

from __future__ import annotations

from django.urls import path

from orchestrator.api.viewer import Description, docs

urlpatterns = [
    path("schema/", Description.as_view(), name="api-schema"),
    path("docs/", docs, name="api-docs"),
]
