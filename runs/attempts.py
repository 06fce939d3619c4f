"""Attempts in the order they began, read by an index however many a run has.

A run's rows lie among those of all others by id, and a loop may make a hundred thousand of them. So what runs once is
found by its paths, which the version's document tells, and what runs in loops by the index of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from django.db.models import F, Q, QuerySet

from runs.models import Run, StepRun
from runs.outline import StepOutline, outside_loops, tree, walk
from runs.paths import is_item, is_path, items_around, key_of_path, prefix_of

# The order of ids, but none that a database could be tempted to find by walking through all of a run's iterations.
IN_ORDER: Final = F("id") + 0
Narrow = Callable[[QuerySet[StepRun]], QuerySet[StepRun]]


def attempts_after(
    run: Run, *, cursor: int = 0, path: str | None = None, limit: int, narrow: Narrow = lambda rows: rows
) -> list[StepRun]:
    """Return up to ``limit`` attempts whose id is above ``cursor``, oldest first; two queries at the most.

    ``path`` is a step's, and then what its lanes hold comes with it, or that of one iteration, like ``each[3]``.
    ``narrow`` leaves out columns.
    """
    found = [row for rows in _parts(run, path) for row in narrow(rows).filter(pk__gt=cursor)[:limit].iterator()]
    return sorted(found, key=lambda row: row.pk)[:limit]


def _parts(run: Run, path: str | None) -> Iterator[QuerySet[StepRun]]:
    """Yield the rows in parts that each have an index in the order of ids, or are few."""
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run).order_by("id")
    steps = tree(run.version.definition)
    if path is None:
        if not any(step.is_loop for step in walk(steps)):
            yield rows
            return
        # A test of one step inside a loop has the path that the step would have outside of it.
        yield rows.filter(path__in=[step.key for step in walk(steps)])
        yield rows.filter(item__isnull=False)
        return
    step = next((step for step in walk(steps) if step.key == key_of_path(path)), None)
    if step is None or not is_path(path):
        yield rows.filter(path=path)
    elif is_item(path):
        yield _in_item(rows, step, path)
    else:
        yield from _under(rows, step, prefix_of(path))


def _in_item(rows: QuerySet[StepRun], loop: StepOutline, path: str) -> QuerySet[StepRun]:
    around, item = items_around(path)[-1]
    if any(step.is_loop for step in walk(loop.body)):
        return rows.filter(Q(loop=around, item=item) | Q(loop__startswith=f"{path}."), item__isnull=False)
    return rows.filter(loop=around, item=item).order_by(IN_ORDER)


def _under(rows: QuerySet[StepRun], step: StepOutline, prefix: str) -> Iterator[QuerySet[StepRun]]:
    once = list(outside_loops([step]))
    yield rows.filter(path__in=[f"{prefix}{inner.key}" for inner in once])
    loops = [inner for inner in once if inner.is_loop]
    if not loops:
        return
    wanted = Q(loop__in=[f"{prefix}{loop.key}" for loop in loops])
    for loop in loops:
        if any(inner.is_loop for inner in walk(loop.body)):
            wanted |= Q(loop__startswith=f"{prefix}{loop.key}[")
    yield rows.filter(wanted, item__isnull=False)
