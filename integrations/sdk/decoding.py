"""Reading a body with a cap on its decoded size: a few kilobytes of gzip can stand for gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from typing import Final

from integrations.sdk.errors import Permanent
from integrations.words import gettext as _

ACCEPT_ENCODING: Final = "gzip, deflate"
_GZIP_WBITS: Final = 31
# A body from which on others may have to be handled first, and what waits until so many bytes may be.
LARGE_BODY: Final = 4 * 1024 * 1024
Room = Callable[[int], Awaitable[None]]
_LAYERS: Final = 2
_MEMBERS: Final = 64
_OF_THE_ENCODED_BODY: Final = frozenset({b"content-encoding", b"content-length"})


class BodyTooLarge(Permanent):
    """The answer is larger than the step may take."""

    def __init__(self, limit: int, size: int | None = None) -> None:
        told = _("The answer is larger than %(limit)s bytes.") % {"limit": f"{limit:,}"}
        if size is not None:
            told = _("The answer has %(size)s bytes, at most %(limit)s are taken.") % {
                "size": f"{size:,}",
                "limit": f"{limit:,}",
            }
        super().__init__(told, hint=_("Ask for less, or page through the results."))


class _Inflater:
    """One layer of gzip or deflate, of which never more than the asked-for bytes come out."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._started = gzip
        self._members = 1
        self._object = zlib.decompressobj(_GZIP_WBITS if gzip else zlib.MAX_WBITS)

    def feed(self, data: bytes, limit: int) -> bytes:
        """Return the decoded bytes. Raises BodyTooLarge past ``limit`` and zlib.error on a broken stream."""
        out = bytearray()
        while data:
            if self._object.eof and not self._next_member():
                break
            out += self._inflate(data, limit + 1 - len(out))
            if len(out) > limit:
                raise BodyTooLarge(limit)
            data = self._object.unused_data or self._object.unconsumed_tail
        return bytes(out)

    def _next_member(self) -> bool:
        """gzip allows streams one after the other; thousands of empty ones would cost time and give nothing."""
        self._members += 1
        if not self._gzip or self._members > _MEMBERS:
            return False
        self._object = zlib.decompressobj(_GZIP_WBITS)
        return True

    def _inflate(self, data: bytes, limit: int) -> bytes:
        try:
            decoded = self._object.decompress(data, limit)
        except zlib.error:
            if self._started:
                raise
            # "deflate" means zlib's wrapper, but some servers send the bare stream.
            self._object = zlib.decompressobj(-zlib.MAX_WBITS)
            decoded = self._object.decompress(data, limit)
        self._started = True
        return decoded


def _layers(content_encoding: str) -> list[_Inflater]:
    """Return the layers in the order of decoding. Raises Permanent on an encoding that was not asked for."""
    names = [name.strip().lower() for name in content_encoding.split(",") if name.strip()]
    names = [name for name in reversed(names) if name != "identity"]
    if len(names) > _LAYERS or not {"gzip", "x-gzip", "deflate"}.issuperset(names):
        raise Permanent(
            _("The answer came in the encoding %(encoding)r, which nobody asked for.")
            % {"encoding": content_encoding[:80]}
        )
    return [_Inflater(gzip=name != "deflate") for name in names]


async def read_decoded(
    chunks: AsyncIterable[bytes], content_encoding: str, max_bytes: int, room: Room | None = None
) -> bytes:
    """Return the decoded body, of which one that becomes large waits for ``room``.

    Raises BodyTooLarge past ``max_bytes``, raw or decoded, Permanent on a broken one.
    """
    layers = _layers(content_encoding)
    body = bytearray()
    received = 0
    async for chunk in chunks:
        received += len(chunk)
        body += _decoded(layers, chunk, max_bytes)
        if len(body) > max_bytes or received > max_bytes:
            raise BodyTooLarge(max_bytes)
        if room is not None and len(body) >= LARGE_BODY:
            # How large it becomes nobody knows.
            await room(max_bytes)
            room = None
    return bytes(body)


def _decoded(layers: list[_Inflater], data: bytes, limit: int) -> bytes:
    try:
        for layer in layers:
            data = layer.feed(data, limit)
    except zlib.error:
        raise Permanent(_("The answer's compressed body is broken.")) from None
    return data


def decoded_headers(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers as they fit the decoded body: httpx would decode it a second time."""
    if not any(name.lower() == b"content-encoding" for name, _value in headers):
        return list(headers)
    return [(name, value) for name, value in headers if name.lower() not in _OF_THE_ENCODED_BODY]
