"""Runs as lines of JSON: whole documents, as the API gives them, a page at a time.

A page is made as a whole and no larger than MOST_BYTES, or one document: the web server then sends it while its thread
goes on to other requests. A stream would hold one of a few threads, and on SQLite a reader's snapshot, for as long as
whoever reads is slow; and its end could not say in a header where to go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rest_framework.utils.encoders import JSONEncoder

from orchestrator.tenants.models import Tenant
from runs.models import Run
from runs.selectors import RunFilter, run_document, run_list

CONTENT_TYPE: Final = "application/x-ndjson"
PAGE_RUNS: Final = 100
MOST_RUNS: Final = 500
MOST_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ExportPage:
    """``body`` is one document a line; ``last`` is the run to go on below, None when there are no more."""

    body: bytes
    last: int | None


def export_page(tenant: Tenant, wanted: RunFilter, *, below: int | None = None, limit: int = PAGE_RUNS) -> ExportPage:
    """Return the documents of the newest runs that a filter finds, below the id ``below``."""
    rows = run_list(tenant, wanted)
    ids = list((rows if below is None else rows.filter(pk__lt=below)).values_list("pk", flat=True)[: limit + 1])
    body, last = bytearray(), None
    for pk, line in lines(tenant, ids[:limit]):
        if body and len(body) + len(line) > MOST_BYTES:
            return ExportPage(body=bytes(body), last=last)
        body += line
        last = pk
    return ExportPage(body=bytes(body), last=ids[limit - 1] if len(ids) > limit else None)


def lines(tenant: Tenant, ids: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Yield id and document of each run that is still there: no more than one is in memory."""
    for pk in ids:
        run = Run.objects.for_tenant(tenant).select_related("version").filter(pk=pk).first()
        if run is not None:
            yield pk, json.dumps(run_document(run), cls=JSONEncoder).encode() + b"\n"
