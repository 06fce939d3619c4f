"""The address of the Model Context Protocol."""

from __future__ import annotations

from django.urls import path

from orchestrator.mcp.views import receive

app_name = "mcp"

urlpatterns = [path("", receive, name="receive")]
