"""Static files as they are sent: our scripts and styles minified, at addresses that change with what is sent.

No collected copy is needed. The sources stay readable, and with ``DEBUG`` they are what is sent.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import rcssmin
import rjsmin
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import NOT_ALLOWED_RESPONSE, Response

_MINIFIERS: Final[Mapping[str, Callable[[str], str]]] = {".js": rjsmin.jsmin, ".css": rcssmin.cssmin}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One of our files as it goes out: its bytes, the same with gzip, and a digest of 10 hex digits."""

    content: bytes
    packed: bytes
    digest: str


@cache
def sent(path: Path) -> Sent | None:
    """Return what is sent instead of a file of ours, or None for one that is sent as it lies there."""
    minify = _MINIFIERS.get(path.suffix)
    ours = any(path.is_relative_to(folder) for folder in settings.STATICFILES_DIRS)
    if settings.DEBUG or not minify or not ours or "vendor" in path.parts:
        return None
    content = minify(path.read_text(encoding="utf-8")).encode()
    return Sent(content=content, packed=gzip.compress(content, mtime=0), digest=_digest(content))


class VersionedStorage(StaticFilesStorage):
    """Adds ``?v=<digest of what is sent>``, so that no browser keeps an old file after an upgrade."""

    def url(self, name: str | None) -> str:
        address = super().url(name)
        version = _now(name or "") if settings.DEBUG else _once(name or "")
        return f"{address}?v={version}" if version else address


def _now(name: str) -> str:
    found = finders.find(name)
    if not found:
        return ""
    path = Path(found)
    ours = sent(path)
    return ours.digest if ours else _digest(path.read_bytes())


_once = cache(_now)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:10]


class Files(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Serves static files; what is minified comes from memory, where it is packed once and not with each request."""

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> Any:
        found = super().get_static_file(path, url, stat_cache)
        ours = sent(Path(path))
        return _Held(ours, found.alternatives[0][2]) if ours else found


class _Held:
    """A file in memory, for whitenoise in the place of one on the disk; ``headers`` are those of its source."""

    def __init__(self, file: Sent, headers: list[tuple[str, str]]) -> None:
        kept = [(name, value) for name, value in headers if name in ("Content-Type", "Cache-Control", "Last-Modified")]
        kept += [("Vary", "Accept-Encoding"), ("ETag", f'"{file.digest}"')]
        self.etag = file.digest
        self.unchanged = Response(HTTPStatus.NOT_MODIFIED, kept[1:], None)
        self.plain = (file.content, [*kept, ("Content-Length", str(len(file.content)))])
        length = ("Content-Length", str(len(file.packed)))
        self.packed = (file.packed, [*kept, ("Content-Encoding", "gzip"), length])

    def get_response(self, method: str, request: Mapping[str, str]) -> Response:
        if method not in ("GET", "HEAD"):
            return NOT_ALLOWED_RESPONSE
        if self.etag in request.get("HTTP_IF_NONE_MATCH", ""):
            return self.unchanged
        content, headers = self.packed if "gzip" in request.get("HTTP_ACCEPT_ENCODING", "") else self.plain
        return Response(HTTPStatus.OK, headers, io.BytesIO(content) if method == "GET" else None)
