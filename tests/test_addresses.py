"""Every address that a page or a view names is one that the product has; a wrong one is a 500."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.urls import get_resolver

ROOT = Path(settings.BASE_DIR)
_IN_TEMPLATES = re.compile(r"""\{%\s*url\s+['"]([\w-]+)['"]""")
_IN_CODE = re.compile(r"""\b(?:reverse|reverse_lazy|redirect|resolve_url)\(\s*['"]([\w-]+)['"]""")


def _named() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "templates").rglob("*.html"):
        yield from ((name, str(path.relative_to(ROOT))) for name in _IN_TEMPLATES.findall(path.read_text()))
    for package in ("orchestrator", "runs", "integrations"):
        for path in (ROOT / package).rglob("*.py"):
            yield from ((name, str(path.relative_to(ROOT))) for name in _IN_CODE.findall(path.read_text()))


def test_every_address_that_is_named_exists() -> None:
    known = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    named = list(_named())
    assert len(named) > 50, "the search finds nothing any more"
    assert [each for each in named if each[0] not in known] == []
