"""Answers as JSON, whatever text is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rest_framework.renderers import JSONRenderer

NDJSON: Final = "application/x-ndjson"


class _EscapedJSONRenderer(JSONRenderer):
    ensure_ascii = True


class AnyTextJSONRenderer(JSONRenderer):
    """Renders JSON; a text with half a surrogate pair, which UTF-8 lacks and JSON has, is answered escaped."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return super().render(data, accepted_media_type, renderer_context)
        except UnicodeEncodeError:
            return _EscapedJSONRenderer().render(data, accepted_media_type, renderer_context)


class NdjsonRenderer(AnyTextJSONRenderer):
    """Lets callers of a file ask for what they get; an error is one line of JSON, too."""

    media_type = NDJSON
    format = "ndjson"
