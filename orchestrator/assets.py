"""Addresses of static files that change with their content, so that no browser keeps an old one after an upgrade."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage


class VersionedStorage(StaticFilesStorage):
    """Adds ``?v=<digest>``; needs no collected copy of the files, as the hashed names of Django's own would."""

    def url(self, name: str | None) -> str:
        address = super().url(name)
        version = _now(name or "") if settings.DEBUG else _once(name or "")
        return f"{address}?v={version}" if version else address


def _now(name: str) -> str:
    path = finders.find(name)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:10] if path else ""


_once = cache(_now)
