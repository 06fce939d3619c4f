"""What Prometheus asks."""

from __future__ import annotations

from django.urls import path

from orchestrator import metrics

urlpatterns = [
    path("", metrics.metrics, name="metrics"),
]
