"""What a run asks of the outside: at which step, of whom, until when, and where that stands. Reads only.

Three kinds of step are answered: ``flow.approve``, ``flow.callback``, and one with ``on_lost: ask`` whose outcome is
not known. The first two have a row that is ``waiting``; of the third the last attempt is the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, product
from typing import Any, Final

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from pydantic import ValidationError

from integrations.builtin.flow import ApproveInputs, CallbackInputs
from orchestrator.errors import NotFound
from orchestrator.flow.names import KEY_PATTERN
from orchestrator.flow.tools import AGENT, APPROVAL
from orchestrator.types import JSONValue
from runs.clock import database_now
from runs.engine.frame import LOOPS
from runs.links import path_of, run_id_of
from runs.models import Answer, Payload, Run, StepRun
from runs.paths import key_of_path
from runs.states import FailureKind, RunStatus, StepStatus
from runs.values import opened

KINDS: Final[Mapping[str, str]] = {
    "flow.approve": "approval",
    "flow.callback": "callback",
    "flow.wait": "time",
    "workflow.call": "workflow",
}
_INPUTS: Final[Mapping[str, type[ApproveInputs] | type[CallbackInputs]]] = {
    "flow.approve": ApproveInputs,
    "flow.callback": CallbackInputs,
}
MAX_PATH: Final = 255
# Items of loops whose addresses are tried although nothing of them is written yet.
_UNWRITTEN: Final = 4_096
_PATH: Final = re.compile(rf"(?:{KEY_PATTERN}\[[0-9]{{1,9}}\]\.)*{KEY_PATTERN}")
_LOOP_IN_PATH: Final = re.compile(rf"({KEY_PATTERN})\[")
_LARGE: Final = ("trigger", "output", "seed")


class Standing(StrEnum):
    """Where a question stands."""

    NOT_ASKED = "not_asked"  # the run has not come to the step
    OPEN = "open"
    ANSWERED = "answered"
    OVER = "over"  # nobody answered in time
    ENDED = "ended"  # the step or its run ended without an answer


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step is in its workflow: the loops around it, outermost first, and whether a person is asked of it."""

    name: str
    action: str
    loops: tuple[str, ...]
    asks: bool


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A step of a run that the outside answers, or might.

    ``kind`` is the one of ``Run.waiting_for``, empty for a step that asks nothing. ``row`` is its last attempt, and
    ``inputs`` those of an approval or a callback that was reached.
    """

    run: Run
    path: str
    place: Place
    kind: str
    standing: Standing
    row: StepRun | None = None
    inputs: ApproveInputs | CallbackInputs | None = None
    deadline: datetime | None = None
    answer: Answer | None = None

    @property
    def attempt(self) -> int:
        return self.row.attempt if self.row else 1

    @property
    def approval(self) -> ApproveInputs | None:
        return self.inputs if isinstance(self.inputs, ApproveInputs) else None


def places(definition: Mapping[str, Any] | None) -> dict[str, Place]:
    """Return the steps of a version's document by key, whatever else is in it."""
    found: dict[str, Place] = {}

    def collect(steps: Any, loops: tuple[str, ...]) -> None:
        for step in steps if isinstance(steps, list) else ():
            key, action, config = str(step.get("key")), str(step.get("action")), step.get("config") or {}
            asks = config.get("on_lost") == "ask"
            found[key] = Place(name=str(step.get("name") or key), action=action, loops=loops, asks=asks)
            inside = (*loops, key) if action in LOOPS else loops
            if action == AGENT:
                question = f"{key}{APPROVAL}"
                found[question] = Place(name=found[key].name, action="flow.approve", loops=inside, asks=False)
            for inner in (step.get("lanes") or {}).values():
                collect(inner, inside)

    collect((definition or {}).get("steps"), ())
    return found


def asked_at(token: str, action: str) -> Asked | None:
    """Return what the address of a step of an action leads to, None where it leads nowhere."""
    run_id = run_id_of(token)
    if run_id is None:
        return None
    # The signature alone says whose it is: nothing is told of a run whose token is not right.
    run = Run.unscoped.filter(pk=run_id).select_related("tenant", "version").defer(*_LARGE).first()
    path = None if run is None else path_of(token, _addressed(run, action))
    return None if run is None or path is None else asked_of(run, path)


def asked_of(run: Run, path: str) -> Asked:
    """Return what is asked at a path of a run. Raises NotFound for a path that is none of its workflow's."""
    place = places(run.version.definition).get(key_of_path(path)) if is_path(path) else None
    if place is None or tuple(_LOOP_IN_PATH.findall(path)) not in ((), place.loops):
        raise NotFound(
            _("This run's workflow has no step at that path. Take it from the run's `waiting_for` or `steps`.")
        )
    row = _attempts(run).filter(path=path).order_by("-attempt").first()
    answers = Answer.objects.for_tenant(run.tenant_id).filter(run=run.pk, path=path)
    answer = answers.filter(attempt=row.attempt).first() if row else None
    return _asked(run, path, place, row, answer)


def open_questions(run: Run, most: int) -> tuple[list[Asked], int]:
    """Return what of a run can be answered now, oldest first and at most ``most``, and how many more there are."""
    if RunStatus(run.status).is_terminal:
        return [], 0
    known = places(run.version.definition)
    groups = [rows for rows in (_waiting(run), _unknown(run, known)) if rows is not None]
    rows = sorted((row for group in groups for row in group[:most]), key=lambda row: row.pk)[:most]
    asked = [_asked(run, row.path, known[row.key], row, None) for row in rows if row.key in known]
    more = sum(group.count() for group in groups) - len(rows) if len(rows) == most else 0
    return [each for each in asked if each.standing is Standing.OPEN], more


def is_path(text: str) -> bool:
    """Whether a text is written like a step's path, so that a database can be asked for it."""
    return len(text) <= MAX_PATH and _PATH.fullmatch(text) is not None


def answer_document(answer: Answer) -> Mapping[str, Any]:
    """Return an answer's document, whole."""
    document = answer.document if answer.document_ref is None else _payload(answer, answer.document_ref)
    return document if isinstance(document, Mapping) else {}


def _asked(run: Run, path: str, place: Place, row: StepRun | None, answer: Answer | None) -> Asked:
    kind = KINDS.get(place.action) or ("outcome_unknown" if place.asks and row and _is_unknown(row) else "")
    inputs = _inputs(row) if row and kind in ("approval", "callback") else None
    seconds = inputs.timeout if inputs else None
    deadline = row.started_at + timedelta(seconds=seconds) if row and seconds is not None else None
    return Asked(
        run=run,
        path=path,
        place=place,
        kind=kind,
        standing=_standing(run, kind, row, answer, deadline),
        row=row,
        inputs=inputs,
        deadline=deadline,
        answer=answer,
    )


def _standing(run: Run, kind: str, row: StepRun | None, answer: Answer | None, deadline: datetime | None) -> Standing:
    if answer is not None:
        return Standing.ANSWERED
    has_ended = RunStatus(run.status).is_terminal or run.cancel_requested_at is not None
    if row is None or not kind:
        return Standing.ENDED if has_ended else Standing.NOT_ASKED
    is_waiting = kind == "outcome_unknown" or row.status == StepStatus.WAITING
    if not is_waiting and row.failure_kind == FailureKind.TIMEOUT:
        return Standing.OVER
    if not is_waiting or has_ended:
        return Standing.ENDED
    return Standing.OVER if deadline is not None and database_now() >= deadline else Standing.OPEN


def _is_unknown(row: StepRun) -> bool:
    ended = row.status in (StepStatus.FAILED, StepStatus.LOST)
    return ended and row.failure_kind == FailureKind.OUTCOME_UNKNOWN and row.retry_at is None


def _inputs(row: StepRun) -> ApproveInputs | CallbackInputs | None:
    """Return what the step was begun with; None for what the step itself refused."""
    value = row.inputs if row.inputs_ref is None else _payload(row, row.inputs_ref)
    try:
        return _INPUTS[row.action].model_validate(value)
    except (ValidationError, KeyError):
        return None


def _payload(row: StepRun | Answer, ref: int) -> JSONValue:
    return opened(Payload.objects.for_tenant(row.tenant_id).get(run=row.run_id, pk=ref))


def _attempts(run: Run) -> QuerySet[StepRun]:
    return StepRun.objects.for_tenant(run.tenant_id).filter(run=run.pk).defer("output", "logs").order_by("id")


def _waiting(run: Run) -> QuerySet[StepRun]:
    """Return the approvals and callbacks that wait."""
    return _attempts(run).filter(status=StepStatus.WAITING, action__in=list(_INPUTS)).exclude(_is_answered(run))


def _unknown(run: Run, known: Mapping[str, Place]) -> QuerySet[StepRun] | None:
    """Return the attempts of which a person is asked whether they happened, None where nobody ever is."""
    keys = [key for key, place in known.items() if place.asks]
    if not keys:
        return None
    later = StepRun.objects.for_tenant(run.tenant_id).filter(
        run=run.pk, path=OuterRef("path"), attempt__gt=OuterRef("attempt")
    )
    unknown = _attempts(run).filter(
        key__in=keys,
        status__in=[StepStatus.FAILED, StepStatus.LOST],
        failure_kind=FailureKind.OUTCOME_UNKNOWN,
        retry_at__isnull=True,
    )
    return unknown.exclude(Exists(later)).exclude(_is_answered(run))


def _is_answered(run: Run) -> Exists:
    answers = Answer.objects.for_tenant(run.tenant_id).filter(run=run.pk)
    return Exists(answers.filter(path=OuterRef("path"), attempt=OuterRef("attempt")))


def _addressed(run: Run, action: str) -> Iterator[str]:
    """Yield the paths that an address of this action may be of, the likely ones first."""
    rows = StepRun.objects.for_tenant(run.tenant_id).filter(run=run.pk)
    yield from rows.filter(action=action, status=StepStatus.WAITING).values_list("path", flat=True)
    keys = {key: place.loops for key, place in places(run.version.definition).items() if place.action == action}
    # Also of those inside loops: a test of one step runs it outside of them.
    yield from keys
    yield from rows.filter(action=action).exclude(status=StepStatus.WAITING).values_list("path", flat=True).iterator()
    in_loops = {key: loops for key, loops in keys.items() if loops}
    if in_loops and not RunStatus(run.status).is_terminal:
        yield from _begun(rows, in_loops)
        yield from _unwritten(in_loops)


def _begun(rows: QuerySet[StepRun], keys: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield the paths of steps in iterations of which anything is written."""
    by_loop: dict[str, list[str]] = {}
    for key, loops in keys.items():
        by_loop.setdefault(loops[-1], []).append(key)
    for loop, item in rows.filter(item__isnull=False).values_list("loop", "item").order_by().distinct().iterator():
        for key in by_loop.get(key_of_path(loop), ()):
            yield f"{loop}[{item}].{key}"


def _unwritten(keys: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield paths in the first iterations: what is called may call back before a row of its own is committed."""
    for key, loops in keys.items():
        each = round(_UNWRITTEN ** (1 / len(loops)))
        for items in islice(product(range(each), repeat=len(loops)), _UNWRITTEN):
            yield "".join(f"{loop}[{item}]." for loop, item in zip(loops, items, strict=True)) + key
