"""A text looked for in runs: their numbers, workflows' names, errors, what started them and what their steps gave.

The database passes over what cannot match, by the JSON as it is written; what is left is read here, since a text is
looked for in values alone and not in their names. Values large enough for rows of their own are not opened, nor are
those of the single items of loops: a loop's output holds what these gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Case, F, Q, QuerySet, TextField, When
from django.db.models.functions import Cast

from orchestrator import jsongate
from orchestrator.tenants.models import Tenant
from orchestrator.workflows.models import Workflow, WorkflowVersion
from runs.models import Run, StepRun
from runs.outline import outside_loops, tree, walk

MAX_CHARACTERS: Final = 200
_SHORT_DIGITS: Final = 6  # as many as a page shows of a run's number
_SHORT: Final = 10**_SHORT_DIGITS
_MOST_DIGITS: Final = 19
_LARGEST_ID: Final = 2**63 - 1
_VERSIONS_KEPT: Final = 2_000
# Of rows that may hold tens of kilobytes each.
_ROWS_AT_ONCE: Final = 20


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is looked for. ``id`` and ``short`` are a run's number, whole and as pages show it."""

    folded: str
    patterns: tuple[str, ...]
    workflows: frozenset[int]
    id: int | None
    short: int | None


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """The steps of a version: ``once`` are those outside of loops, by key."""

    once: tuple[str, ...]
    loops: bool


# Versions never change, so what was read of one holds; ids are never used twice.
_known: dict[int, _Steps] = {}


def text_of(tenant: Tenant, q: str) -> Text | None:
    """Return what ``q`` asks for, None for nothing; one query, for the workflows that are called so."""
    q = q.replace("\0", "").strip()[:MAX_CHARACTERS]
    if not q:
        return None
    named = Workflow.objects.for_tenant(tenant).filter(Q(name__icontains=q) | Q(slug__icontains=q))
    digits = q.removeprefix("#")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
    number = int(digits) if is_number else -1
    return Text(
        folded=q.casefold(),
        patterns=_patterns(q),
        workflows=frozenset(named.values_list("pk", flat=True)),
        id=number if _SHORT <= number <= _LARGEST_ID else None,
        short=number if len(digits) == _SHORT_DIGITS and is_number else None,
    )


def _patterns(q: str) -> tuple[str, ...]:
    """Return how JSON may hold a text. SQLite tells upper case from lower beyond ASCII; odd documents are all ASCII."""
    written = [q] if q.isascii() else [q, q.lower(), q.upper(), q.capitalize(), q.title()]
    inside = [jsongate.dumps(each)[1:-1] for each in written] + [json.dumps(q)[1:-1]]
    return tuple(dict.fromkeys(inside))


def matching(tenant: Tenant, rows: QuerySet[Run], text: Text, most: int) -> list[int]:
    """Return which of these runs hold the text, in their order, at most so many; bound ``rows`` before."""
    found: set[int] = set()
    looked: list[tuple[int, int]] = []
    for pk, version, workflow, error, trigger in _read(rows, text):
        looked.append((pk, version))
        if workflow in text.workflows or pk % _SHORT == text.short or _holds(error, text) or _started(trigger, text):
            found.add(pk)
            if len(found) == most:
                break
    if looked:
        # As a range: a thousand numbers in a statement cost more than what is asked by them.
        ends = sorted((looked[0][0], looked[-1][0]))
        found |= _by_output(tenant, rows.filter(pk__range=ends), {version for _pk, version in looked}, text)
    return [pk for pk, _version in looked if pk in found][:most]


def _read(rows: QuerySet[Run], text: Text) -> Iterable[tuple[int, int, int, str | None, str | None]]:
    """Read the runs, and of their errors and triggers those that may hold the text, as they are written."""
    return (
        rows.alias(error_text=Cast("error", TextField()), trigger_text=Cast("trigger", TextField()))
        .annotate(
            maybe_error=Case(When(_like("error_text", text), then=F("error_text")), default=None),
            maybe_trigger=Case(When(_like("trigger_text", text), then=F("trigger_text")), default=None),
        )
        .values_list("pk", "version_id", "workflow_id", "maybe_error", "maybe_trigger")
        .iterator(chunk_size=_ROWS_AT_ONCE)
    )


def _like(name: str, text: Text) -> Q:
    wanted = Q()
    for pattern in text.patterns:
        wanted |= Q(**{f"{name}__icontains": pattern})
    return wanted


def _by_output(tenant: Tenant, runs: QuerySet[Run], versions: set[int], text: Text) -> set[int]:
    """Return which runs have a step whose output holds the text."""
    known = _steps(tenant, versions)
    looping = sorted(pk for pk, steps in known.items() if steps.loops)
    found = _outputs(tenant, Q(run__in=_ids(runs.exclude(version__in=looping))), text)
    for version in looping:
        # By path, which has an index: a loop may have a hundred thousand rows.
        found |= _outputs(tenant, Q(run__in=_ids(runs.filter(version=version)), path__in=known[version].once), text)
    return found


def _ids(runs: QuerySet[Run]) -> QuerySet[Run, Any]:
    return runs.order_by().values("pk")


def _outputs(tenant: Tenant, of: Q, text: Text) -> set[int]:
    rows = StepRun.objects.for_tenant(tenant).filter(of).alias(text=Cast("output", TextField()))
    held = rows.filter(_like("text", text)).order_by().values_list("run_id", Cast("output", TextField()))
    return {run for run, output in held.iterator(chunk_size=_ROWS_AT_ONCE) if _holds(output, text)}


def _steps(tenant: Tenant, versions: Iterable[int]) -> Mapping[int, _Steps]:
    """Return the steps of these versions; those that were not read before in one query."""
    wanted = set(versions)
    # Looked up once: another thread may empty it meanwhile.
    found = {pk: steps for pk in wanted if (steps := _known.get(pk)) is not None}
    unknown = wanted - found.keys()
    if unknown:
        if len(_known) > _VERSIONS_KEPT:
            _known.clear()
        rows = WorkflowVersion.objects.for_tenant(tenant).filter(pk__in=unknown).values_list("pk", "definition")
        read = {pk: _steps_of(definition) for pk, definition in rows}
        _known.update(read)
        found |= read
    return found


def _steps_of(definition: Mapping[str, Any]) -> _Steps:
    roots = tree(definition)
    return _Steps(
        once=tuple(step.key for step in outside_loops(roots)), loops=any(step.is_loop for step in walk(roots))
    )


def _started(trigger: str | None, text: Text) -> bool:
    """Whether what came with the trigger holds the text; what else a request carries is no data of the run."""
    if trigger is None:
        return False
    document = _parsed(trigger)
    given = [document.get("body"), document.get("query")] if isinstance(document, dict) else []
    return any(text.folded in value for value in _scalars(given))


def _holds(written: str | None, text: Text) -> bool:
    return written is not None and any(text.folded in value for value in _scalars(_parsed(written)))


def _parsed(written: str) -> Any:
    try:
        return jsongate.parse(written)
    except ValueError:
        return None


def _scalars(value: Any) -> Iterator[str]:
    """Yield the texts and numbers in a value, folded."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item.casefold()
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            yield str(item)
