"""What Stripe takes: forms with brackets, metadata of at most fifty short texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field

from integrations.sdk import ui
from integrations.words import gettext as _

MAX_METADATA: Final = 50
_MAX_NAME: Final = 40
_MAX_TEXT: Final = 500


def bracketed(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a form: ``{"address": {"city": "Paris"}}`` is ``address[city]=Paris``. Null is left out."""
    return dict(_pairs(values))


def _pairs(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _pairs(part, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from _pairs(part, f"{name}[{at}]")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, str(value)


def _texts(value: object) -> object:
    """Numbers and booleans, as an expression may give them, are taken for the texts that Stripe keeps."""
    if not isinstance(value, dict):
        return value
    return {
        name: json.dumps(part) if isinstance(part, int | float) and not isinstance(part, str) else part
        for name, part in value.items()
    }


def _fitting(metadata: dict[str, str]) -> dict[str, str]:
    if len(metadata) > MAX_METADATA:
        raise ValueError(
            _("Stripe keeps at most %(most)s values, and these are %(count)s")
            % {"most": MAX_METADATA, "count": len(metadata)}
        )
    for name, text in metadata.items():
        if not name or len(name) > _MAX_NAME or "[" in name or "]" in name:
            raise ValueError(
                _("a name has 1 to %(most)s characters and no brackets, unlike %(given)s")
                % {"most": _MAX_NAME, "given": repr(name[:60])}
            )
        if len(text) > _MAX_TEXT:
            raise ValueError(
                _("%(name)s has %(length)s characters, Stripe keeps at most %(most)s")
                % {"name": name, "length": f"{len(text):,}", "most": _MAX_TEXT}
            )
    return metadata


Metadata = Annotated[
    dict[str, str],
    BeforeValidator(_texts),
    AfterValidator(_fitting),
    Field(
        title="Metadata",
        description="Names and values of your own, which Stripe keeps with it.",
        examples=[{"order": "77"}],
        json_schema_extra=ui(advanced=True),
    ),
]
