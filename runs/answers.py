"""Answers from outside to steps that wait for them: by people to approvals and lost calls, by programs to callbacks.

1. What the step asks, of whom and until when is read, and whoever answers is held against it.
2. The run's row is locked and looked at once more: it cannot end, and nobody else can answer, before the answer is in.
3. The answer is one row for each attempt of a step: the first counts.
4. In the same transaction the run is signalled: it is due at once where it waits, and looks again where it is driven
   or just comes to its wait.

What takes time, as to check a form or to compress a large value, comes before the lock: a driver that writes for many
runs would wait for it.
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as noop

from integrations.builtin.flow import ApproveInputs
from orchestrator import jsongate
from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound, Problem, ServiceError
from orchestrator.flow.json_schemas import value_problems
from orchestrator.tenants import audit
from orchestrator.tenants.access import Actor, system_actor
from orchestrator.tenants.models import Role
from orchestrator.tenants.permissions import require_operation
from orchestrator.types import JSONValue
from orchestrator.words import full_time
from runs import doorbell
from runs.asked import Asked, Standing, answer_document, asked_of
from runs.clock import database_now
from runs.endings import signal
from runs.models import Answer, Payload, Run
from runs.states import RunStatus
from runs.values import Split, split

MAX_COMMENT: Final = 2_000
APPROVAL_DECISIONS: Final = ("approved", "rejected")
LOST_DECISIONS: Final = ("succeeded", "retry", "failed")
# What a run waits for, in words.
WAITS: Final = {
    "approval": noop("an approval"),
    "callback": noop("a call back"),
    "time": noop("a moment to come"),
    "workflow": noop("another workflow"),
    "outcome_unknown": noop("somebody to say whether a step happened"),
}


class TooEarly(Conflict):
    """The run has not come to the step yet: the same answer is taken a little later."""

    code = "too_early"


class Gone(ServiceError):
    """Nothing waits for this answer any more, and nothing will."""

    code = "gone"
    status = 410


def approval_answer(
    *, run: Run, path: str, actor: Actor | None, decision: str, form: JSONValue = None, comment: str = ""
) -> Answer:
    """Approve or reject, for somebody who has the step's address; ``actor`` is None unless they had to sign in.

    Raises Forbidden when they are not among those asked, Conflict when it is answered or over, Invalid for a wrong
    decision, form or comment.
    """
    asked = asked_of(_row(run), path)
    return _answer_taken(asked, _approval(asked, actor, decision, form, comment), actor)


def callback_receive(*, run: Run, path: str, document: JSONValue) -> bool:
    """Take a call of a callback's address; False when an earlier one counts. ``document``: body, headers and query.

    Raises TooEarly before the step is reached, Gone when it has ended without a call, Invalid for what is too large.
    """
    asked = asked_of(_row(run), path)
    if asked.standing is Standing.OPEN:
        kept = _split(asked.run, document)
        with transaction.atomic():
            asked = _locked(asked)
            if asked.standing is Standing.OPEN:
                _insert(asked, kept, None)
                return True
    if asked.standing is Standing.ANSWERED:
        return False
    if asked.standing is Standing.NOT_ASKED:
        raise TooEarly(_("The workflow has not come to the step that waits for this call. Send it again in a moment."))
    raise Gone(_("%(why)s Sending it again will not help.") % {"why": _over_words(asked)})


def run_resolve(
    *,
    actor: Actor,
    run: Run,
    path: str,
    decision: str,
    output: JSONValue = None,
    form: JSONValue = None,
    comment: str = "",
    attempt: int | None = None,
) -> Run:
    """Answer what a run waits for: an approval, or what became of a call whose outcome is not known.

    ``output`` is what a step that ``succeeded`` gave, ``attempt`` the one that was looked at. Raises NotFound for an
    unknown path, Conflict when the run does not wait for it, Invalid for a decision that is none of this kind,
    Forbidden.
    """
    require_operation(actor, "run.resolve")
    if run.tenant_id != actor.tenant.pk:
        raise NotFound(_("There is no such run in this tenant."))
    asked = asked_of(_row(run), path)
    if asked.standing is Standing.OPEN and attempt is not None and attempt != asked.attempt:
        raise _conflict(asked)
    if asked.kind == "approval":
        document = _approval(asked, actor, decision, form, comment)
    elif asked.standing is not Standing.OPEN:
        raise _conflict(asked)
    elif asked.kind == "outcome_unknown":
        _check_decision(asked, decision, LOST_DECISIONS)
        document = {
            "decision": decision,
            "output": output if decision == "succeeded" else None,
            "comment": _checked_comment(comment),
            "by": _name(actor),
        }
    else:
        raise Invalid(
            _("%(path)s waits for %(waits)s, which no decision takes the place of. Wait for it, or cancel the run.")
            % {"path": path, "waits": _(WAITS[asked.kind])},
            code="wrong_decision",
        )
    _answer_taken(asked, document, actor)
    return run.refresh()


def refusal(asked: Asked, actor: Actor | None) -> str:
    """Return why somebody may not answer an approval, empty when they may. ``actor`` is None who is not signed in."""
    wanted = asked.approval
    if wanted is None:
        # Without its settings nobody knows who may: so nobody may.
        return _("The step's settings cannot be read, so nobody can answer it. Cancel the run and start it again.")
    if not needs_person(wanted):
        return ""
    if actor is None or actor.user is None or actor.tenant.pk != asked.run.tenant_id:
        return _("Only members of %(tenant)s may answer this. Sign in as one of them.") % {
            "tenant": asked.run.tenant.name
        }
    if wanted.approvers and not any(_is_among(actor, name) for name in wanted.approvers):
        return _("You are not among those who are asked: %(who)s. Ask one of them.") % {"who": approver_words(wanted)}
    if wanted.exclude_requester and actor.user.pk == asked.run.started_by_id:
        return _("You started this run, and whoever started it may not answer. Ask somebody else.")
    return ""


def needs_person(wanted: ApproveInputs) -> bool:
    """Whether the address alone is not enough. Who started the run can be told only among people who signed in."""
    return bool(wanted.approvers) or wanted.exclude_requester


def approver_words(wanted: ApproveInputs) -> str:
    """Return who is asked, like ``ada, role admin or above``; empty when no names are given."""
    names = [_("role %(role)s or above") % {"role": name} if name in Role.values else name for name in wanted.approvers]
    return ", ".join(names)


def answered_words(asked: Asked) -> str:
    """Return who answered what and when."""
    assert asked.answer is not None
    document = answer_document(asked.answer)
    told = {"when": full_time(asked.answer.created_at), "by": document.get("by") or _("somebody who had the link")}
    match document.get("decision"):
        case "approved":
            return _("Approved by %(by)s, %(when)s.") % told
        case "rejected":
            return _("Rejected by %(by)s, %(when)s.") % told
        case None:
            return _("It was called, %(when)s.") % told
        case decision:
            return _("Said by %(by)s, %(when)s: %(decision)s.") % {**told, "decision": decision}


def _approval(asked: Asked, actor: Actor | None, decision: str, form: JSONValue, comment: str) -> dict[str, JSONValue]:
    """Return the answer to an approval, checked."""
    if asked.row is None:
        raise _conflict(asked)
    if reason := refusal(asked, actor):
        raise Forbidden(reason)
    if asked.standing is not Standing.OPEN:
        raise _conflict(asked)
    assert asked.approval is not None
    _check_decision(asked, decision, APPROVAL_DECISIONS)
    checked = _checked_form(asked.approval, decision, form)
    return {"decision": decision, "form": checked, "comment": _checked_comment(comment), "by": _name(actor)}


def _is_among(actor: Actor, name: str) -> bool:
    """Whether an approver's name stands for the actor. A role's name never stands for a user who is called so."""
    if name in Role.values:
        return actor.may(Role(name))
    return actor.user is not None and actor.user.get_username() == name


def _check_decision(asked: Asked, decision: str, taken: tuple[str, ...]) -> None:
    if decision not in taken:
        raise Invalid(
            _("%(decision).40r does not answer %(waits)s: send %(taken)s.")
            % {"decision": decision, "waits": _(WAITS[asked.kind]), "taken": _(" or ").join(taken)},
            problems=[
                Problem(
                    path="decision",
                    message=_("Send %(taken)s.") % {"taken": _(" or ").join(taken)},
                    code="wrong_decision",
                )
            ],
            code="wrong_decision",
        )


def _checked_comment(comment: str) -> str:
    if len(comment) > MAX_COMMENT:
        said = _("The comment has %(count)s characters; at most %(most)s are kept. Shorten it.") % {
            "count": f"{len(comment):,}",
            "most": f"{MAX_COMMENT:,}",
        }
        raise Invalid(said, problems=[Problem(path="comment", message=said, code="too_long")])
    return comment.strip()


def _checked_form(wanted: ApproveInputs, decision: str, form: JSONValue) -> JSONValue:
    """Return the form as it is kept: null where there is none. Raises Invalid with a problem for each wrong field.

    A rejection may leave out what an approval needs.
    """
    if wanted.form is None:
        if form is not None and form != {}:
            raise Invalid(_("This approval has no form. Leave `form` out."), code="no_form")
        return None
    schema = dict(wanted.form)
    if decision == "rejected":
        if not form:
            return form
        schema["required"] = []
    given = {} if form is None else form
    found = value_problems(given, schema) if isinstance(given, dict) else [("", _("The form is an object."))]
    if found:
        problems = [
            Problem(path=f"form.{path}" if path else "form", message=message, code="form") for path, message in found
        ]
        raise Invalid(_("The form is not filled in as it has to be. Correct it and send it again."), problems=problems)
    return given


def _answer_taken(asked: Asked, document: dict[str, JSONValue], actor: Actor | None) -> Answer:
    """Insert a person's answer if it still is the first. Raises Conflict."""
    kept = _split(asked.run, document)
    with transaction.atomic():
        attempt, asked = asked.attempt, _locked(asked)
        if asked.standing is not Standing.OPEN or asked.attempt != attempt:
            raise _conflict(asked)
        detail: dict[str, JSONValue] = {"path": asked.path, "kind": asked.kind, "decision": document["decision"]}
        if actor is None:
            detail["by"] = "somebody who had the link"
        who = actor or system_actor(asked.run.tenant)
        audit.record(actor=who, action="run.resolved", target=asked.run, detail=detail)
        return _insert(asked, kept, actor)


def _insert(asked: Asked, kept: Split, actor: Actor | None) -> Answer:
    """Insert an answer and have the run look at it; inside a transaction that holds the run's row."""
    run = asked.run
    if kept.payload is not None:
        Payload.unscoped.bulk_create([kept.payload])
    answer = Answer(
        tenant_id=run.tenant_id,
        run_id=run.pk,
        path=asked.path,
        attempt=asked.attempt,
        kind=asked.kind,
        document=kept.inline,
        document_ref=kept.ref,
        by=actor.user if actor else None,
    )
    answer.save(force_insert=True)
    signal({run.pk}, now=database_now())
    transaction.on_commit(doorbell.ring)
    return answer


def _split(run: Run, document: JSONValue) -> Split:
    try:
        return split(jsongate.check(document), tenant_id=run.tenant_id, run_id=run.pk, most=jsongate.MAX_BYTES)
    except jsongate.BadJSON as error:
        raise Invalid(
            _("The answer cannot be kept: %(error)s. Send less.") % {"error": error}, code="too_large"
        ) from error


def _row(run: Run) -> Run:
    """Return the run as it is now, without its large columns."""
    rows = Run.objects.for_tenant(run.tenant_id).select_related("tenant", "version")
    found = rows.defer("trigger", "output", "seed").filter(pk=run.pk).first()
    if found is None:
        raise NotFound(_("This run is not there any more: it was deleted, as old runs are."))
    return found


def _locked(asked: Asked) -> Asked:
    """Lock the run until the end of the transaction and look again; SQLite has one writer anyway."""
    if connection.features.has_select_for_no_key_update:
        rows = Run.objects.for_tenant(asked.run.tenant_id).filter(pk=asked.run.pk)
        rows.select_for_update(no_key=True).values_list("pk").first()
    return asked_of(_row(asked.run), asked.path)


def _conflict(asked: Asked) -> Conflict:
    """Return why there is nothing to answer, and what there is instead."""
    match asked.standing:
        case Standing.ANSWERED:
            return Conflict(
                _("This is answered already. %(answer)s The first answer counts.") % {"answer": answered_words(asked)}
            )
        case Standing.OPEN:
            return Conflict(
                _("The step was tried again meanwhile, and asks about attempt %(attempt)s now. Look again.")
                % {"attempt": asked.attempt}
            )
        case Standing.NOT_ASKED:
            said = _("The run does not wait for an answer at %(path)s. %(waits)s") % {
                "path": asked.path,
                "waits": _waits_words(asked.run),
            }
            return Conflict(said, code="not_waiting")
        case _:
            return Conflict(_over_words(asked))


def _over_words(asked: Asked) -> str:
    run = asked.run
    if RunStatus(run.status).is_terminal:
        return _("The run has ended (%(status)s), so nothing waits for this any more.") % {"status": run.status}
    if run.cancel_requested_at is not None:
        return _("The run is being cancelled, so nothing waits for this any more.")
    if asked.standing is Standing.OVER:
        until = _(" It was %(time)s.") % {"time": full_time(asked.deadline)} if asked.deadline else ""
        return _("The time to answer is over.%(until)s") % {"until": until}
    return _("The step %(path)s has ended without an answer, so nothing waits for one any more.") % {"path": asked.path}


def _waits_words(run: Run) -> str:
    what = run.waiting_for or {}
    if run.status != RunStatus.WAITING or not what:
        return _("It is %(status)s and waits for nobody.") % {"status": run.status}
    return _("It waits for %(waits)s at %(path)s.") % {
        "waits": _(WAITS.get(str(what.get("kind")), noop("something else"))),
        "path": what.get("path"),
    }


def _name(actor: Actor | None) -> str | None:
    return actor.user.get_username() if actor and actor.user else None
