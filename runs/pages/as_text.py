"""A run as a few lines of plain text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from orchestrator.words import duration
from runs import selectors
from runs.models import Run, StepRun
from runs.outline import outline
from runs.overview import milliseconds
from runs.pages.words import again_words, failure_words

MOST_ATTEMPTS = 1_000


def run_text(run: Run) -> str:
    """Return the run's outcome, why it failed, and one line for each attempt."""
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    version = f"v{run.version.number}" if run.version.number else "draft"
    yield f"Run {run.pk} of {run.workflow.name} ({version}): {run.status}"
    started = run.started_at or run.created_at
    yield f"Started {started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC by {run.trigger_type}"
    if run.finished_at:
        yield f"Took {duration(milliseconds(started, run.finished_at))}"
    if run.error:
        yield f"Cause: {failure_words(run.error)}"
        if run.error.get("hint"):
            yield f"What to do: {run.error['hint']}"
        yield again_words(run.error)
    yield ""
    names = {step.key: step.name for step in outline(run.version.definition)}
    for step in selectors.step_rows(run).defer("inputs", "output", "logs")[:MOST_ATTEMPTS]:
        yield _attempt(step, names.get(step.key, step.key))


def _attempt(step: StepRun, name: str) -> str:
    took = duration(milliseconds(step.started_at, step.finished_at)) if step.finished_at else "…"
    error = f"  {failure_words(step.error)}" if step.error else ""
    return f"{step.status:<10} {took:>9}  {name} [{step.path} #{step.attempt}]{error}"
