"""Request bodies through the JSON gate: DRF's own parser answers a deeply nested body with a 500."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

from orchestrator import jsongate


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"

    def __init__(self) -> None:
        super().__init__(_("The body has more than %(most)s bytes. Send less.") % {"most": f"{jsongate.MAX_BYTES:,}"})


class GatedJSONParser(JSONParser):
    """Parses JSON within the product's bounds of size, depth and numbers."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        data = stream.read(jsongate.MAX_BYTES + 1)
        if len(data) > jsongate.MAX_BYTES:
            raise BodyTooLarge
        try:
            return jsongate.loads(data)
        except jsongate.BadJSON as error:
            raise ParseError(_("The body is %(error)s. Correct it and send it again.") % {"error": error}) from error
