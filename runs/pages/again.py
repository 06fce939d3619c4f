"""The form that runs a run again: from what is selected, with the same input or an edited one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from orchestrator import jsongate
from orchestrator.errors import Invalid
from orchestrator.tenants.access import Actor
from orchestrator.tenants.models import Role
from orchestrator.types import JSONValue
from runs.models import Run
from runs.outline import TRIGGER
from runs.pages.reading import Reading
from runs.pages.values import AT_ONCE
from runs.paths import is_item
from runs.states import RunKind, RunStatus, StepStatus

FIELD: Final = "input"


@dataclass(frozen=True, kw_only=True)
class Typed:
    """An input that was sent and not taken: as it was typed, from which step, and what is wrong with it."""

    text: str
    from_path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Again:
    """The form: ``from_path`` is empty for the whole run, ``text`` None where the input is too large to be edited."""

    from_path: str
    text: str | None
    error: str
    is_open: bool


def again(actor: Actor, reading: Reading, typed: Typed | None) -> Again | None:
    """Return the form for what is selected; None for who may not run, and for what has not ended or cannot start."""
    run = reading.run
    if not RunStatus(run.status).is_terminal or run.kind == RunKind.STEP or not actor.may(Role.OPERATOR):
        return None
    start = _start(reading)
    if start is None:
        return None
    ours = typed is not None and typed.from_path == start
    text = _as_text(run)
    return Again(
        from_path=start,
        text=typed.text if typed is not None and ours else text,
        error=typed.message if typed is not None and ours else "",
        is_open=ours or not start,
    )


def _start(reading: Reading) -> str | None:
    """Return the path that the selected step starts again from; None for one that the run did not come to."""
    path, step = reading.selected, reading.step
    if path == TRIGGER or step is None:
        return ""
    if is_item(path):
        if not step.body:
            return None
        path = f"{path}.{step.body[0].key}"
    rows = reading.attempts.get(path)
    came = rows[-1].status != StepStatus.SKIPPED if rows else path in reading.given
    return path if came else None


def _body(run: Run) -> JSONValue:
    return run.trigger.get("body") if isinstance(run.trigger, dict) else None


def _as_text(run: Run) -> str | None:
    if run.trigger_ref is not None:
        return None
    text = json.dumps(_body(run), indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which no page can hold.
        text = json.dumps(_body(run), indent=2)
    return text if len(text) <= AT_ONCE else None


def edited_input(run: Run, posted: Mapping[str, str]) -> dict[str, Any]:
    """Return ``{"payload": …}`` for a changed input, else nothing: what came with it stays. Raises Invalid."""
    text = posted.get(FIELD)
    if text is None:
        return {}
    try:
        value = jsongate.loads(text) if text.strip() else None
    except jsongate.BadJSON as error:
        said = _("This was not taken: %(error)s. A text is written in quotation marks.") % {"error": error}
        raise Invalid(said) from error
    # As texts: to Python 1 and true are equal.
    same = run.trigger_ref is None and jsongate.dumps(value) == jsongate.dumps(_body(run))
    return {} if same else {"payload": value}
