"""The viewer of the API's description: packaged, no CDN. The one page whose policy admits inline styles."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from drf_spectacular.views import SpectacularSwaggerSplitView

from orchestrator.middleware import CONTENT_SECURITY_POLICY

# The viewer writes style attributes; it shows no tenant's content.
_POLICY: Final = CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_view = SpectacularSwaggerSplitView.as_view(url_name="api-description:api-schema")


def docs(request: HttpRequest) -> HttpResponse:
    """Show the API's operations."""
    response: HttpResponse = _view(request)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
