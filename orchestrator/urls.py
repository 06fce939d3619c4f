"""Every address of the product; only what third parties and load balancers call is loaded at the start."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from orchestrator.lazy_urls import lazily

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("runs.hook_urls")),
    path("", include("orchestrator.health_urls")),
    lazily("api/v1/", "orchestrator.api.urls", namespace="api"),
    lazily("api/", "orchestrator.api.schema_urls", namespace="api-description"),
    lazily("mcp", "orchestrator.mcp.urls", namespace="mcp"),
    lazily("admin/", "orchestrator.admin_urls", namespace="admin"),
    lazily("metrics", "orchestrator.metrics_urls", namespace="metrics"),
    lazily("", "runs.answer_urls"),
    lazily("", "orchestrator.page_urls"),
]

handler400 = "orchestrator.errorpages.bad_request"
handler403 = "orchestrator.errorpages.forbidden"
handler404 = "orchestrator.errorpages.not_found"
handler500 = "orchestrator.errorpages.server_error"
