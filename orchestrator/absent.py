"""Optional packages that libraries load wherever they are installed, though nobody here uses what they add.

Such a library asks by ``try: import …`` and does without what is absent. Megabytes are absent while it is loaded;
everybody else, and every other thread, finds them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

# structlog would draw on terminals, django-q2 tell of its workers, httpx be a command.
AT_SETUP: Final = ("rich", "prometheus_client", "httpx._main")
# Django REST framework knows PostgreSQL's own fields, with the driver, and has a test client and pages to browse.
IN_PARTS: Final = ("django.contrib.postgres.fields", "requests", "pygments", "rich", "httpx._main")

_absent: ContextVar[frozenset[str]] = ContextVar("absent", default=frozenset())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in _absent.get():
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


_finder: Final = _Finder()


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Have modules be absent for who imports them in this ``with`` block, unless they are loaded already."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    token = _absent.set(frozenset(names))
    try:
        yield
    finally:
        _absent.reset(token)
