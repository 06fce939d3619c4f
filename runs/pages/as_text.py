"""A run as a few lines of plain text: the same tree as its page, one line for each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from django.utils import timezone

from orchestrator.words import duration
from runs.models import Run
from runs.outline import TRIGGER
from runs.overview import milliseconds
from runs.pages.address import Address
from runs.pages.lines import Line, Scene
from runs.pages.reading import Attempt, read
from runs.pages.timeline import Row, rows_of, scene_of
from runs.pages.words import again_words, failure_words, place_words

_STEP: str = "  "


def run_text(run: Run) -> str:
    """Return the run's outcome, why it failed, and its steps; of a loop the failed items, or the first fifty."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    version = f"v{run.version.number}" if run.version.number else "draft"
    yield f"Run {run.pk} of {run.workflow.name} ({version}): {run.status}"
    started = run.started_at or run.created_at
    yield f"Started {started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC by {run.trigger_type}"
    if run.finished_at:
        yield f"Took {duration(milliseconds(started, run.finished_at))}"
    scene = scene_of(read(run, Address(base="")), timezone.now())
    if run.error:
        yield from _failure(run, scene)
    yield ""
    for row in rows_of(scene):
        if row.line is None:
            yield _words(row)
        elif row.line.path != TRIGGER:
            yield from _of_line(scene, row, row.line)


def _failure(run: Run, scene: Scene) -> Iterator[str]:
    if scene.reading.stopped:
        yield f"Stopped at {place_words(scene.reading.stopped, scene.reading.names)}"
    yield f"Cause: {failure_words(run.error)}"
    if run.error.get("hint"):
        yield f"What to do: {run.error['hint']}"
    yield again_words(run.error)


def _words(row: Row) -> str:
    names = ", ".join(link.text for link in row.links if not link.dom_id)
    return f"{'':<22}{_STEP * row.level}{row.words}{f' {names}' if names else ''}"


def _of_line(scene: Scene, row: Row, line: Line) -> Iterator[str]:
    name = f"{_STEP * row.level}{line.name}{f' {line.label}' if line.label else ''}"
    attempts = scene.reading.attempts.get(line.path, ())
    if not attempts:
        note = f"  {line.note}" if line.note else ""
        yield f"{line.status:<10} {line.took:>9}  {name} [{line.path}]{note}"
    for attempt in attempts:
        yield _attempt(attempt, name)


def _attempt(step: Attempt, name: str) -> str:
    took = duration(milliseconds(step.started_at, step.finished_at)) if step.finished_at else "…"
    error = f"  {failure_words(step.error)}" if step.error else ""
    return f"{step.status:<10} {took:>9}  {name} [{step.path} #{step.attempt}]{error}"
