import pytest

from orchestrator.errors import Conflict, Forbidden, Invalid
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import selectors, services
from orchestrator.workflows.models import Trigger, Workflow, WorkflowVersion

DOCUMENT = {
    "name": "Greet",
    "slug": "greet",
    "triggers": [{"key": "hook", "type": "webhook", "config": {"methods": ["POST"], "response": "accepted"}}],
    "steps": [
        {"key": "who", "action": "hello.world", "config": {"inputs": {"name": "{{ trigger.body.name }}"}}},
        {"key": "again", "action": "hello.world", "config": {"inputs": {"name": "{{ steps.who.output.message }}"}}},
    ],
}


@pytest.fixture
def actor(tenant: Tenant, editor: object) -> Actor:
    return actor_for_user(editor, tenant.slug)  # type: ignore[arg-type]


def test_a_document_comes_back_as_it_was_sent(actor: Actor) -> None:
    lanes = {**DOCUMENT, "slug": "lanes", "steps": [
        {"key": "big", "action": "flow.if", "config": {"inputs": {"condition": "{{ true }}"}},
         "lanes": {"then": [{"key": "a", "action": "hello.world", "credential": "missing"}], "else": []}},
    ]}  # fmt: skip
    workflow = services.workflow_create(actor=actor, document=lanes)
    document = selectors.draft_document(workflow.refresh())
    assert document["steps"][0]["lanes"] == {
        "then": [{"key": "a", "name": "", "action": "hello.world", "credential": "missing", "config": {}}],
        "else": [],
    }
    assert document["triggers"] == DOCUMENT["triggers"]


def test_publish_makes_an_immutable_numbered_version_and_enables_the_first_time(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    first = services.publish(actor=actor, workflow=workflow, note="first")
    assert (first.version.number, workflow.refresh().enabled) == (1, True)
    services.workflow_set_enabled(actor=actor, workflow=workflow, enabled=False)
    services.step_update(actor=actor, workflow=workflow, key="who", changes={"name": "Say hello"})
    second = services.publish(actor=actor, workflow=workflow)
    assert (second.version.number, workflow.refresh().enabled) == (2, False)
    kept = WorkflowVersion.objects.for_tenant(actor.tenant).get(workflow=workflow, number=1)
    assert kept.definition["steps"][0]["name"] == ""
    assert [w.code for w in first.warnings] == ["webhook_unprotected"]


def test_publish_lists_every_problem_with_its_path(actor: Actor) -> None:
    document = {
        **DOCUMENT,
        "steps": [
            {"key": "post", "action": "slack.sendMessage", "config": {"inputs": {"channel": "#a"}}},
            {"key": "then", "action": "hello.world", "config": {"inputs": {"name": "{{ steps.pots.output }}"}}},
            {"key": "odd", "action": "no.such", "config": {}},
            {"key": "bad", "action": "hello.world", "config": {"inputs": {"name": "{{ 1 + }}"}, "run_if": "{{ 'x' }}"}},
        ],
    }
    workflow = services.workflow_create(actor=actor, document=document)
    with pytest.raises(Invalid) as caught:
        services.publish(actor=actor, workflow=workflow)
    paths = {problem.path for problem in caught.value.problems}
    assert paths >= {
        "steps[0].credential",
        "steps[0].config.inputs.text",
        "steps[1].config.inputs.name",
        "steps[2].action",
        "steps[3].config.inputs.name",
        "steps[3].config.run_if",
    }
    nearest = next(p for p in caught.value.problems if p.path == "steps[1].config.inputs.name")
    assert "steps.post" in nearest.message
    assert not WorkflowVersion.objects.for_tenant(actor.tenant).exists()


def test_an_expression_of_a_known_wrong_type_is_a_problem(actor: Actor) -> None:
    steps = [
        DOCUMENT["steps"][0],
        {"key": "b", "action": "hello.world", "config": {"inputs": {"name": "{{ count(steps.who.output.message) }}"}}},
        {"key": "c", "action": "hello.world", "config": {"inputs": {"name": "{{ steps.who.output.mesage }}"}}},
    ]
    workflow = services.workflow_create(actor=actor, document={**DOCUMENT, "steps": steps})
    problems = {problem.path: problem for problem in services.check(workflow, actor=actor)}
    assert problems["steps[1].config.inputs.name"].code == "type"
    assert "steps.who.output.message" in problems["steps[2].config.inputs.name"].message


def test_a_lost_race_is_a_conflict_and_changes_nothing(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    services.workflow_patch(actor=actor, workflow=workflow, changes={"name": "One"}, if_match=1)
    with pytest.raises(Conflict):
        services.workflow_patch(actor=actor, workflow=workflow, changes={"name": "Two"}, if_match=1)
    assert workflow.refresh().name == "One"


def test_a_slug_that_is_taken_is_refused_and_one_left_out_is_made_unique(actor: Actor) -> None:
    services.workflow_create(actor=actor, document=DOCUMENT)
    with pytest.raises(Invalid) as caught:
        services.workflow_create(actor=actor, document=DOCUMENT)
    assert caught.value.problems[0].path == "slug"
    assert services.workflow_create(actor=actor, name="Greet").slug == "greet-2"


def test_steps_are_added_moved_and_removed_with_dense_positions(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, name="Edits")
    first = services.step_add(actor=actor, workflow=workflow, action="hello.world")
    second = services.step_add(actor=actor, workflow=workflow, action="slack.sendMessage", after=first.key)
    services.step_add(actor=actor, workflow=workflow, action="hello.world", after=first.key)
    keys = lambda: [step["key"] for step in selectors.draft_document(workflow.refresh())["steps"]]  # noqa: E731
    assert keys() == ["world", "world_2", "send_message"]
    services.step_move(actor=actor, workflow=workflow, key=second.key, direction="up")
    assert keys() == ["world", "send_message", "world_2"]
    services.step_remove(actor=actor, workflow=workflow, key="world")
    assert keys() == ["send_message", "world_2"]
    assert list(workflow.steps.order_by("position").values_list("position", flat=True)) == [0, 1]


def test_another_tenants_credential_is_never_bound(actor: Actor, other_tenant: Tenant, stranger: object) -> None:
    theirs = actor_for_user(stranger, other_tenant.slug)  # type: ignore[arg-type]
    vault.credential_create(
        actor=theirs, name="acme-slack", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-theirs"}
    )
    document = {**DOCUMENT, "steps": [
        {"key": "post", "action": "slack.sendMessage", "credential": "acme-slack",
         "config": {"inputs": {"channel": "#a", "text": "b"}}},
    ]}  # fmt: skip
    workflow = services.workflow_create(actor=actor, document=document)
    step = workflow.steps.get()
    assert (step.credential_id, step.credential_name) == (None, "acme-slack")
    assert "credential_unknown" in {problem.code for problem in services.check(workflow, actor=actor)}


def test_a_credential_in_use_is_deleted_only_by_force(actor: Actor) -> None:
    credential = vault.credential_create(
        actor=actor, name="acme-slack", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-ours"}
    )
    document = {**DOCUMENT, "steps": [
        {"key": "post", "action": "slack.sendMessage", "credential": "acme-slack",
         "config": {"inputs": {"channel": "#a", "text": "b"}}},
    ]}  # fmt: skip
    workflow = services.workflow_create(actor=actor, document=document)
    services.publish(actor=actor, workflow=workflow)
    with pytest.raises(Conflict):
        services.credential_delete_checked(actor=actor, credential=credential)
    services.credential_delete_checked(actor=actor, credential=credential, force=True)
    assert workflow.steps.get().credential_name == "acme-slack"


def test_a_trigger_dropped_from_the_draft_stays_live_until_the_next_publish(actor: Actor) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    services.publish(actor=actor, workflow=workflow)
    services.trigger_remove(actor=actor, workflow=workflow, key="hook")
    assert selectors.draft_document(workflow.refresh())["triggers"] == []
    assert Trigger.objects.for_tenant(actor.tenant).get().live_config is not None
    services.publish(actor=actor, workflow=workflow)
    assert Trigger.objects.for_tenant(actor.tenant).get().live_config is None


def test_a_viewer_changes_nothing_and_every_change_is_in_the_audit_log(
    actor: Actor, tenant: Tenant, viewer: object
) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    looking = actor_for_user(viewer, tenant.slug)  # type: ignore[arg-type]
    for call in (
        lambda: services.workflow_create(actor=looking, name="x"),
        lambda: services.publish(actor=looking, workflow=workflow),
        lambda: services.workflow_delete(actor=looking, workflow=workflow),
        lambda: services.step_remove(actor=looking, workflow=workflow, key="who"),
    ):
        with pytest.raises(Forbidden):
            call()
    services.publish(actor=actor, workflow=workflow)
    services.workflow_delete(actor=actor, workflow=workflow)
    assert not Workflow.objects.for_tenant(tenant).exists()
    actions = list(AuditEvent.objects.for_tenant(tenant).order_by("id").values_list("action", flat=True))
    assert actions == ["workflow.created", "workflow.published", "workflow.deleted"]
