"""Answers from outside: who may give one, which counts, what is refused in which words, and that the run goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from integrations.registry import registry
from orchestrator.errors import Conflict, Forbidden, Invalid, NotFound
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Role, Tenant
from runs import answers, services
from runs.answers import Gone, TooEarly, approval_answer, callback_receive, run_resolve
from runs.asked import Standing, asked_at, asked_of, open_questions
from runs.drive import RunDrive
from runs.engine.records import Outcome, Parked
from runs.links import token_of
from runs.models import Answer, Payload, Run, StepRun
from runs.writes import Ending
from tests.runs.ground import drive, driving, make_workflow, rows, start, statuses, step, until
from tests.runs.test_driver import make_action

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "type": "object",
    "properties": {"amount": {"type": "number", "maximum": 100}, "why": {"type": "string"}},
    "required": ["amount"],
    "additionalProperties": False,
}
BODY = {"body": {"state": "done"}, "headers": {"x-a": "b"}, "query": {"q": "1"}}


def approve(key: str = "ok", **inputs: Any) -> dict[str, Any]:
    return step(key, "flow.approve", inputs={"message": "Refund?", **inputs})


def callback(key: str = "cb", **inputs: Any) -> dict[str, Any]:
    return step(key, "flow.callback", inputs=inputs)


def parked(tenant: Tenant, *steps: dict[str, Any], actor: Actor | None = None, **more: Any) -> Run:
    """Return a run that has come to its wait."""
    run = start(make_workflow(tenant, *steps, **more), actor=actor)
    drive()
    assert run.refresh().status == "waiting"
    return run


def lost(tenant: Tenant, **more: Any) -> Run:
    """Return a run that asks whether its step ``send`` happened, with a driver that went away in mid-call."""
    sent = step("send", "mail.send", on_lost="ask")
    workflow = make_workflow(tenant, sent, step("b"), output="{{ steps.send.output }}", **more)
    run = start(workflow)
    now = timezone.now()
    StepRun.unscoped.create(
        tenant=tenant, run=run, path="send", key="send", action="mail.send", status="running", started_at=now
    )
    Run.unscoped.filter(pk=run.pk).update(
        status="running", fence=1, lease_owner="gone", lease_expires_at=now, wake_at=None, started_at=now
    )
    with registry.temporarily(make_action("mail.send", _sent)):
        drive()
    assert run.refresh().waiting_for == {"path": "send", "kind": "outcome_unknown"}
    return run


async def _sent(ctx: Any) -> Any:
    return {"sent": True}


def resumed(run: Run) -> Run:
    with registry.temporarily(make_action("mail.send", _sent)):
        drive()
    return run.refresh()


def the_answer(run: Run) -> Answer:
    return Answer.objects.for_tenant(run.tenant_id).get(run=run)


def test_an_approval_is_given_and_the_run_goes_on_with_it(tenant: Tenant) -> None:
    run = parked(tenant, approve(), step("b"), output="{{ steps.ok.output }}")
    assert run.waiting_for == {"path": "ok", "kind": "approval"}
    assert run.wake_at is None
    approval_answer(run=run, path="ok", actor=None, decision="approved", comment=" Fine. ")
    assert (run.refresh().signals, run.wake_at is not None) == (1, True)
    drive()
    assert run.refresh().status == "succeeded"
    assert run.output == {"decision": "approved", "form": None, "comment": "Fine.", "by": None}
    assert statuses(run) == [("ok", "succeeded"), ("b", "succeeded")]


def test_a_rejection_fails_no_step(tenant: Tenant) -> None:
    run = parked(tenant, approve(), output="{{ steps.ok.output.decision }}")
    approval_answer(run=run, path="ok", actor=None, decision="rejected")
    drive()
    assert (run.refresh().status, run.output) == ("succeeded", "rejected")


def test_the_first_answer_counts_and_the_second_hears_of_it(tenant: Tenant, operator: User) -> None:
    run = parked(tenant, approve())
    run_resolve(actor=actor_for_user(operator, "acme"), run=run, path="ok", decision="approved")
    with pytest.raises(
        Conflict, match=r"answered already\. Approved by operator-of-acme, today .* first answer counts"
    ):
        approval_answer(run=run, path="ok", actor=None, decision="rejected")
    drive()
    with pytest.raises(Conflict, match="Approved by operator-of-acme"):
        approval_answer(run=run, path="ok", actor=None, decision="rejected")
    assert the_answer(run).document["decision"] == "approved"


def test_of_many_answers_at_once_one_counts(tenant: Tenant) -> None:
    run = parked(tenant, approve(), callback("cb"))
    results: list[str] = []
    barrier = threading.Barrier(6)

    def answer(number: int) -> None:
        barrier.wait()
        try:
            approval_answer(run=run, path="ok", actor=None, decision="approved", comment=str(number))
            results.append("taken")
        except Conflict:
            results.append("late")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["late"] * 5 + ["taken"]
    assert run.refresh().signals == 1


@pytest.mark.parametrize(
    ("approvers", "who", "may"),
    [
        (["editor-of-acme"], "editor-of-acme", True),
        (["editor-of-acme"], "owner-of-acme", False),
        (["viewer-of-acme"], "viewer-of-acme", True),
        (["editor"], "editor-of-acme", True),
        (["editor"], "owner-of-acme", True),
        (["editor"], "operator-of-acme", False),
        (["nobody", "viewer"], "viewer-of-acme", True),
        (["viewer"], "owner-of-globex", False),
        (["owner-of-globex"], "owner-of-globex", False),
        (["editor"], None, False),
    ],
)
def test_who_is_asked_by_name_or_role_may_answer(
    tenant: Tenant,
    other_tenant: Tenant,
    make_member: Callable[..., User],
    approvers: list[str],
    who: str | None,
    may: bool,
) -> None:
    run = parked(tenant, approve(approvers=approvers))
    actor = None
    if who is not None:
        role, _, slug = who.partition("-of-")
        actor = actor_for_user(make_member({"acme": tenant, "globex": other_tenant}[slug], Role(role)), slug)
    if may:
        approval_answer(run=run, path="ok", actor=actor, decision="approved")
        assert the_answer(run).document["by"] == who
        assert the_answer(run).by == (actor.user if actor else None)
    else:
        with pytest.raises(Forbidden):
            approval_answer(run=run, path="ok", actor=actor, decision="approved")
        assert not Answer.objects.for_tenant(tenant).exists()


def test_a_role_is_not_met_by_a_user_who_is_called_so(tenant: Tenant, make_member: Callable[..., User]) -> None:
    run = parked(tenant, approve(approvers=["owner"]))
    actor = actor_for_user(make_member(tenant, Role.VIEWER, "owner"), "acme")
    with pytest.raises(Forbidden, match="not among those who are asked: role owner or above"):
        approval_answer(run=run, path="ok", actor=actor, decision="approved")


@pytest.mark.parametrize("approvers", [["operator"], []])
def test_who_started_the_run_may_be_excluded(
    tenant: Tenant, operator: User, editor: User, approvers: list[str]
) -> None:
    requester, other = actor_for_user(operator, "acme"), actor_for_user(editor, "acme")
    run = parked(tenant, approve(approvers=approvers, exclude_requester=True), actor=requester)
    with pytest.raises(Forbidden, match="You started this run"):
        approval_answer(run=run, path="ok", actor=requester, decision="approved")
    with pytest.raises(Forbidden, match="You started this run"):
        run_resolve(actor=requester, run=run, path="ok", decision="approved")
    # Without a name nobody can tell that it is somebody else.
    with pytest.raises(Forbidden, match="Only members of Acme"):
        approval_answer(run=run, path="ok", actor=None, decision="approved")
    approval_answer(run=run, path="ok", actor=other, decision="approved")


@pytest.mark.parametrize(
    ("decision", "form", "problems"),
    [
        ("approved", {"amount": 101}, {"form.amount": "At most 100"}),
        ("approved", {"amount": "much"}, {"form.amount": "a number is needed"}),
        ("approved", None, {"form.amount": "Fill this in."}),
        ("approved", {"amount": 1, "x": 2}, {"form.x": "no such field"}),
        ("approved", [], {"form": "is an object"}),
        ("rejected", {"amount": 101}, {"form.amount": "At most 100"}),
        ("approved", {"amount": 7}, {}),
        ("rejected", {"why": "too much"}, {}),
        ("rejected", None, {}),
        ("rejected", {}, {}),
    ],
)
def test_a_form_is_held_against_its_schema(tenant: Tenant, decision: str, form: Any, problems: dict[str, str]) -> None:
    run = parked(tenant, approve(form=FORM), output="{{ steps.ok.output.form }}")
    if problems:
        with pytest.raises(Invalid) as caught:
            approval_answer(run=run, path="ok", actor=None, decision=decision, form=form)
        assert [problem.path for problem in caught.value.problems] == list(problems)
        assert all(text in caught.value.problems[0].message for text in problems.values())
    else:
        approval_answer(run=run, path="ok", actor=None, decision=decision, form=form)
        drive()
        assert run.refresh().output == form


def test_a_form_that_cannot_be_used_can_still_be_rejected(tenant: Tenant) -> None:
    run = parked(tenant, approve(form={"type": "objekt"}))
    with pytest.raises(Invalid) as caught:
        approval_answer(run=run, path="ok", actor=None, decision="approved", form={})
    assert "schema itself is wrong" in caught.value.problems[0].message
    approval_answer(run=run, path="ok", actor=None, decision="rejected", form={})


def test_what_is_too_long_or_no_decision_is_refused(tenant: Tenant) -> None:
    run = parked(tenant, approve())
    for wrong in (
        {"decision": "succeeded"},
        {"decision": ""},
        {"decision": "approved", "comment": "x" * 2_001},
        {"decision": "approved", "form": {"a": 1}},
    ):
        with pytest.raises(Invalid):
            approval_answer(run=run, path="ok", actor=None, **wrong)  # type: ignore[arg-type]
    assert not Answer.objects.for_tenant(tenant).exists()


def test_before_the_step_is_reached_and_after_its_run_nothing_is_answered(tenant: Tenant, owner: User) -> None:
    run = parked(tenant, approve("first"), approve("ok"), callback("cb"))
    with pytest.raises(Conflict, match=r"does not wait for an answer at ok\. It waits for an approval at first\."):
        approval_answer(run=run, path="ok", actor=None, decision="approved")
    with pytest.raises(TooEarly, match="Send it again in a moment"):
        callback_receive(run=run, path="cb", document=BODY)
    services.run_cancel(actor=actor_for_user(owner, "acme"), run=run)
    for path in ("first", "ok"):
        with pytest.raises(Conflict, match=r"has ended \(cancelled\)"):
            approval_answer(run=run, path=path, actor=None, decision="approved")
    with pytest.raises(Gone, match="has ended"):
        callback_receive(run=run, path="cb", document=BODY)


def test_after_its_time_nothing_is_answered(tenant: Tenant) -> None:
    run = parked(tenant, approve(timeout=60), callback("cb", timeout=60))
    StepRun.unscoped.filter(run=run, path="ok").update(started_at=timezone.now() - timedelta(seconds=61))
    with pytest.raises(Conflict, match=r"The time to answer is over\. It was"):
        approval_answer(run=run, path="ok", actor=None, decision="approved")
    Run.unscoped.filter(pk=run.pk).update(wake_at=timezone.now())
    drive()
    assert run.refresh().error["kind"] == "timeout"
    with pytest.raises(Conflict, match=r"has ended \(failed\)"):
        approval_answer(run=run, path="ok", actor=None, decision="approved")


def test_a_step_that_went_on_without_an_answer_takes_none(tenant: Tenant) -> None:
    first = {**approve("ok", timeout=60), "config": {**approve("ok", timeout=60)["config"], "on_error": "continue"}}
    run = parked(tenant, first, callback("cb"))
    StepRun.unscoped.filter(run=run, path="ok").update(started_at=timezone.now() - timedelta(seconds=61))
    Run.unscoped.filter(pk=run.pk).update(wake_at=timezone.now())
    drive()
    assert run.refresh().waiting_for == {"path": "cb", "kind": "callback"}
    with pytest.raises(Conflict, match="The time to answer is over"):
        approval_answer(run=run, path="ok", actor=None, decision="approved")


def test_a_call_goes_on_with_what_it_brought(tenant: Tenant) -> None:
    run = parked(tenant, callback(), output="{{ steps.cb.output }}")
    assert callback_receive(run=run, path="cb", document=BODY)
    assert not callback_receive(run=run, path="cb", document={**BODY, "body": "second"})
    drive()
    assert (run.refresh().status, run.output) == ("succeeded", BODY)
    # An answer that got lost is asked for again, however long it takes.
    assert not callback_receive(run=run, path="cb", document=BODY)
    assert not AuditEvent.objects.for_tenant(tenant).filter(action="run.resolved").exists()


def test_a_large_call_is_kept_off_the_row(tenant: Tenant) -> None:
    run = parked(tenant, callback())
    large = {**BODY, "body": "x" * 200_000}
    assert callback_receive(run=run, path="cb", document=large)
    answer = the_answer(run)
    assert answer.document is None
    assert Payload.objects.for_tenant(tenant).get(pk=answer.document_ref).run_id == run.pk
    drive()
    (row,) = rows(run.refresh(), "cb")
    assert (run.status, row.status) == ("succeeded", "succeeded")


def test_what_no_run_could_keep_is_refused_at_the_door(tenant: Tenant) -> None:
    run = parked(tenant, callback())
    deep: Any = "x"
    for _ in range(64):
        deep = [deep]
    for body in (deep, "x" * 11_000_000):
        with pytest.raises(Invalid, match="cannot be kept"):
            callback_receive(run=run, path="cb", document={**BODY, "body": body})
    assert run.refresh().signals == 0


def test_every_iteration_of_a_loop_is_answered_by_itself(tenant: Tenant) -> None:
    loop = step("each", "flow.foreach", inputs={"items": [10, 20, 30], "concurrency": 3})
    loop["lanes"] = {"body": [approve("ok"), step("say", inputs={"values": {"c": "{{ steps.ok.output.comment }}"}})]}
    run = parked(tenant, loop, output="{{ steps.each.output }}")
    for index in (2, 0, 1):
        assert run.refresh().status == "waiting"
        approval_answer(run=run, path=f"each[{index}].ok", actor=None, decision="approved", comment=f"c{index}")
        drive()
    assert (run.refresh().status, run.output) == ("succeeded", [{"c": "c0"}, {"c": "c1"}, {"c": "c2"}])


def test_calls_of_a_loop_may_come_all_at_once(tenant: Tenant) -> None:
    loop = step("each", "flow.foreach", inputs={"items": list(range(8)), "concurrency": 4})
    loop["lanes"] = {"body": [callback("cb")]}
    run = start(make_workflow(tenant, loop, output="{{ steps.each.output }}"))
    taken: dict[int, int] = {}

    def call(index: int) -> None:
        def tried() -> bool:
            try:
                return callback_receive(run=run, path=f"each[{index}].cb", document={**BODY, "body": index})
            except TooEarly:
                return False

        until(tried, seconds=20)
        taken[index] = index
        connections.close_all()

    with driving():
        threads = [threading.Thread(target=call, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: run.refresh().status == "succeeded", seconds=20)
    assert sorted(taken) == list(range(8))
    assert [item["body"] for item in run.output] == list(range(8))


def test_an_answer_that_comes_while_the_run_is_just_parking_is_not_slept_over(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(ctx: Any) -> Any:
        import asyncio

        await asyncio.sleep(0.3)
        return None

    both = step("par", "flow.parallel", inputs={})
    both["lanes"] = {"left": [approve("ok")], "right": [step("slow", "slow.call"), callback("cb")]}
    ending, answered = RunDrive._ending, []

    def late(self: RunDrive, outcome: Outcome) -> Ending:
        """Have the approval answered after the driver decided to park, and before that is written."""
        if isinstance(outcome, Parked) and not answered:
            thread = threading.Thread(target=answer_it)
            thread.start()
            thread.join()
        return ending(self, outcome)

    def answer_it() -> None:
        approval_answer(run=run, path="ok", actor=None, decision="approved")
        answered.append(run.refresh().status)
        connections.close_all()

    monkeypatch.setattr(RunDrive, "_ending", late)
    with registry.temporarily(make_action("slow.call", slow)):
        run = start(make_workflow(tenant, both))
        drive()
        # The driver may have ended just then: a run that is due is found by the next one.
        drive()
    assert answered == ["running"]
    assert rows(run, "ok")[0].status == "succeeded"
    assert run.refresh().waiting_for == {"path": "cb", "kind": "callback"}
    assert run.wake_at is None


@pytest.mark.parametrize(
    ("decision", "status", "output"),
    [("succeeded", "succeeded", {"id": 7}), ("retry", "succeeded", {"sent": True}), ("failed", "failed", None)],
)
def test_a_person_says_what_became_of_a_lost_call(
    tenant: Tenant, operator: User, decision: str, status: str, output: Any
) -> None:
    run = lost(tenant)
    actor = actor_for_user(operator, "acme")
    run_resolve(actor=actor, run=run, path="send", decision=decision, output={"id": 7}, comment="I looked.")
    with pytest.raises(Conflict, match=rf"Said by operator-of-acme, .*: {decision}\."):
        run_resolve(actor=actor, run=run, path="send", decision="retry")
    assert (resumed(run).status, run.output) == (status, output)
    assert the_answer(run).document["comment"] == "I looked."
    (event,) = AuditEvent.objects.for_tenant(tenant).filter(action="run.resolved")
    assert (event.actor, event.detail) == (
        operator,
        {"path": "send", "kind": "outcome_unknown", "decision": decision},
    )
    if decision == "failed":
        assert run.error["kind"] == "outcome_unknown"


def test_a_decision_about_an_earlier_attempt_does_not_count_for_the_next(tenant: Tenant, operator: User) -> None:
    run = lost(tenant)
    actor = actor_for_user(operator, "acme")
    StepRun.unscoped.filter(run=run).update(attempt=2)
    with pytest.raises(Conflict, match="asks about attempt 2 now"):
        run_resolve(actor=actor, run=run, path="send", decision="succeeded", attempt=1)
    run_resolve(actor=actor, run=run, path="send", decision="retry", attempt=2)
    assert the_answer(run).attempt == 2


def test_resolving_says_what_is_wrong(tenant: Tenant, operator: User, viewer: User) -> None:
    actor = actor_for_user(operator, "acme")
    run = lost(tenant)

    def refused(kind: type[Exception], words: str, path: str = "send", decision: str = "retry") -> None:
        with pytest.raises(kind, match=words):
            run_resolve(actor=actor, run=run, path=path, decision=decision)

    refused(Invalid, "send succeeded or retry or failed", decision="approved")
    refused(NotFound, "no step at that path", path="nothing")
    refused(NotFound, "no step at that path", path="each[1].send")
    refused(NotFound, "no step at that path", path="send\0")
    refused(Conflict, r"does not wait for an answer at b\. It waits for somebody to say .* at send\.", path="b")
    with pytest.raises(Forbidden, match="needs the role operator"):
        run_resolve(actor=actor_for_user(viewer, "acme"), run=run, path="send", decision="retry")
    run = parked(tenant, callback(), step("w", "flow.wait", inputs={"seconds": 60}), slug="calls")
    refused(Invalid, "waits for a call back, which no decision takes the place of", path="cb")
    assert not Answer.objects.for_tenant(tenant).exists()


def test_an_operator_who_is_not_asked_cannot_resolve_an_approval(tenant: Tenant, operator: User, owner: User) -> None:
    run = parked(tenant, approve(approvers=["admin"]))
    with pytest.raises(Forbidden, match="not among those who are asked: role admin or above"):
        run_resolve(actor=actor_for_user(operator, "acme"), run=run, path="ok", decision="approved")
    with pytest.raises(Invalid, match="send approved or rejected"):
        run_resolve(actor=actor_for_user(owner, "acme"), run=run, path="ok", decision="retry")
    run_resolve(actor=actor_for_user(owner, "acme"), run=run, path="ok", decision="approved")
    assert the_answer(run).document["by"] == owner.username


def test_a_run_that_failed_for_good_is_not_resolved(tenant: Tenant, operator: User) -> None:
    run = lost(tenant)
    Run.unscoped.filter(pk=run.pk).update(status="failed", finished_at=timezone.now(), wake_at=None, waiting_for=None)
    with pytest.raises(Conflict, match=r"has ended \(failed\)"):
        run_resolve(actor=actor_for_user(operator, "acme"), run=run, path="send", decision="retry")


def test_an_answer_with_only_the_link_is_in_the_audit_log_too(tenant: Tenant) -> None:
    run = parked(tenant, approve())
    approval_answer(run=run, path="ok", actor=None, decision="approved")
    (event,) = AuditEvent.objects.for_tenant(tenant).filter(action="run.resolved")
    assert event.actor is None
    assert event.detail == {
        "path": "ok",
        "kind": "approval",
        "decision": "approved",
        "by": "somebody who had the link",
    }


def test_what_can_be_answered_is_listed_until_it_is(tenant: Tenant) -> None:
    loop = step("each", "flow.foreach", inputs={"items": [1, 2, 3], "concurrency": 3})
    loop["lanes"] = {"body": [approve("ok")]}
    run = parked(tenant, loop)
    found, more = open_questions(run, 2)
    assert ([asked.path for asked in found], more) == (["each[0].ok", "each[1].ok"], 1)
    approval_answer(run=run, path="each[0].ok", actor=None, decision="approved")
    found, more = open_questions(run, 2)
    assert ([asked.path for asked in found], more) == (["each[1].ok", "each[2].ok"], 0)
    (unknown,), _ = open_questions(lost(tenant, slug="lost"), 5)
    assert (unknown.kind, unknown.path, unknown.standing) == ("outcome_unknown", "send", Standing.OPEN)


def test_an_address_leads_to_its_step_alone(tenant: Tenant) -> None:
    loop = step("each", "flow.foreach", inputs={"items": list(range(300)), "concurrency": 2})
    loop["lanes"] = {"body": [callback("cb")]}
    run = parked(tenant, loop, approve("ok"))
    for path, action in (("each[1].cb", "flow.callback"), ("each[250].cb", "flow.callback"), ("ok", "flow.approve")):
        found = asked_at(token_of(run.pk, path), action)
        assert found is not None
        assert (found.path, found.run.pk) == (path, run.pk)
    assert asked_at(token_of(run.pk, "ok"), "flow.callback") is None
    assert asked_at(token_of(run.pk, "each[1].cb"), "flow.approve") is None
    assert asked_at(token_of(run.pk + 1, "ok"), "flow.approve") is None
    assert asked_at(token_of(run.pk, "elsewhere"), "flow.approve") is None
    token = token_of(run.pk, "ok")
    for wrong in ("", "x", "a" * 32, token[:-1] + ("B" if token[-1] == "A" else "A"), "ü" * 32):
        assert asked_at(wrong, "flow.approve") is None


def test_a_path_of_another_tenants_run_is_no_way_in(tenant: Tenant, stranger: User) -> None:
    run = parked(tenant, approve())
    actor = actor_for_user(stranger, "globex")
    with pytest.raises(NotFound):
        run_resolve(actor=actor, run=run, path="ok", decision="approved")
    assert not Answer.objects.for_tenant(tenant).exists()


def test_nobody_answers_a_step_whose_settings_cannot_be_read(tenant: Tenant, owner: User) -> None:
    run = parked(tenant, approve())
    StepRun.unscoped.filter(run=run).update(inputs={"message": "Refund?", "approvers": 7})
    assert asked_of(run, "ok").approval is None
    for actor in (None, actor_for_user(owner, "acme")):
        with pytest.raises(Forbidden, match="cannot be read"):
            approval_answer(run=run, path="ok", actor=actor, decision="approved")


def test_answering_rings_for_a_worker(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    run = parked(tenant, approve())
    rung: list[bool] = []
    monkeypatch.setattr(answers.doorbell, "ring", lambda: rung.append(True))
    approval_answer(run=run, path="ok", actor=None, decision="approved")
    assert rung == [True]


def test_an_answer_of_the_last_moment_counts_although_its_driver_has_not_heard_of_it(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunDrive, "inform", lambda self, signals: None)
    run = start(make_workflow(tenant, approve(timeout=1), output="{{ steps.ok.output.decision }}"))
    with driving():
        until(lambda: rows(run, "ok"))
        approval_answer(run=run, path="ok", actor=None, decision="approved")
        until(lambda: run.refresh().status in ("succeeded", "failed"))
    assert (run.status, run.output) == ("succeeded", "approved")
