"""The trigger's panel listens; what the draft is built with is the latest data, or what somebody chose."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import reverse

from orchestrator.builder import testing
from orchestrator.builder.listening import as_curl
from orchestrator.errors import Conflict, NotFound
from orchestrator.flow.names import TriggerType
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from runs import sample_rows, samples
from runs.models import Run, Sample, TestData
from runs.services import run_start_by_actor, step_test
from runs.sweeper import delete_runs
from runs.triggers.addresses import Address
from runs.triggers.samples import keep_sample
from tests.runs.ground import drive, step

pytestmark = pytest.mark.django_db(transaction=True)
DOCUMENT = {
    "name": "Leads",
    "triggers": [{"key": "hook", "type": "webhook", "config": {}}, {"key": "hand", "type": "manual", "config": {}}],
    "steps": [
        step("first", inputs={"values": {"name": "{{ trigger.body.name }}"}}),
        step("second", inputs={"values": {"said": "{{ steps.first.output.name }}"}}),
    ],
}


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def builder(client: Client, editor: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(testing, "TEST_SECONDS", 0)
    client.force_login(editor)
    return client


def address(name: str, workflow: Workflow, *parts: str) -> str:
    return reverse(name, args=["acme", workflow.pk, *parts])


def trigger_of(workflow: Workflow) -> Trigger:
    found: Trigger = Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="hook")
    return found


def record(workflow: Workflow, body: Any) -> Sample:
    """Keep a request as one to an address that is not published is."""
    trigger = trigger_of(workflow)
    keep_sample(
        Address(
            digest="", trigger_id=trigger.pk, tenant_id=workflow.tenant_id, workflow_id=workflow.pk, key="hook",
            version_id=None, enabled=False, config={}, tenant_limit=None, type=TriggerType.WEBHOOK, row=(),
        ),
        {"type": "webhook", "key": "hook", "body": body, "headers": {}, "query": {}, "method": "POST"},
    )  # fmt: skip
    return Sample.objects.for_tenant(workflow.tenant_id).filter(trigger=trigger).latest("pk")


def run_draft(actor: Actor, workflow: Workflow, name: str) -> Run:
    run = run_start_by_actor(actor=actor, workflow=workflow, payload={"name": name}, version="draft")
    drive()
    return run.refresh()


def name_shown(builder: Client, workflow: Workflow) -> str:
    """Return what the second step's data column says that the first one gave."""
    trigger, steps = builder.get(address("workflow-step", workflow, "second")).context["sources"]
    return f"{trigger.tree}|{steps.tree}"


def body_of_a_step_test(actor: Actor, workflow: Workflow) -> Any:
    return step_test(actor=actor, workflow=workflow, key="second").trigger["body"]


def test_a_request_that_was_only_kept_is_the_example(builder: Client, actor: Actor, workflow: Workflow) -> None:
    record(workflow, {"name": "Kept"})
    assert "Kept" in name_shown(builder, workflow)
    assert body_of_a_step_test(actor, workflow) == {"name": "Kept"}


def test_the_later_of_run_and_kept_request_counts(actor: Actor, workflow: Workflow) -> None:
    record(workflow, {"name": "Kept"})
    run_draft(actor, workflow, "Run")
    assert body_of_a_step_test(actor, workflow) == {"name": "Run"}
    record(workflow, {"name": "Later"})
    assert body_of_a_step_test(actor, workflow) == {"name": "Later"}


def test_an_earlier_run_can_be_built_with_until_the_whole_is_tested_again(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    earlier = run_draft(actor, workflow, "Earlier")
    run_draft(actor, workflow, "Latest")
    assert "Latest" in name_shown(builder, workflow)
    answer = builder.post(address("workflow-data-choose", workflow), {"use": f"run-{earlier.pk}", "step": "second"})
    assert answer.headers["Location"] == address("workflow-step", workflow, "second")
    shown = name_shown(builder, workflow)
    assert shown.count("Earlier") > 1
    assert "Latest" not in shown
    html = builder.get(address("workflow-step", workflow, "second")).content.decode()
    assert "an earlier test" in html
    tested = step_test(actor=actor, workflow=workflow, key="second")
    assert tested.trigger["body"] == {"name": "Earlier"}
    assert tested.seed["steps"]["first"]["output"] == {"name": "Earlier"}
    run_draft(actor, workflow, "Newest")
    assert "Newest" in name_shown(builder, workflow)
    assert not TestData.objects.for_tenant(workflow.tenant_id).exists()


def test_a_step_tested_after_the_choice_counts_more_than_what_was_chosen(actor: Actor, workflow: Workflow) -> None:
    earlier = run_draft(actor, workflow, "Earlier")
    step_test(actor=actor, workflow=workflow, key="first", payload={"name": "Before"})
    drive()
    samples.data_choose(actor=actor, workflow=workflow, run=earlier)
    step_test(actor=actor, workflow=workflow, key="first", payload={"name": "Old"})
    chosen = samples.data_chosen(workflow)
    assert samples.last_outputs(workflow, chosen=chosen)["first"]["output"] == {"name": "Earlier"}
    drive()
    assert samples.last_outputs(workflow, chosen=chosen)["first"]["output"] == {"name": "Old"}


def test_what_the_chosen_run_did_not_reach_comes_from_the_latest(actor: Actor, workflow: Workflow) -> None:
    failed = run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft")
    drive()
    assert failed.refresh().status == "failed"
    run_draft(actor, workflow, "Latest")
    samples.data_choose(actor=actor, workflow=workflow, run=failed)
    outputs = samples.last_outputs(workflow, chosen=samples.data_chosen(workflow))
    assert outputs["second"]["output"] == {"said": "Latest"}


def test_a_kept_request_can_be_chosen_and_the_choice_taken_back(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    first, _second = record(workflow, {"name": "First"}), record(workflow, {"name": "Second"})
    answer = builder.post(address("workflow-data-choose", workflow), {"use": f"sample-{first.pk}", "trigger": "hook"})
    assert answer.headers["Location"] == address("workflow-trigger", workflow, "hook")
    assert body_of_a_step_test(actor, workflow) == {"name": "First"}
    assert "in use" in builder.get(address("workflow-trigger", workflow, "hook")).content.decode()
    builder.post(address("workflow-data-choose", workflow), {"use": "", "step": "second"})
    assert samples.data_chosen(workflow) is None


def test_pruning_the_chosen_run_leads_back_to_the_latest(actor: Actor, workflow: Workflow) -> None:
    earlier = run_draft(actor, workflow, "Earlier")
    run_draft(actor, workflow, "Latest")
    samples.data_choose(actor=actor, workflow=workflow, run=earlier)
    delete_runs([earlier.pk])
    assert body_of_a_step_test(actor, workflow) == {"name": "Latest"}


def at_once(*acts: Callable[[], object]) -> list[Exception]:
    """Do all of it in threads that begin together; return what was raised."""
    barrier, raised = threading.Barrier(len(acts)), list[Exception]()

    def run(act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            for _ in range(10):
                act()
        except Exception as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_of_many_who_choose_at_once_the_last_one_counts(actor: Actor, workflow: Workflow) -> None:
    runs = [run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft") for _ in range(4)]
    choices = [partial(samples.data_choose, actor=actor, workflow=workflow, run=run) for run in runs]
    assert at_once(*choices) == []
    assert TestData.objects.for_tenant(workflow.tenant_id).count() == 1


def test_a_request_is_kept_while_its_sample_is_chosen_as_its_last_moment_comes(
    actor: Actor, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_rows, "SAMPLES_KEPT", 1)
    record(workflow, {"name": "First"})

    def choose() -> None:
        sample = Sample.objects.for_tenant(workflow.tenant_id).first()
        with suppress(NotFound):
            samples.data_choose(actor=actor, workflow=workflow, sample=sample)

    assert at_once(choose, choose, lambda: record(workflow, {"name": "Next"})) == []
    assert Sample.objects.for_tenant(workflow.tenant_id).count() == 1


def test_a_request_is_kept_while_its_workflow_is_published(actor: Actor, workflow: Workflow) -> None:
    publish = partial(services.publish, actor=actor, workflow=workflow)
    assert at_once(publish, partial(record, workflow, {}), partial(record, workflow, {})) == []


@pytest.mark.parametrize(
    "use", ["run-", "run-x", "sample-٣", "run-" + "9" * 40, "run-" + "9" * 19, "-", "x" * 10_000, "sample-1"]
)
def test_garbage_chooses_nothing(builder: Client, workflow: Workflow, use: str) -> None:
    answer = builder.post(address("workflow-data-choose", workflow), {"use": use, "step": "../../x", "trigger": "no"})
    assert answer.headers["Location"] == address("workflow", workflow)
    assert samples.data_chosen(workflow) is None


def test_the_run_of_another_workflow_or_tenant_is_refused(
    builder: Client, actor: Actor, workflow: Workflow, stranger: User, other_tenant: Tenant
) -> None:
    other = services.workflow_create(actor=actor, document={**DOCUMENT, "name": "Other"})
    theirs = run_start_by_actor(actor=actor, workflow=other, payload={}, version="draft")
    with pytest.raises(Conflict):
        samples.data_choose(actor=actor, workflow=workflow, run=theirs)
    builder.post(address("workflow-data-choose", workflow), {"use": f"run-{theirs.pk}"})
    assert samples.data_chosen(workflow) is None
    owner = actor_for_user(stranger, other_tenant.slug)
    foreign = services.workflow_create(actor=owner, document=DOCUMENT)
    run = run_start_by_actor(actor=owner, workflow=foreign, payload={}, version="draft")
    answer = builder.post(address("workflow-data-choose", workflow), {"use": f"run-{run.pk}"})
    assert answer.status_code == 404


def test_a_viewer_sees_the_data_and_chooses_nothing(client: Client, viewer: User, workflow: Workflow) -> None:
    client.force_login(viewer)
    sample = record(workflow, {"name": "Kept"})
    html = client.get(address("workflow-trigger", workflow, "hook")).content.decode()
    assert "Kept" in html
    assert 'name="use"' not in html
    assert client.get(address("workflow-data", workflow)).status_code == 200
    assert client.post(address("workflow-data-choose", workflow), {"use": f"sample-{sample.pk}"}).status_code == 403


def test_who_listens_hears_of_a_request_and_nothing_while_there_is_none(builder: Client, workflow: Workflow) -> None:
    page = address("workflow-trigger", workflow, "hook")
    url = builder.get(page).context["trigger"].listening.url
    asks = {"headers": {"HX-Request": "true"}}
    assert builder.get(url, **asks).status_code == 204
    record(workflow, {"name": "<script>alert(1)</script>"})
    part = builder.get(url, **asks)
    assert part.status_code == 200
    assert "&lt;script&gt;" in part.content.decode()
    assert "<html" not in part.content.decode()
    assert builder.get(part.context["trigger"].listening.url, **asks).status_code == 204


def test_a_run_changes_what_is_heard_when_it_ends(builder: Client, actor: Actor, workflow: Workflow) -> None:
    builder.post(address("workflow-test", workflow), {"payload": '{"name": "Ada"}', "trigger": "hook"})
    page = address("workflow-trigger", workflow, "hook")
    before = builder.get(page).context["trigger"].listening
    assert [line.status for line in before.lines] == ["queued"]
    drive()
    after = builder.get(before.url, headers={"HX-Request": "true"}).context["trigger"].listening
    assert [line.status for line in after.lines] == ["succeeded"]


def test_the_runs_to_choose_from_cost_the_same_whatever_their_number(
    builder: Client, actor: Actor, workflow: Workflow, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        run_start_by_actor(actor=actor, workflow=workflow, payload={"n": number}, version="draft")
    with django_assert_max_num_queries(10):
        html = builder.get(address("workflow-data", workflow), {"step": "second"}).content.decode()
    assert html.count('name="use"') == 5
    assert address("workflow-step", workflow, "second") in html


@pytest.mark.parametrize("name", ["../../etc", "UPPER", "x" * 5_000, "'\"<>", "first\0"])
def test_the_step_to_go_back_to_is_a_step_or_nothing(builder: Client, workflow: Workflow, name: str) -> None:
    answer = builder.get(address("workflow-data", workflow), {"step": name})
    assert answer.status_code == 200
    assert answer.context["step"] == ""
    answer = builder.post(address("workflow-data-choose", workflow), {"step": name, "trigger": name})
    assert answer.headers["Location"] == address("workflow", workflow)


def test_the_command_that_sends_a_sample_is_quoted_for_a_shell() -> None:
    made = as_curl("http://h/x", "POST", '{"it": "isn\'t $HOME"}')
    assert made == """curl -X POST http://h/x -H 'Content-Type: application/json' -d '{"it": "isn'"'"'t $HOME"}'"""
    assert as_curl("http://h/x", "GET", " ") == "curl -X GET http://h/x"
    assert as_curl("http://h/x", "POST", "{nope").endswith(" -d '{nope'")


def test_the_last_failure_stays_beside_a_success(builder: Client, actor: Actor, workflow: Workflow) -> None:
    step_test(actor=actor, workflow=workflow, key="first", payload={})
    drive()
    step_test(actor=actor, workflow=workflow, key="first", payload={"name": "Ada"})
    drive()
    page = address("workflow-step", workflow, "first")
    result = builder.get(page).context["result"]
    assert [tab.name for tab in result.tabs] == ["output", "input", "failure"]
    assert result.value == {"name": "Ada"}
    failure = builder.get(page, {"show": "failure"}).context["result"]
    assert "trigger.body.name" in failure.told.message
    step_test(actor=actor, workflow=workflow, key="first", payload={})
    drive()
    result = builder.get(page).context["result"]
    assert [tab.name for tab in result.tabs] == ["error", "success"]
    assert builder.get(page, {"show": "success"}).context["result"].value == {"name": "Ada"}


@pytest.mark.parametrize("show", ["", "nope", "log", "x" * 9_000, "<b>"])
def test_a_part_that_is_not_there_is_the_first(builder: Client, actor: Actor, workflow: Workflow, show: str) -> None:
    step_test(actor=actor, workflow=workflow, key="first", payload={"name": "Ada"})
    drive()
    assert builder.get(address("workflow-step", workflow, "first"), {"show": show}).context["result"].shown == "output"


# Mending a run that stopped.


def failed_run(actor: Actor, workflow: Workflow) -> Run:
    run = run_start_by_actor(actor=actor, workflow=workflow, payload={"nome": "Ada"}, version="draft")
    drive()
    assert run.refresh().status == "failed"
    return run


def test_who_comes_from_a_run_sees_its_data_and_goes_on_from_the_step_with_the_draft(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    run = failed_run(actor, workflow)
    record(workflow, {"name": "Later"})
    page = address("workflow-step", workflow, "first")
    shown = builder.get(page, {"run": run.pk})
    assert "nome" in str(shown.context["sources"][0].tree)
    assert "Run again from here" in shown.content.decode()
    assert samples.data_chosen(workflow) is None, "a look changes nothing"
    posted = {"run": run.pk, "then": "again", "in.values.k0": "name", "in.values.v0": "{{ trigger.body.nome }}"}
    answer = builder.post(page, posted)
    again = Run.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert answer.headers["Location"] == reverse("run", args=["acme", again.pk])
    assert (again.rerun_of_id, again.seed["from"]) == (run.pk, "first")
    drive()
    assert again.refresh().status == "succeeded"
    assert again.steps.get(key="second").output == {"said": "Ada"}


def test_a_test_beside_a_run_that_is_mended_reads_its_data(builder: Client, actor: Actor, workflow: Workflow) -> None:
    run = failed_run(actor, workflow)
    record(workflow, {"name": "Later"})
    page = address("workflow-step", workflow, "first")
    answer = builder.post(page, {"run": run.pk, "then": "test"})
    assert f"run={run.pk}" in answer.headers["Location"]
    tested = Run.objects.for_tenant(workflow.tenant_id).latest("pk")
    assert tested.trigger["body"] == {"nome": "Ada"}


def test_a_mend_that_cannot_be_saved_starts_nothing(builder: Client, actor: Actor, workflow: Workflow) -> None:
    run = failed_run(actor, workflow)
    count = Run.objects.for_tenant(workflow.tenant_id).count()
    page = address("workflow-step", workflow, "first")
    answer = builder.post(page, {"run": run.pk, "then": "again", "on_error": "fail", "timeout": "soon"})
    assert answer.status_code == 400
    assert Run.objects.for_tenant(workflow.tenant_id).count() == count


@pytest.mark.parametrize("run", ["", "x", "٣", "9" * 40, "-1", "1"])
def test_a_run_that_is_not_there_is_not_mended(builder: Client, workflow: Workflow, run: str) -> None:
    page = address("workflow-step", workflow, "first")
    assert "Run again from here" not in builder.get(page, {"run": run}).content.decode()
    assert builder.post(page, {"run": run, "then": "again"}).headers["Location"] == page


def test_a_run_that_goes_on_and_the_run_of_another_workflow_are_not_mended(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    open_run = run_start_by_actor(actor=actor, workflow=workflow, payload={}, version="draft")
    other = services.workflow_create(actor=actor, document={**DOCUMENT, "name": "Other"})
    theirs = failed_run(actor, other)
    Run.unscoped.filter(pk=open_run.pk).update(status="queued", finished_at=None, error=None, failure_kind="")
    for run in (open_run, theirs):
        html = builder.get(address("workflow-step", workflow, "first"), {"run": run.pk}).content.decode()
        assert "Run again from here" not in html
