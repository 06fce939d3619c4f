"""Values of a run: kept in their column while small, in a compressed Payload row beyond, refused when too large."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db.models import BinaryField, QuerySet, Value
from django.db.models.functions import Greatest, Length, Substr

from integrations.words import gettext as _
from orchestrator import jsongate
from orchestrator.large import LARGE_BYTES, Large, Stored
from runs.engine.values import INLINE_BYTES, compressed, kept, kept_large
from runs.models import Payload

if TYPE_CHECKING:
    from orchestrator.types import JSONValue


# What a run starts from is unfolded so far: its steps, each one's outcome, and what that has.
SEED_LEVELS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Split:
    """Where a value goes: ``inline`` into its column, or ``payload`` into a row that the ``…_ref`` column names."""

    inline: JSONValue = None
    payload: Payload | None = None

    @property
    def ref(self) -> int | None:
        return self.payload.pk if self.payload else None


def split(value: JSONValue, *, tenant_id: int, run_id: int, most: int = jsongate.MAX_VALUE_BYTES) -> Split:
    """Return where ``value`` is to be kept. Raises jsongate.BadJSON for more than ``most`` bytes, and for no JSON."""
    found = kept(value, lambda cleaned: cleaned)
    if found is None:
        stored = kept_large(value, lambda cleaned: cleaned, most=most).stored
        return Split(payload=Payload(tenant_id=tenant_id, run_id=run_id, size=stored.size, data=stored.data))
    value, packed = found
    if packed is None:
        return Split(inline=value)
    return Split(payload=Payload(tenant_id=tenant_id, run_id=run_id, size=packed.size, data=packed.data))


def large(text: str, *, tenant_id: int, run_id: int) -> Payload | None:
    """Return the row for a value from outside that is this JSON, or None when its column takes it. Raises BadJSON."""
    data = text.encode()
    if len(data) <= INLINE_BYTES:
        return None
    return Payload(tenant_id=tenant_id, run_id=run_id, size=len(data), data=compressed(data, most=jsongate.MAX_BYTES))


@dataclass(frozen=True, kw_only=True)
class PayloadSource:
    """Where a large value is read from once it is written; ``ref`` is its row."""

    tenant_id: int
    run_id: int
    ref: int

    def read(self, start: int, length: int) -> bytes:
        begin = Value(start + 1) if start >= 0 else Greatest(Value(1), Length("data") + Value(start + 1))
        part = Substr("data", begin, Value(length), output_field=BinaryField())
        found: bytes = self._asked(self._rows().annotate(part=part).values_list("part"))[0]
        return found

    def whole(self) -> tuple[bytes, int]:
        data, size = self._asked(self._rows().values_list("data", "size"))
        return data, size

    def _rows(self) -> QuerySet[Payload]:
        return Payload.objects.for_tenant(self.tenant_id).filter(run=self.run_id, pk=self.ref)

    def _asked(self, rows: Any) -> tuple[Any, ...]:
        """Return the one row, with its bytes as such. Raises LookupError when it is gone."""
        found = rows.first()
        if found is None:
            raise LookupError(f"the value {self.ref} of run {self.run_id} is not there any more")
        return (bytes(found[0]), *found[1:])


def stored_at(*, tenant_id: int, run_id: int, ref: int) -> Any:
    """Return the value of a Payload row, of which nothing is read before somebody looks into it."""
    return Large.at(PayloadSource(tenant_id=tenant_id, run_id=run_id, ref=ref))


def lean(payload: Payload) -> Any:
    """Return the value of a Payload row, as a Large where it is large: its bytes are in memory, its objects are not.

    Raises jsongate.BadJSON for a row that is not what was written.
    """
    if payload.size <= LARGE_BYTES:
        return opened(payload)
    stored = Stored(data=bytes(payload.data), size=payload.size)
    stored.learn()
    # Written before there were any that are cut.
    return opened(payload) if stored.root is None else Large(stored)


def unfolded(value: Any, levels: int) -> Any:
    """Return an object that may be large as one whose members may be, and so on for so many levels."""
    members = value.members() if isinstance(value, Large) else value.items() if isinstance(value, dict) else None
    if members is None or (isinstance(value, Large) and not value.is_object):
        return value
    return {name: unfolded(member, levels - 1) if levels > 1 else member for name, member in members}


def opened(payload: Payload) -> JSONValue:
    """Return the value of a Payload row. Raises jsongate.BadJSON for a row that is not what was written."""
    data = zlib.decompressobj().decompress(payload.data, payload.size + 1)
    if len(data) != payload.size:
        raise jsongate.BadJSON(_("the stored value is damaged"))
    return jsongate.parse(data)
