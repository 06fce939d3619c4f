"""The API's description, and its viewer: packaged, no CDN, the one page whose policy admits inline styles."""

from __future__ import annotations

import threading
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from orchestrator.api import schema  # noqa: F401  (with it, what views say of themselves is taken up)
from orchestrator.middleware import CONTENT_SECURITY_POLICY

# The viewer writes style attributes; it shows no tenant's content.
_POLICY: Final = CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
_view = SpectacularSwaggerSplitView.as_view(url_name="api-description:api-schema")


# The generator loads its extensions while it first describes: two at once break each other.
_DESCRIBING: Final = threading.Lock()


class Description(SpectacularAPIView):
    """The API's description, made for one request at a time."""

    def _get_schema_response(self, request: Any) -> Any:
        with _DESCRIBING:
            return super()._get_schema_response(request)  # type: ignore[no-untyped-call]


def docs(request: HttpRequest) -> HttpResponse:
    """Show the API's operations."""
    response: HttpResponse = _view(request)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
