"""Values of a run: kept in their column while small, in a compressed Payload row beyond, refused when too large."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator import jsongate
from runs.engine.values import MAX_BYTES, weighs_little
from runs.models import Payload

if TYPE_CHECKING:
    from orchestrator.types import JSONValue

INLINE_BYTES: Final = 64 * 1024
_FASTEST: Final = 1


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
    if weighs_little(value):
        return Split(inline=value)
    payload = large(jsongate.dumps(value), tenant_id=tenant_id, run_id=run_id)
    return Split(payload=payload) if payload else Split(inline=value)


def large(text: str, *, tenant_id: int, run_id: int) -> Payload | None:
    """Return the row for a value that is this JSON, or None when its column takes it. Raises jsongate.BadJSON."""
    data = text.encode()
    if len(data) <= INLINE_BYTES:
        return None
    if len(data) > MAX_BYTES:
        raise jsongate.BadJSON(f"the value has {len(data):,} bytes as JSON, at most {MAX_BYTES:,} are kept")
    return Payload(tenant_id=tenant_id, run_id=run_id, size=len(data), data=zlib.compress(data, _FASTEST))


def opened(payload: Payload) -> JSONValue:
    """Return the value of a Payload row. Raises jsongate.BadJSON for a row that is not what was written."""
    expander = zlib.decompressobj()
    data = expander.decompress(bytes(payload.data), MAX_BYTES + 1)
    if len(data) != payload.size:
        raise jsongate.BadJSON("the stored value is damaged")
    return json.loads(data)  # type: ignore[no-any-return]
