"""What a tenant has that fits a search: a bounded number of rows of each kind, found in at most two queries each.

The first query asks for what was typed as it stands. Only where it finds nothing does a second one ask for rows that
may hold it with one letter wrong, and those are then looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any, Final, TypeVar

from django.db.models import Model, Q, QuerySet

from orchestrator.builder.add_search import MIN_FUZZY, kept, score
from orchestrator.tenants.models import Tenant
from orchestrator.vault.models import Credential
from orchestrator.vault.selectors import credential_list
from orchestrator.workflows.models import Step, Workflow
from runs.models import Run
from runs.states import RunKind

MOST: Final = 6
# How many rows that may fit with a typo are looked at.
_CANDIDATES: Final = 400
# A run is called by the last digits of its number; these many of the newest are compared with them.
_NEWEST_RUNS: Final = 2_000
_LEAST_DIGITS: Final = 3

_M = TypeVar("_M", bound=Model)
Texts = Callable[[Any], tuple[str, str]]


def workflows(tenant: Tenant, wanted: Sequence[str]) -> list[Workflow]:
    """Return workflows by name, at most MOST; without a word of a search those that were changed last."""
    rows = Workflow.objects.for_tenant(tenant).only("pk", "name", "slug", "enabled", "published_version_id")
    if not wanted:
        return list(rows.order_by("-updated_at")[:MOST])
    return _found(rows, wanted, ("name", "slug"), lambda row: (row.name, row.slug))


def steps(tenant: Tenant, wanted: Sequence[str]) -> list[Step]:
    """Return steps of drafts by name, key and action, at most MOST; further words may be the workflow's."""
    if not wanted:
        return []
    rows = Step.objects.for_tenant(tenant).select_related("workflow")
    rows = rows.only("key", "name", "action", "workflow__name")
    own, everywhere = ("name", "key", "action"), ("name", "key", "action", "workflow__name")
    return _found(
        rows,
        wanted,
        everywhere,
        lambda row: (row.name or row.key, f"{row.key} {row.action} {row.workflow.name}"),
        # What only its workflow is called is no reason to show a step.
        also=lambda match: reduce(or_, (match(term, own) for term in wanted)),
    )


def credentials(tenant: Tenant, wanted: Sequence[str]) -> list[Credential]:
    """Return credentials by name and provider, at most MOST."""
    if not wanted:
        return []
    return _found(credential_list(tenant), wanted, ("name", "provider"), lambda row: (row.name, row.provider))


def runs(tenant: Tenant, query: str) -> list[Run]:
    """Return the runs of a number, given whole or by its last digits, newest first and at most MOST."""
    digits = query.removeprefix("#")
    if not (digits.isascii() and digits.isdigit() and _LEAST_DIGITS <= len(digits) < 19):
        return []
    rows = Run.objects.for_tenant(tenant)
    newest = rows.exclude(kind=RunKind.STEP).order_by("-pk").values_list("pk", flat=True)[:_NEWEST_RUNS]
    numbers = [int(digits), *(pk for pk in newest if str(pk).endswith(digits))][: MOST + 1]
    found = rows.filter(pk__in=numbers).select_related("workflow").order_by("-pk")
    return list(found.only("status", "created_at", "workflow__name")[:MOST])


def _found(
    rows: QuerySet[_M],
    wanted: Sequence[str],
    fields: Sequence[str],
    texts: Texts,
    *,
    also: Callable[[Callable[[str, Sequence[str]], Q]], Q] | None = None,
) -> list[_M]:
    """Return the best rows. ``texts`` gives a row's name and what else of it is searched."""
    for match in (_as_it_stands, _with_a_typo):
        condition = reduce(and_, (match(term, fields) for term in wanted))
        found = rows.filter(condition & also(match) if also else condition)
        if best := _best(found.order_by("pk")[:_CANDIDATES], wanted, texts):
            return best
    return []


def _best(rows: Iterable[_M], wanted: Sequence[str], texts: Texts) -> list[_M]:
    scored = []
    for row in rows:
        name, more = (text.lower() for text in texts(row))
        fit = score(wanted, name, f"{name} {more}")
        if fit is not None:
            scored.append((fit, name, row.pk, row))
    return [row for *_order, row in sorted(scored, key=lambda entry: entry[:3])[:MOST]]


def _as_it_stands(term: str, fields: Sequence[str]) -> Q:
    return reduce(or_, (Q(**{f"{field}__icontains": term}) for field in fields))


def _with_a_typo(term: str, fields: Sequence[str]) -> Q:
    parts = kept(term) if len(term) >= MIN_FUZZY else (term,)
    return reduce(or_, (_as_it_stands(part, fields) for part in parts))
