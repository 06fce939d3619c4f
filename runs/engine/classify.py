"""From what an attempt raised to why it failed: one table. Texts are redacted here, before anybody keeps them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from integrations.sdk.errors import IntegrationError
from integrations.words import gettext as _
from integrations.words import gettext_noop as noop
from orchestrator.flow.expressions import ExpressionError
from orchestrator.jsongate import BadJSON
from orchestrator.large import TooManyValues
from runs.engine.ports import NoCredential, Redactor
from runs.engine.records import Failure
from runs.states import FailureKind

MAX_MESSAGE: Final = 2_000
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
INTERNAL_HINT: Final = noop(
    "This is a defect of the integration or of the product; the details are in the worker's log."
)


def failure_of(error: BaseException, redactor: Redactor) -> Failure:
    """Return why an attempt failed, fit to be shown: redacted and of bounded length."""
    explain = next((explain for kind, explain in _TABLE if isinstance(error, kind)), _unexpected)
    failure = explain(error)
    return Failure(
        kind=failure.kind,
        message=_shown(failure.message, redactor),
        hint=_shown(failure.hint, redactor),
        retryable=failure.retryable,
        retry_after=failure.retry_after,
        field=failure.field,
        turn=failure.turn,
    )


def timed_out(seconds: float, *, repeatable: bool) -> Failure:
    """Return the failure of an attempt that had no result in time."""
    if repeatable:
        return Failure(
            kind=FailureKind.TIMEOUT,
            message=_("The step had no result within %(seconds).3g s.") % {"seconds": seconds},
            hint=_("Allow the step more time, or ask for less."),
            retryable=True,
        )
    return Failure(
        kind=FailureKind.OUTCOME_UNKNOWN,
        message=_("The step had no result within %(seconds).3g s, and may have had its effect all the same.")
        % {"seconds": seconds},
        hint=_("Look at the other side whether it happened before you run it again."),
    )


def out_of_time(seconds: float) -> Failure:
    """Return the failure of a run that reached its workflow's time limit."""
    return Failure(
        kind=FailureKind.TIMEOUT,
        message=_("The run was stopped at the workflow's time limit of %(seconds).6g s.") % {"seconds": seconds},
        hint=_("Raise the limit in the workflow's settings, or make the run shorter."),
    )


def interrupted() -> Failure:
    """Return the failure of an attempt whose worker went away in mid-call."""
    return Failure(
        kind=FailureKind.OUTCOME_UNKNOWN,
        message=_("The worker went away while this step was under way, so it is not known whether it had its effect."),
        hint=_("Look at the other side whether it happened, then run again from this step."),
    )


def stopped_under_way(*, repeatable: bool) -> Failure:
    """Return what is said of an attempt that was under way when its run was cancelled."""
    if repeatable:
        return Failure(kind=FailureKind.PERMANENT, message=_("The run was cancelled while this step was under way."))
    return Failure(
        kind=FailureKind.OUTCOME_UNKNOWN,
        message=_("The run was cancelled while this step was under way, so it may have had its effect all the same."),
        hint=_("Look at the other side whether it happened."),
    )


def stopped_with_others() -> Failure:
    """Return what is said of a step that was stopped because its run, or another lane beside it, ended."""
    return Failure(
        kind=FailureKind.PERMANENT, message=_("This step was stopped before its end, together with its run.")
    )


def unanswered(seconds: float) -> Failure:
    """Return the failure of a step that nobody answered in time."""
    return Failure(
        kind=FailureKind.TIMEOUT,
        message=_("Nobody answered within %(seconds).6g s.") % {"seconds": seconds},
        hint=_("Allow more time, or let the workflow go on without an answer by the step's option for errors."),
    )


def revoked() -> Failure:
    """Return why a run was cancelled whose member or token is gone."""
    return Failure(
        kind=FailureKind.AUTH,
        message=_("The member or token that started this run no longer has access, so it was stopped."),
        hint=_("Start it again as somebody who has access."),
    )


def crowded_out() -> Failure:
    """Return why a run was skipped whose workflow had as many under way as it may."""
    return Failure(
        kind=FailureKind.RATE_LIMITED,
        message=_("As many runs of this workflow were under way as its limit allows, so this one was skipped."),
        hint=_("Raise the limit in the workflow's settings, or let further runs wait for their turn."),
    )


def replaced() -> Failure:
    """Return why a run was stopped whose workflow lets a newer run take its place."""
    return Failure(
        kind=FailureKind.RATE_LIMITED,
        message=_("A newer run of this workflow took this one's place, as its settings ask."),
        hint=_("Raise the limit in the workflow's settings, or let further runs wait for their turn."),
    )


def poisoned(crashes: int) -> Failure:
    """Return why a run is given up whose worker went away again and again."""
    return Failure(
        kind=FailureKind.INTERNAL,
        message=_("The run was given up: the worker that drove it went away %(crashes)s times.") % {"crashes": crashes},
        hint=_(
            "A step probably takes more memory than the worker has, or stops its process. "
            "Find the last step under way, make it smaller, and run again from there."
        ),
    )


def _shown(text: str, redactor: Redactor) -> str:
    clean = redactor.text(text)
    return clean if len(clean) <= MAX_MESSAGE else f"{clean[:MAX_MESSAGE]}…"


def _of_integration(error: IntegrationError) -> Failure:
    return Failure(
        kind=FailureKind(error.kind),
        message=error.message,
        hint=error.hint,
        retryable=error.retryable,
        retry_after=getattr(error, "retry_after", None),
        field=_field(getattr(error, "field", None)),
        turn=getattr(error, "turn", ""),
    )


def _field(where: object) -> str:
    """Return the name of a step's input in what an error says of its place: ``to`` of ``to[0]``."""
    found = _NAME.match(where) if isinstance(where, str) else None
    return found.group() if found else ""


def _of_expression(error: ExpressionError) -> Failure:
    place = {"where": error.where, "column": error.column}
    told = error.message + (_(" (in %(where)s, column %(column)d)") % place if error.where else "")
    return Failure(kind=FailureKind.INPUT, message=told, field=_field(error.where))


def _of_output(error: BadJSON) -> Failure:
    return Failure(
        kind=FailureKind.PERMANENT,
        message=_("The step's output cannot be kept: %(error)s.") % {"error": error},
        hint=_("Ask for less, or pick out the parts that are needed."),
    )


def _of_many(error: TooManyValues) -> Failure:
    return Failure(
        kind=FailureKind.INPUT,
        message=_("A value that this step takes as a whole is too large for that: %(error)s") % {"error": error},
        hint=_("Read single fields of it, like {{ steps.get.output.body[0].name }}, or ask for a page at a time."),
    )


def _of_credential(error: NoCredential) -> Failure:
    return Failure(
        kind=FailureKind.AUTH,
        message=str(error),
        hint=_("Choose or repair the credential in the step."),
        field=error.field,
    )


def _unexpected(error: BaseException) -> Failure:
    # The text of a third party's exception is redacted like any other; its type alone rarely tells enough.
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(
        kind=FailureKind.INTERNAL, message=_("Unexpected error: %(text)s") % {"text": text}, hint=_(INTERNAL_HINT)
    )


def _of_answer(error: ValidationError) -> Failure:
    # pydantic repeats the wrong value in its own text, which may be anything the other side sent.
    places = ", ".join(".".join(map(str, found["loc"])) for found in error.errors(include_input=False)[:5])
    return Failure(
        kind=FailureKind.INTERNAL,
        message=_("Unexpected error: the data does not have the shape of %(title)s (at %(places)s).")
        % {"title": error.title, "places": places},
        hint=_(INTERNAL_HINT),
    )


_TABLE: Final[tuple[tuple[type[BaseException], Callable[..., Failure]], ...]] = (
    (IntegrationError, _of_integration),
    (ExpressionError, _of_expression),
    (NoCredential, _of_credential),
    (TooManyValues, _of_many),
    (BadJSON, _of_output),
    (ValidationError, _of_answer),
)
