"""Every address of the product."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from orchestrator.admin import site

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("runs.hook_urls")),
    path("", include("orchestrator.health_urls")),
    path("api/v1/", include("orchestrator.api.urls")),
    path("api/", include("orchestrator.api.schema_urls")),
    path("admin/", site.urls),
    path("", include("orchestrator.tenants.urls")),
    path("", include("orchestrator.builder.home_urls")),
    path("", include("orchestrator.builder.urls")),
    path("", include("orchestrator.builder.publish_urls")),
    path("", include("runs.urls")),
    path("", include("orchestrator.vault.urls")),
]

handler400 = "orchestrator.errorpages.bad_request"
handler403 = "orchestrator.errorpages.forbidden"
handler404 = "orchestrator.errorpages.not_found"
handler500 = "orchestrator.errorpages.server_error"
