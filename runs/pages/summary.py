"""What a line of the list of runs says of the run's data: the values that its workflow's settings name.

The settings are those of the workflow as they are now, not of the version that ran: whoever chooses other values sees
them in the runs that are there already. They are looked up when a page is shown, in two queries at the most however
many runs it has. What is not there is left out, and so is what lies in a value that a list does not read: a trigger or
an output of more than 16,000 characters, and what a run took over from an earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from django.db.models import Case, F, QuerySet, When
from django.db.models.functions import Length

from orchestrator.fields import JSONTextField
from orchestrator.flow.compiler import Reference
from orchestrator.flow.secrets import hidden
from orchestrator.flow.summary import MOST_PATHS, summary_label, summary_reference
from orchestrator.tenants.models import Tenant
from runs.models import Run, StepRun
from runs.pages.words import data_summary
from runs.states import StepStatus

_MOST_READ: Final = 16_000  # characters of JSON, of each value
_MOST_SHOWN: Final = 60  # characters of each value
_NOTHING: Final = object()


def summaries(tenant: Tenant, runs: Sequence[Any]) -> dict[int, tuple[str, ...]]:
    """Return what each run's line says of its data, by id: each value that was chosen is one of its texts.

    Without a choice it is one text with the first values that came with the run.
    """
    chosen = {run.pk: _references(run.workflow.settings) for run in runs}
    outputs = _outputs(tenant, chosen)
    larger = _larger_triggers(tenant, runs, chosen)
    found: dict[int, tuple[str, ...]] = {}
    for run in runs:
        trigger = getattr(run, "small_trigger", None)
        if not chosen[run.pk]:
            found[run.pk] = (data_summary(trigger),)
            continue
        roots = {"trigger": larger.get(run.pk, trigger), "steps": outputs.get(run.pk, {})}
        found[run.pk] = tuple(_said(chosen[run.pk], roots))
    return found


def _references(settings: Any) -> tuple[Reference, ...]:
    paths = settings.get("summary") if isinstance(settings, dict) else None
    texts = [text for text in paths if isinstance(text, str)] if isinstance(paths, list) else []
    return tuple(reference for text in texts[:MOST_PATHS] if (reference := summary_reference(text)) is not None)


def _small(name: str) -> Case:
    """Return a JSON column's value where it is not too long to be read for a line."""
    short = When(characters__lt=_MOST_READ, then=F(name))
    return Case(short, default=None, output_field=JSONTextField())


def _with_small(rows: QuerySet[Any], name: str) -> QuerySet[Any]:
    found: QuerySet[Any] = rows.alias(characters=Length(name)).annotate(small=_small(name))
    return found


def _outputs(tenant: Tenant, chosen: Mapping[int, Iterable[Reference]]) -> dict[int, dict[str, Any]]:
    """Return what the named steps gave, as expressions read it, by run; a step outside of loops has its key as path."""
    wanted = {
        pk: {str(reference.parts[0]) for reference in references if reference.root == "steps"}
        for pk, references in chosen.items()
    }
    keys = set[str]().union(*wanted.values())
    if not keys:
        return {}
    rows = StepRun.objects.for_tenant(tenant).filter(
        run__in=[pk for pk, own in wanted.items() if own], path__in=sorted(keys), status=StepStatus.SUCCEEDED
    )
    found: dict[int, dict[str, Any]] = {}
    for pk, path, small in _with_small(rows, "output").order_by("attempt").values_list("run_id", "path", "small"):
        if path in wanted[pk]:
            found.setdefault(pk, {})[path] = {"output": small}
    return found


def _larger_triggers(tenant: Tenant, runs: Sequence[Any], chosen: Mapping[int, Iterable[Reference]]) -> dict[int, Any]:
    """Return the triggers that a list reads only where something in them was chosen."""
    ids = [
        run.pk
        for run in runs
        if getattr(run, "small_trigger", None) is None
        and run.trigger_ref is None
        and any(reference.root == "trigger" for reference in chosen[run.pk])
    ]
    if not ids:
        return {}
    rows = _with_small(Run.objects.for_tenant(tenant).filter(pk__in=ids), "trigger")
    return dict(rows.order_by().values_list("pk", "small"))


def _said(references: Iterable[Reference], roots: Mapping[str, Any]) -> Iterator[str]:
    """Yield ``email ada@acme.test`` for each value that is there; lists by their length."""
    for reference in references:
        value = _at(roots[reference.root], reference.parts)
        if value is None or value is _NOTHING or value == "":
            continue
        label = summary_label(reference)
        if isinstance(value, list):
            yield f"{len(value):,} {label[:40]}"
        else:
            yield f"{label[:40]} {_cut(hidden(_text(value), label))}"


def _at(value: Any, parts: Sequence[str | int]) -> Any:
    for part in parts:
        if isinstance(part, int):
            inside = isinstance(value, list) and -len(value) <= part < len(value)
        else:
            inside = isinstance(value, dict) and part in value
        if not inside:
            return _NOTHING
        value = value[part]
    return value


def _text(value: Any) -> str:
    return " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"
