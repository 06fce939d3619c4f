"""Values of a run: kept in their column while small, in a compressed Payload row beyond, refused when too large."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator import jsongate
from runs.engine.values import INLINE_BYTES, compressed, encoded
from runs.models import Payload

if TYPE_CHECKING:
    from orchestrator.types import JSONValue


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where a value goes: ``inline`` into its column, or ``payload`` into a row that the ``…_ref`` column names."""

    inline: JSONValue = None
    payload: Payload | None = None

    @property
    def ref(self) -> int | None:
        return self.payload.pk if self.payload else None


def split(value: JSONValue, *, tenant_id: int, run_id: int) -> Split:
    """Return where ``value`` is to be kept. Raises jsongate.BadJSON for one over MAX_BYTES."""
    _, packed = encoded(value)
    if packed is None:
        return Split(inline=value)
    return Split(payload=Payload(tenant_id=tenant_id, run_id=run_id, size=packed.size, data=packed.data))


def large(text: str, *, tenant_id: int, run_id: int) -> Payload | None:
    """Return the row for a value that is this JSON, or None when its column takes it. Raises jsongate.BadJSON."""
    data = text.encode()
    if len(data) <= INLINE_BYTES:
        return None
    return Payload(tenant_id=tenant_id, run_id=run_id, size=len(data), data=compressed(data))


def opened(payload: Payload) -> JSONValue:
    """Return the value of a Payload row. Raises jsongate.BadJSON for a row that is not what was written."""
    data = zlib.decompressobj().decompress(payload.data, payload.size + 1)
    if len(data) != payload.size:
        raise jsongate.BadJSON("the stored value is damaged")
    return jsongate.parse(data)
