"""The page at an approval's address: the question, or why there is nothing to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from orchestrator.errors import Problem
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.tenants.access import Actor
from runs.answers import answered_words, approver_words, needs_person, refusal
from runs.asked import Asked, Standing
from runs.pages.schema_form import FormField, by_field, form_fields

_TITLES: Final[Mapping[Standing, str]] = {
    Standing.NOT_ASKED: noop("Nothing is asked yet"),
    Standing.OPEN: noop("Your decision is asked for"),
    Standing.ANSWERED: noop("This is answered"),
    Standing.OVER: noop("The time to answer is over"),
    Standing.ENDED: noop("Nothing waits for this any more"),
}
_SAID: Final[Mapping[Standing, str]] = {
    Standing.NOT_ASKED: noop("The workflow has not come to this question. Open this page again a little later."),
    Standing.OVER: noop("Nobody answered in time, so the workflow went on without an answer or stopped."),
    Standing.ENDED: noop("The run that asked has ended, so an answer would change nothing."),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """What an approval asks, with its form and what was wrong with an answer to it."""

    message: str
    who: str
    deadline: datetime | None
    fields: tuple[FormField, ...]
    broken_form: bool
    comment: str
    comment_error: str
    said: str
    invalid: tuple[FormField, ...]


@dataclass(frozen=True, kw_only=True)
class ApprovalPage:
    """The whole page; ``question`` is None where there is nothing to answer, or nobody who may."""

    tenant: str
    title: str
    said: str
    message: str
    person: str
    refused: bool
    thanks: bool
    question: Question | None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An answer that was not taken: what was posted, and what is wrong with it."""

    posted: Mapping[str, str]
    message: str
    problems: Sequence[Problem] = ()


def approval_page(
    asked: Asked, actor: Actor | None, *, refused: Refused | None = None, thanks: bool = False, person: str = ""
) -> ApprovalPage:
    """Return the page for somebody who has the address; ``person`` is who is signed in, member or not."""
    reason = refusal(asked, actor) if asked.row is not None else ""
    is_stranger = bool(reason) and (actor is None or asked.approval is None)
    # Who may not answer is still told how it went, if they are of the tenant.
    reason = reason if is_stranger or asked.standing is Standing.OPEN else ""
    thanks = thanks and asked.standing is Standing.ANSWERED and not is_stranger
    is_open = asked.standing is Standing.OPEN and not reason
    return ApprovalPage(
        tenant="" if is_stranger or asked.row is None else asked.run.tenant.name,
        title=_title(asked, reason, thanks),
        said=_said(asked, reason, refused),
        message="" if is_stranger or is_open or asked.approval is None else asked.approval.message,
        person=person if reason else "",
        refused=bool(reason),
        thanks=thanks,
        question=question_of(asked, id_prefix="f", refused=refused) if is_open else None,
    )


def question_of(asked: Asked, *, id_prefix: str, refused: Refused | None = None) -> Question:
    """Return an approval's question; the ids of its fields begin with ``id_prefix``."""
    wanted = asked.approval
    assert wanted is not None
    schema = wanted.form
    is_broken = schema is not None and bool(schema_problems(schema))
    posted = refused.posted if refused else None
    problems = {problem.path: problem.message for problem in refused.problems} if refused else {}
    of_form = {
        path.removeprefix("form").lstrip("."): message for path, message in problems.items() if path != "comment"
    }
    errors, rest = by_field(schema, of_form)
    fields = () if is_broken else form_fields(schema, id_prefix=id_prefix, posted=posted, errors=errors)
    return Question(
        message=wanted.message,
        who=approver_words(wanted) if needs_person(wanted) else "",
        deadline=asked.deadline,
        fields=fields,
        broken_form=is_broken,
        comment=posted.get("comment", "") if posted else "",
        comment_error=problems.get("comment", ""),
        said=" ".join([refused.message, *rest]) if refused else "",
        invalid=tuple(field for field in fields if field.error),
    )


def _title(asked: Asked, reason: str, thanks: bool) -> str:
    if reason:
        return _("You may not answer this")
    return _("Thank you, your answer is in") if thanks else _(_TITLES[asked.standing])


def _said(asked: Asked, reason: str, refused: Refused | None) -> str:
    if reason:
        return reason
    if asked.standing is Standing.ANSWERED:
        return answered_words(asked)
    if refused is not None and asked.standing is not Standing.OPEN:
        return refused.message
    return _(_SAID[asked.standing]) if asked.standing in _SAID else ""


def posted_of(data: Any) -> dict[str, str]:
    """Return a posted form as plain texts, the last of each name."""
    return {str(name): str(value) for name, value in data.items()}
