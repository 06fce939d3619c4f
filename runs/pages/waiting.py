"""What a run waits for, on its page: the question with a form for those who may answer, words for the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator import jsongate
from orchestrator.errors import Invalid, Problem
from orchestrator.tenants.access import Actor
from orchestrator.tenants.permissions import MINIMUM_ROLE
from orchestrator.types import JSONValue
from runs.answers import needs_person, refusal
from runs.asked import Asked, open_questions
from runs.links import link_url
from runs.models import Run
from runs.outline import StepOutline
from runs.pages.approval import Question, Refused, question_of
from runs.pages.schema_form import form_value
from runs.pages.words import failure_words
from runs.paths import key_of_path
from runs.states import RunStatus

MOST: Final = 10
TITLE_CHARACTERS: Final = 80
_SECONDS_MATTER: Final = timedelta(minutes=10)
_TITLES: Final[Mapping[str, str]] = {
    "approval": noop("Waiting for an approval"),
    "callback": noop("Waiting for a call back"),
    "workflow": noop("Waiting for another workflow"),
}


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """The question what became of a call: why it is asked, and an answer that was not taken."""

    cause: str
    output: str
    output_error: str
    comment: str
    said: str


@dataclass(frozen=True, kw_only=True)
class WaitItem:
    """One thing that a run waits for.

    ``question`` or ``unknown`` is there for those who may answer, ``words`` for the others; ``link`` is the address for
    those outside, shown to editors, ``own_page`` the same for who may answer there alone.
    """

    kind: str
    title: str
    message: str
    path: str
    in_loop: bool
    attempt: int
    id_prefix: str
    is_open: bool
    deadline: datetime | None
    question: Question | None
    unknown: Unknown | None
    words: str
    link: str
    own_page: str


@dataclass(frozen=True, kw_only=True)
class Waits:
    """Everything a run waits for that can be answered; ``mark`` changes whenever any of it does."""

    title: str
    items: tuple[WaitItem, ...]
    more: int
    mark: str


def waits_of(actor: Actor, run: Run, steps: Sequence[StepOutline], *, refused: Refused | None = None) -> Waits:
    """Return what a run waits for; ``refused`` is an answer to one of its questions that was not taken."""
    found, more = open_questions(run, MOST)
    names = {step.key: step.name for step in steps}
    items = tuple(
        _item(actor, asked, names, is_first=not index, refused=_own(refused, asked))
        for index, asked in enumerate(found)
    )
    return Waits(
        title=_title(run, items, names) if run.status == RunStatus.WAITING else "",
        items=items,
        more=more,
        mark="-".join([*(f"{asked.path}.{asked.attempt}" for asked in found), str(more)]),
    )


def answer_given(asked: Asked, posted: Mapping[str, str]) -> dict[str, Any]:
    """Return what somebody filled in as the arguments of ``run_resolve``. Raises Invalid."""
    attempt = posted.get("attempt", "")
    return {
        "decision": posted.get("decision", ""),
        "comment": posted.get("comment", ""),
        "attempt": int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 6 else None,
        "output": _output(posted.get("output", "")),
        "form": form_value(asked.approval.form, posted) if asked.approval and asked.approval.form else None,
    }


def _output(text: str) -> JSONValue:
    if not text.strip():
        return None
    try:
        return jsongate.loads(text)
    except jsongate.BadJSON as error:
        said = _("This was not taken: %(error)s. A text is written in quotation marks.") % {"error": error}
        raise Invalid(
            _("The output cannot be read."), problems=[Problem(path="output", message=said, code="json")]
        ) from error


def _own(refused: Refused | None, asked: Asked) -> Refused | None:
    return refused if refused is not None and refused.posted.get("path") == asked.path else None


def _item(actor: Actor, asked: Asked, names: Mapping[str, str], *, is_first: bool, refused: Refused | None) -> WaitItem:
    assert asked.row is not None
    prefix = f"w{asked.row.pk}"
    reason = refusal(asked, actor) if asked.kind == "approval" else ""
    may = actor.may(MINIMUM_ROLE["run.resolve"]) and not reason
    link = link_url(asked.place.action, asked.run.pk, asked.path) if asked.kind != "outcome_unknown" else ""
    is_personal = asked.approval is not None and needs_person(asked.approval)
    question = question_of(asked, id_prefix=prefix, refused=refused) if asked.approval and may else None
    return WaitItem(
        kind=asked.kind,
        title=_item_title(asked, names),
        message=asked.approval.message if asked.approval else "",
        path=asked.path,
        in_loop="[" in asked.path,
        attempt=asked.attempt,
        id_prefix=prefix,
        is_open=is_first or refused is not None,
        deadline=asked.deadline,
        question=question,
        unknown=_unknown(asked, refused) if asked.kind == "outcome_unknown" and may else None,
        words="" if may else reason or _words(asked, is_personal=is_personal),
        # Without approvers the address alone decides, so it is for those who could change the workflow anyway.
        link=link if actor.may(MINIMUM_ROLE["trigger.address.read"]) else "",
        own_page=link if is_personal and not may and not reason else "",
    )


def _item_title(asked: Asked, names: Mapping[str, str]) -> str:
    name = names.get(key_of_path(asked.path), asked.path)
    if asked.kind == "outcome_unknown":
        return _("Did “%(name)s” happen?") % {"name": name}
    return _cut(asked.approval.message) if asked.approval else name


def _words(asked: Asked, *, is_personal: bool) -> str:
    """Return who can answer, for somebody who cannot here."""
    if asked.kind == "outcome_unknown":
        return _("Somebody with the role operator or above can say what happened.")
    if asked.kind == "callback":
        return ""
    if is_personal:
        return _("You are asked: answer on the page of this question.")
    return _("Somebody with the role operator or above can answer, or whoever has its address.")


def _unknown(asked: Asked, refused: Refused | None) -> Unknown:
    assert asked.row is not None
    posted = refused.posted if refused else {}
    problems = {problem.path: problem.message for problem in refused.problems} if refused else {}
    return Unknown(
        cause=failure_words(asked.row.error),
        output=posted.get("output", ""),
        output_error=problems.get("output", ""),
        comment=posted.get("comment", ""),
        said=refused.message if refused else "",
    )


def _title(run: Run, items: Sequence[WaitItem], names: Mapping[str, str]) -> str:
    """Return what a run waits for as its title."""
    kind, path = (str((run.waiting_for or {}).get(name, "")) for name in ("kind", "path"))
    named = next((item for item in items if item.path == path), None)
    if run.wake_at is not None and run.wake_at <= timezone.now():
        return _("Goes on in a moment")
    if kind == "outcome_unknown":
        return _("Nobody knows whether “%(name)s” happened") % {"name": names.get(key_of_path(path), path)}
    if kind == "approval" and named is not None:
        return _("Waiting for an approval: %(message)s") % {"message": named.title}
    if kind == "time" and run.wake_at is not None:
        return _("Waiting until %(time)s") % {"time": _moment(run.wake_at, run.tenant.time_zone)}
    return _(_TITLES.get(kind, noop("Waiting")))


def _cut(message: str) -> str:
    """Return a message's beginning in one line."""
    line = " ".join(message.split())
    return line if len(line) <= TITLE_CHARACTERS else f"{line[: TITLE_CHARACTERS - 1].rstrip()}…"


def _moment(moment: datetime, zone: str) -> str:
    """Return a moment to come as ``14:00``, with seconds where they matter and a date where it is another day."""
    with timezone.override(zone):
        local = timezone.localtime(moment)
        text = f"{local:%H:%M:%S}" if moment - timezone.now() < _SECONDS_MATTER else f"{local:%H:%M}"
        return text if local.date() == timezone.localdate() else f"{local.day} {local:%b %Y}, {text}"
