"""Attempts in the order they began, read by an index however many a run has.

A run's rows lie among those of all others by id, and a loop may make a hundred thousand of them. So what runs once is
found by its paths, which the version's document tells, and what runs in loops by the index of its own.
"""

from __future__ import annotations

from typing import Final

from django.db.models import BigIntegerField, ExpressionWrapper, F, Q

from runs.models import Run, StepRun
from runs.outline import StepOutline, outside_loops, tree, walk
from runs.paths import is_item, is_path, items_around, key_of_path, prefix_of

# The order of ids, but none that a database could be tempted to find by walking through the rows of other runs.
IN_ORDER: Final = ExpressionWrapper(F("id") + 0, output_field=BigIntegerField())


def attempts_after(run: Run, *, cursor: int = 0, path: str | None = None, limit: int) -> list[StepRun]:
    """Return up to ``limit`` attempts whose id is above ``cursor``, oldest first; two queries at the most.

    ``path`` is a step's, and then what its lanes hold comes with it, or that of one iteration, like ``each[3]``.
    """
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run)
    few, many = rows_split(run, path)
    found: list[StepRun] = []
    if few is not None:
        found += rows.filter(few).annotate(place=IN_ORDER).filter(place__gt=cursor).order_by("place")[:limit]
    if many is not None:
        found += rows.filter(many, item__isnull=False, pk__gt=cursor).order_by("id")[:limit]
    return sorted(found, key=lambda row: row.pk)[:limit]


def rows_split(run: Run, path: str | None) -> tuple[Q | None, Q | None]:
    """Return what finds the few rows that are asked for, and what finds the many, which are in loops.

    The many are to be narrowed to those with an item as well, for the sake of their index.
    """
    steps = list(walk(tree(run.version.definition)))
    if path is None:
        if not any(step.is_loop for step in steps):
            return Q(), None
        # A test of one step inside a loop has the path that the step would have outside of it.
        return Q(path__in=[step.key for step in steps]), Q()
    step = next((step for step in steps if step.key == key_of_path(path)), None)
    if step is None or not is_path(path):
        return Q(path=path), None
    return _in_item(step, path) if is_item(path) else _under(step, prefix_of(path))


def _in_item(loop: StepOutline, path: str) -> tuple[Q | None, Q | None]:
    around, item = items_around(path)[-1]
    holds_loops = any(step.is_loop for step in walk(loop.body))
    return Q(loop=around, item=item), Q(loop__startswith=f"{path}.") if holds_loops else None


def _under(step: StepOutline, prefix: str) -> tuple[Q | None, Q | None]:
    once = list(outside_loops([step]))
    many = Q()
    for loop in once:
        if loop.is_loop:
            many |= Q(loop=f"{prefix}{loop.key}")
            if any(inner.is_loop for inner in walk(loop.body)):
                many |= Q(loop__startswith=f"{prefix}{loop.key}[")
    return Q(path__in=[f"{prefix}{inner.key}" for inner in once]), many or None
