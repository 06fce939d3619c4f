"""The builder's page: who may do what, what a form saves, and what stays as it was typed."""

from __future__ import annotations

import json
import re
import time
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orchestrator.builder import testing
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.vault import services as vault
from orchestrator.workflows import services
from orchestrator.workflows.models import Step, Trigger, Workflow
from orchestrator.workflows.selectors import draft_document
from runs.models import Run
from tests.runs.ground import ENDED, drive

DOCUMENT: dict[str, Any] = {
    "name": "Greet",
    "slug": "greet",
    "triggers": [
        {"key": "hook", "type": "webhook", "config": {"methods": ["POST"], "dedupe": "X-Delivery"}},
        {"key": "nightly", "type": "schedule", "config": {"cron": "0 3 * * *"}},
    ],
    "steps": [
        {"key": "who", "action": "hello.world", "config": {"inputs": {"name": "{{ trigger.body.name }}"}}},
        {
            "key": "big_one",
            "action": "flow.if",
            "config": {"inputs": {"condition": "{{ true }}"}},
            "lanes": {"then": [{"key": "inner", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}]},
        },
        {"key": "odd", "action": "weather.today", "config": {"inputs": {"url": "http://127.0.0.1:9/"}}},
        {"key": "post", "action": "slack.sendMessage", "config": {"inputs": {"channel": "#a"}}},
    ],
}
POSTED = {
    "name": "Say hello", "retry_attempts": "", "retry_delay": "", "timeout": "",
    "on_error": "fail", "run_if": "", "notes": "",
}  # fmt: skip


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def workflow(actor: Actor) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def builder(client: Client, editor: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A browser of an editor; tests of steps do not hold it up, because no worker runs here."""
    monkeypatch.setattr(testing, "TEST_SECONDS", 0)
    client.force_login(editor)
    return client


def address(name: str, workflow: Workflow, *parts: str) -> str:
    return reverse(name, args=["acme", workflow.pk, *parts])


def stored(workflow: Workflow, key: str) -> Step:
    return Step.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key=key)


def drive_to_the_end() -> None:
    """Drive until no run is left: on a busy machine one round may end before it has taken what is due."""
    end = time.monotonic() + 20
    while Run.unscoped.exclude(status__in=ENDED).exists() and time.monotonic() < end:
        drive()


def ids(html: str) -> list[str]:
    return re.findall(r'\sid="([^"]+)"', html)


PAGES = [("workflow", ()), *(("workflow-step", (key,)) for key in ("who", "big_one", "inner", "odd", "post"))]
PAGES += [("workflow-trigger", (key,)) for key in ("hook", "nightly")]
CHANGES: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("workflow-step", ("who",), POSTED),
    ("workflow-step-move", ("who",), {"direction": "down"}),
    ("workflow-step-remove", ("who",), {}),
    ("workflow-step-duplicate", ("who",), {}),
    ("workflow-step-test", ("who",), {}),
    ("workflow-test", (), {"payload": "{}"}),
    ("workflow-undo", (), {}),
    ("workflow-redo", (), {}),
    ("workflow-trigger", ("hook",), {"methods": ["GET"]}),
    ("workflow-trigger-add", (), {"type": "manual"}),
    ("workflow-trigger-remove", ("hook",), {}),
]


@pytest.mark.parametrize(("name", "parts"), PAGES)
def test_every_step_and_trigger_has_a_page_for_editors_and_viewers(
    client: Client, workflow: Workflow, editor: User, viewer: User, name: str, parts: tuple[str, ...]
) -> None:
    for person in (editor, viewer):
        client.force_login(person)
        answer = client.get(address(name, workflow, *parts))
        assert answer.status_code == 200
        found = ids(answer.content.decode())
        assert len(found) == len(set(found)), "an id stands twice"


@pytest.mark.parametrize(("name", "parts", "data"), CHANGES)
def test_viewers_and_operators_change_nothing(
    client: Client,
    workflow: Workflow,
    viewer: User,
    operator: User,
    name: str,
    parts: tuple[str, ...],
    data: dict[str, Any],
) -> None:
    before = draft_document(workflow.refresh())
    for person in (viewer, operator):
        client.force_login(person)
        assert client.post(address(name, workflow, *parts), data).status_code == 403
    assert draft_document(workflow.refresh()) == before
    assert not Run.objects.for_tenant(workflow.tenant_id).exists()


@pytest.mark.parametrize(("name", "parts", "data"), CHANGES)
def test_another_tenants_workflow_is_not_there(
    client: Client,
    workflow: Workflow,
    stranger: User,
    other_tenant: Tenant,
    name: str,
    parts: tuple[str, ...],
    data: dict[str, Any],
) -> None:
    before = draft_document(workflow.refresh())
    client.force_login(stranger)
    own = reverse(name, args=[other_tenant.slug, workflow.pk, *parts])
    for path in (address(name, workflow, *parts), own):
        assert client.post(path, data).status_code == 404
    assert client.get(reverse("workflow", args=[other_tenant.slug, workflow.pk])).status_code == 404
    assert draft_document(workflow.refresh()) == before


def test_a_viewer_sees_the_settings_as_text_and_no_control(client: Client, workflow: Workflow, viewer: User) -> None:
    client.force_login(viewer)
    html = client.get(address("workflow-step", workflow, "who")).content.decode()
    assert '<span class="tok"><i>1</i>name</span>' in html
    assert "Tries up to 3 times" in html
    for control in ("Test workflow", "Test step", "Remove the step", "Insert a step", ">Save<", "Insert data"):
        assert control not in html
    hook = client.get(address("workflow-trigger", workflow, "hook")).content.decode()
    assert "/h/" not in hook, "the address is a secret of editors"


@pytest.mark.parametrize("key", ["nobody", "a" * 63])
def test_a_step_or_trigger_that_is_not_there_is_a_404(builder: Client, workflow: Workflow, key: str) -> None:
    for name in ("workflow-step", "workflow-trigger"):
        assert builder.get(address(name, workflow, key)).status_code == 404
        assert builder.post(address(name, workflow, key), POSTED).status_code == 404


def test_a_number_beyond_every_database_is_a_404(builder: Client, workflow: Workflow) -> None:
    assert builder.get(reverse("workflow", args=["acme", 10**30])).status_code == 404


# Saving.


def test_a_saved_form_is_the_steps_config(builder: Client, workflow: Workflow) -> None:
    data = POSTED | {
        "in.name": "{{ trigger.body.name }}\r\nand others",
        "retry_attempts": "5", "retry_delay": "2,5", "timeout": "12.5",
        "on_error": "continue", "run_if": "{{ true }}", "notes": "For Mara",
    }  # fmt: skip
    answer = builder.post(address("workflow-step", workflow, "who"), data)
    assert answer.headers["Location"] == address("workflow-step", workflow, "who")
    step = stored(workflow, "who")
    assert (step.name, step.notes) == ("Say hello", "For Mara")
    assert step.config["inputs"] == {"name": "{{ trigger.body.name }}\nand others"}
    assert (step.config["timeout"], step.config["on_error"], step.config["run_if"]) == (12.5, "continue", "{{ true }}")
    assert (step.config["retry"]["max_attempts"], step.config["retry"]["delay"]) == (5, 2.5)


def test_an_emptied_number_of_the_failure_rule_goes_back_to_its_default(builder: Client, workflow: Workflow) -> None:
    path = address("workflow-step", workflow, "who")

    def retry_after(**rule: str) -> dict[str, Any] | None:
        builder.post(path, POSTED | rule)
        found: dict[str, Any] | None = stored(workflow, "who").config.get("retry")
        return found

    first = retry_after(retry_attempts="7", retry_delay="3", retry_backoff="fixed")
    assert first is not None
    assert (first["max_attempts"], first["delay"], first["backoff"]) == (7, 3, "fixed")
    second = retry_after(retry_attempts="", retry_delay="3", retry_backoff="nonsense")
    assert second is not None
    assert (second.get("max_attempts", 3), second["delay"], second["backoff"]) == (3, 3, "fixed")
    assert retry_after() is None


def test_saving_one_step_leaves_the_others_and_their_lanes(builder: Client, workflow: Workflow) -> None:
    before = draft_document(workflow.refresh())
    builder.post(address("workflow-step", workflow, "who"), POSTED)
    after = draft_document(workflow.refresh())
    assert after["steps"][1:] == before["steps"][1:]
    assert after["triggers"] == before["triggers"]
    builder.post(address("workflow-step", workflow, "big_one"), POSTED | {"in.condition": "{{ false }}"})
    assert draft_document(workflow.refresh())["steps"][1]["lanes"] == before["steps"][1]["lanes"]


def test_saving_what_was_drawn_changes_nothing_but_the_revision(builder: Client, workflow: Workflow) -> None:
    step = stored(workflow, "who")
    builder.post(
        address("workflow-step", workflow, "who"),
        {"name": step.name, "in.name": step.config["inputs"]["name"], "notes": ""},
    )
    assert (stored(workflow, "who").config, stored(workflow, "who").name) == (step.config, step.name)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("retry_attempts", "many"),
        ("retry_attempts", "99"),
        ("retry_delay", "nan"),
        ("timeout", "0"),
        ("timeout", "inf"),
    ],
)
def test_a_number_that_is_none_is_refused_and_kept_as_typed(
    builder: Client, workflow: Workflow, field: str, text: str
) -> None:
    answer = builder.post(address("workflow-step", workflow, "who"), POSTED | {field: text, "in.name": "Kept text"})
    html = answer.content.decode()
    assert answer.status_code == 400
    assert "Enter a number from" in html
    assert "Kept text" in html
    assert f'value="{text}"' in html
    assert stored(workflow, "who").config["inputs"] == {"name": "{{ trigger.body.name }}"}


def test_broken_json_is_refused_at_its_field_and_kept_as_typed(builder: Client, workflow: Workflow) -> None:
    typed = '{"a": &<b>'
    answer = builder.post(address("workflow-step", workflow, "odd"), POSTED | {"in.url": "http://x/", "in.body": typed})
    html = answer.content.decode()
    assert answer.status_code == 400
    assert "This was not taken: not valid JSON" in html
    assert "{&quot;a&quot;: &amp;&lt;b&gt;" in html
    assert re.search(r'id="field-body"[^>]*aria-invalid="true"', html)
    assert "body" not in stored(workflow, "odd").config["inputs"]


def hidden(html: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(revision|seen)" value="(\w+)"', html))


def test_a_lost_race_is_told_and_what_was_typed_can_be_saved_over_it(builder: Client, workflow: Workflow) -> None:
    path = address("workflow-step", workflow, "who")
    old = hidden(builder.get(path).content.decode())
    builder.post(path, POSTED | {"in.name": "Theirs"})
    answer = builder.post(path, POSTED | old | {"in.name": "Mine", "run_if": "{{ 1 == 1 }}"})
    html = answer.content.decode()
    assert answer.status_code == 409
    assert stored(workflow, "who").config["inputs"] == {"name": "Theirs"}
    assert 'value="Mine"' in html
    assert 'value="{{ 1 == 1 }}"' in html
    assert "They wrote: Theirs" in html
    assert builder.post(path, POSTED | hidden(html) | {"in.name": "Mine"}).status_code == 302
    assert stored(workflow, "who").config["inputs"] == {"name": "Mine"}


def test_a_change_of_another_step_stops_nobody(builder: Client, workflow: Workflow) -> None:
    path = address("workflow-step", workflow, "who")
    old = hidden(builder.get(path).content.decode())
    builder.post(address("workflow-step", workflow, "odd"), POSTED | {"in.url": "http://y/"})
    builder.post(address("workflow-step-move", workflow, "who"), {"direction": "down"})
    assert builder.post(path, POSTED | old | {"in.name": "Mine"}).status_code == 302
    assert stored(workflow, "who").config["inputs"] == {"name": "Mine"}


def test_a_script_gets_the_new_revision_and_what_is_still_wrong(builder: Client, workflow: Workflow) -> None:
    path = address("workflow-step", workflow, "post")
    answer = builder.post(path, POSTED | {"in.channel": "#b", "in.text": ""}, headers={"Accept": "application/json"})
    said = answer.json()
    assert said["revision"] == workflow.refresh().revision
    assert {"text", "credential"} <= said["problems"].keys()
    assert said["title"] == "Say hello"
    assert said["seen"] in builder.get(path).content.decode()
    old = builder.post(path, POSTED | {"revision": "1"}, headers={"Accept": "application/json"})
    assert (old.status_code, old.json()["revision"]) == (409, workflow.refresh().revision)
    assert old.json()["problems"] == {"channel": "They wrote: #b"}


def test_a_credential_of_the_tenant_can_be_chosen_and_taken_away(
    builder: Client, actor: Actor, workflow: Workflow
) -> None:
    for name, provider in (("Team chat", "slack"), ("Cards", "stripe")):
        kind = "bearer_token"
        secret = {"token": "xoxb-a-secret-of-the-vault"}
        vault.credential_create(actor=actor, name=name, provider=provider, auth_type=kind, secret=secret)
    path = address("workflow-step", workflow, "post")
    html = builder.get(path).content.decode()
    assert '<option value="Team chat"' in html
    assert '<option value="Cards"' not in html
    assert "xoxb-a-secret" not in html
    assert "provider=slack" in html
    builder.post(path, POSTED | {"in.channel": "#a", "credential": "Team chat"})
    assert draft_document(workflow.refresh())["steps"][3]["credential"] == "Team chat"
    assert re.search(r'<option value="Team chat" selected', builder.get(path).content.decode())
    builder.post(path, POSTED | {"in.channel": "#a", "credential": ""})
    assert not draft_document(workflow.refresh())["steps"][3].get("credential")


# What a page says.


def test_problems_stand_at_their_fields_and_in_a_summary_with_links(builder: Client, workflow: Workflow) -> None:
    html = builder.get(address("workflow-step", workflow, "post")).content.decode()
    assert re.search(r'id="field-text"[^>]*aria-invalid="true"', html)
    assert re.search(r'id="field-credential"[^>]*aria-invalid="true"', html)
    assert 'href="#field-text"' in html
    assert 'href="#field-credential"' in html


def test_a_problem_of_a_step_as_a_whole_is_told_too(builder: Client, actor: Actor) -> None:
    document = {**DOCUMENT, "slug": "whole", "steps": [{"key": "odd", "action": "weather.today", "config": {}}]}
    made = services.workflow_create(actor=actor, document=document)
    problem = next(each for each in services.check(made, actor=actor) if each.path.startswith("steps[0]"))
    html = builder.get(address("workflow-step", made, "odd")).content.decode()
    assert problem.message[:40] in html


def test_a_problem_of_run_if_stands_at_run_if(builder: Client, workflow: Workflow) -> None:
    path = address("workflow-step", workflow, "who")
    builder.post(path, POSTED | {"run_if": "{{ nothing.there }}"})
    html = builder.get(path).content.decode()
    assert re.search(r'id="field-run_if".*data-takes aria-invalid="true"', html)
    assert re.search(r'<details class="rulebox" open', html)


CONTROLS: Final = {
    "flow.if": {"condition": True}, "flow.switch": {"value": 3}, "flow.foreach": {"items": [1]}, "flow.parallel": {},
    "flow.wait": {"seconds": 1}, "flow.approve": {"message": "?"}, "flow.callback": {}, "flow.stop": {},
    "workflow.call": {"workflow": "greet"},
}  # fmt: skip


@pytest.mark.parametrize("action", CONTROLS)
def test_a_step_that_is_never_tried_again_asks_for_no_tries_and_no_timeout(
    builder: Client, actor: Actor, action: str
) -> None:
    config = {"inputs": CONTROLS[action], "timeout": 5, "retry": {"max_attempts": 9}}
    document = {"name": "C", "slug": "control", "steps": [{"key": "it", "action": action, "config": config}]}
    made = services.workflow_create(actor=actor, document=document)
    path = address("workflow-step", made, "it")
    html = builder.get(path).content.decode()
    rule = html[html.index('<details class="rulebox"') : html.index('id="field-on_error"')]
    assert rule.startswith('<details class="rulebox" open')
    assert not re.search(r'name="(retry_\w+|timeout)"', rule)
    assert "It is not tried again: " in rule
    assert "It has no timeout: " in rule
    assert "goes when you save" in rule
    assert "Tries" not in rule
    assert not re.search(r'data-error="timeout">', html), "an input that is called timeout too is not what is wrong"

    builder.post(path, {"name": "", "notes": "", "on_error": "fail", "run_if": ""} | _posted(action))
    assert stored(made, "it").config.get("retry") is None
    assert stored(made, "it").config.get("timeout") is None
    assert "goes when you save" not in builder.get(path).content.decode()


def _posted(action: str) -> dict[str, str]:
    return {f"in.{name}": json.dumps(value) if isinstance(value, list) else str(value).lower()
            for name, value in CONTROLS[action].items()}  # fmt: skip


def test_a_step_that_is_not_installed_says_how_it_runs(builder: Client, workflow: Workflow) -> None:
    html = builder.get(address("workflow-step", workflow, "odd")).content.decode()
    assert "weather.today is not installed" in html
    assert 'id="field-url"' in html
    assert 'id="field-language"' in html


def test_a_field_called_name_has_the_address_that_publish_links_to(builder: Client, workflow: Workflow) -> None:
    html = builder.get(address("workflow-step", workflow, "who")).content.decode()
    assert re.search(r'id="field-name" name="in\.name"', html)


def test_what_a_person_wrote_is_text_on_every_page(builder: Client, actor: Actor) -> None:
    nasty = "<script>alert(1)</script>"
    step = {"key": "a", "name": nasty, "action": "hello.world", "notes": nasty, "config": {"inputs": {"name": nasty}}}
    made = services.workflow_create(actor=actor, document={"name": nasty, "slug": "x", "steps": [step]})
    html = builder.get(address("workflow-step", made, "a")).content.decode()
    assert nasty not in html
    assert "&lt;script&gt;alert(1)" in html


def test_an_empty_workflow_says_what_to_do(builder: Client, actor: Actor) -> None:
    made = services.workflow_create(actor=actor, document={"name": "New", "slug": "new", "steps": []})
    answer = builder.get(address("workflow", made))
    assert answer.status_code == 200
    assert "Then what?" in answer.content.decode()


def test_a_usual_first_step_is_one_press(builder: Client, actor: Actor) -> None:
    made = services.workflow_create(actor=actor, document={"name": "New", "slug": "new", "steps": []})
    html = builder.get(address("workflow", made)).content.decode()
    assert 'name="action" value="http.request"' in html
    (action,) = re.findall(r'class="then" method="post" action="([^"]*)"', html)
    builder.post(action, {"action": "http.request", "first": "1"})
    assert [step["action"] for step in draft_document(made.refresh())["steps"]] == ["http.request"]
    assert "Then what?" not in builder.get(address("workflow", made)).content.decode()


# Order, tests, triggers.


def test_a_step_moves_within_its_lane_and_stays_at_its_end(builder: Client, workflow: Workflow) -> None:
    def order() -> list[str]:
        return [step["key"] for step in draft_document(workflow.refresh())["steps"]]

    builder.post(address("workflow-step-move", workflow, "who"), {"direction": "down"})
    assert order() == ["big_one", "who", "odd", "post"]
    builder.post(address("workflow-step-move", workflow, "big_one"), {"direction": "up"})
    assert order() == ["big_one", "who", "odd", "post"]
    builder.post(address("workflow-step-move", workflow, "inner"), {"direction": "up"})
    assert order() == ["big_one", "who", "odd", "post"]


def test_a_removed_step_takes_its_lanes_along(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address("workflow-step-remove", workflow, "big_one"))
    assert answer.headers["Location"] == address("workflow", workflow)
    keys = Step.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow).values_list("key", flat=True)
    assert set(keys) == {"who", "odd", "post"}


def test_only_a_post_changes_anything(builder: Client, workflow: Workflow) -> None:
    for name, parts, _data in CHANGES:
        if name not in ("workflow-step", "workflow-step-move", "workflow-trigger"):
            assert builder.get(address(name, workflow, *parts)).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_a_tested_step_shows_its_result_and_gives_its_data_to_later_steps(builder: Client, actor: Actor) -> None:
    steps = [
        {"key": "values", "action": "data.set", "config": {"inputs": {"values": {"city": "Oslo", "x-y": [{"n": 7}]}}}},
        {"key": "later", "action": "hello.world", "config": {"inputs": {"name": "a"}}},
    ]
    made = services.workflow_create(actor=actor, document={"name": "Data", "slug": "data", "steps": steps})
    page = address("workflow-step", made, "values")
    assert "Not tested yet" in builder.get(page).content.decode()
    answer = builder.post(address("workflow-step-test", made, "values"))
    assert answer.headers["Location"].startswith(f"{page}?testing=")
    drive_to_the_end()
    html = builder.get(page).content.decode()
    assert "Test passed" in html
    assert "Oslo" in html
    later = builder.get(address("workflow-step", made, "later")).content.decode()
    assert "{{ steps.values.output.city }}" in later
    assert "{{ steps.values.output[&quot;x-y&quot;][0].n }}" in later


@pytest.mark.django_db(transaction=True)
def test_a_failed_test_says_why_and_whether_to_try_again(builder: Client, actor: Actor) -> None:
    steps = [{"key": "bad", "action": "hello.world", "config": {"inputs": {"name": "{{ trigger.body.nobody }}"}}}]
    made = services.workflow_create(actor=actor, document={"name": "Bad", "slug": "bad", "steps": steps})
    builder.post(address("workflow-step-test", made, "bad"))
    drive_to_the_end()
    html = builder.get(address("workflow-step", made, "bad")).content.decode()
    assert "Test failed" in html
    assert "nobody" in html


@pytest.mark.django_db(transaction=True)
def test_a_test_that_no_worker_has_taken_is_told_and_asked_for_until_it_ends(
    builder: Client, workflow: Workflow
) -> None:
    for _time in range(2):  # The second has the first one's result to show, which is not its own.
        page = builder.post(address("workflow-step-test", workflow, "who")).headers["Location"]
        html = builder.get(page).content.decode()
        assert "has not ended yet" in html
        assert f'hx-get="{page}"' in html
        drive_to_the_end()
        part = builder.get(page, headers={"HX-Request": "true"}).content.decode()
        assert "has not ended yet" not in part
        assert "hx-trigger" not in part


@pytest.mark.parametrize("text", ["", "x", "-1", "9" * 30, "1", "٣"])
def test_a_test_that_is_not_there_is_not_waited_for(builder: Client, workflow: Workflow, text: str) -> None:
    answer = builder.get(address("workflow-step", workflow, "who"), {"testing": text})
    assert answer.status_code == 200
    assert "hx-get" not in answer.content.decode()


def test_test_step_saves_first(builder: Client, workflow: Workflow) -> None:
    builder.post(address("workflow-step", workflow, "who"), POSTED | {"then": "test", "in.name": "Fresh"})
    run = Run.objects.for_tenant(workflow.tenant_id).get()
    assert run.version.definition["steps"][0]["config"]["inputs"] == {"name": "Fresh"}


def test_the_result_that_is_polled_is_the_steps_own(builder: Client, workflow: Workflow) -> None:
    """The page without a step in its address polls the step's address: its own would put a page into the page."""
    html = builder.get(address("workflow", workflow)).content.decode()
    part = builder.get(address("workflow-step", workflow, "who"), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert 'id="result"' in part
    assert 'id="result"' in html
    context = builder.get(address("workflow", workflow)).context
    assert context["poll_url"] == address("workflow-step", workflow, "who")


def test_a_sample_starts_a_run_of_the_draft(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address("workflow-test", workflow), {"payload": '{"name": "Ada"}', "trigger": "hook"})
    run = Run.objects.for_tenant(workflow.tenant_id).get()
    assert answer.headers["Location"] == address("workflow-trigger", workflow, "hook")
    assert run.trigger["body"] == {"name": "Ada"}
    assert run.version.number is None
    sample = builder.get(address("workflow-trigger", workflow, "hook")).content.decode()
    assert "Ada" in sample, "the last body is the next sample"


def test_a_sample_that_is_no_json_is_kept_and_starts_nothing(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address("workflow-test", workflow), {"payload": "{nope", "trigger": "hook"})
    assert answer.status_code == 400
    assert "{nope" in answer.content.decode()
    assert not Run.objects.for_tenant(workflow.tenant_id).exists()


def test_a_webhook_shows_its_whole_address_to_editors(builder: Client, workflow: Workflow) -> None:
    html = builder.get(address("workflow-trigger", workflow, "hook")).content.decode()
    assert re.search(r">http://testserver/h/[\w-]{20,}<", html)


def test_methods_are_saved_and_the_rest_of_the_config_stays(builder: Client, workflow: Workflow) -> None:
    builder.post(address("workflow-trigger", workflow, "hook"), {"methods": ["GET", "PUT", "TRACE"]})
    config = Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="hook").config
    assert config == {"methods": ["GET", "PUT"], "dedupe": "X-Delivery"}


def test_a_schedule_keeps_its_config_and_is_no_button(builder: Client, workflow: Workflow) -> None:
    page = address("workflow-trigger", workflow, "nightly")
    answer = builder.post(page, {"methods": ["GET"]})
    assert answer.status_code == 400
    config = Trigger.objects.for_tenant(workflow.tenant_id).get(workflow=workflow, key="nightly").config
    assert config == {"cron": "0 3 * * *"}
    html = builder.get(page).content.decode()
    assert "0 3 * * *" in html
    assert "Somebody presses Run" not in html


def test_triggers_are_added_and_removed(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address("workflow-trigger-add", workflow), {"type": "webhook"})
    assert answer.headers["Location"] == address("workflow-trigger", workflow, "webhook")
    builder.post(address("workflow-trigger-remove", workflow, "webhook"))
    assert [each["key"] for each in draft_document(workflow.refresh())["triggers"]] == ["hook", "nightly"]


# How much a page costs.


def _many(actor: Actor, count: int) -> Workflow:
    steps = [
        {
            "key": f"s{index}",
            "action": "hello.world",
            "config": {"inputs": {"name": f"{{{{ trigger.body.n{index} }}}}"}},
        }
        for index in range(count)
    ]
    return services.workflow_create(actor=actor, document={"name": "Many", "slug": f"many{count}", "steps": steps})


def test_the_pages_queries_do_not_grow_with_its_steps(builder: Client, actor: Actor) -> None:
    def queries(made: Workflow, key: str) -> int:
        builder.get(address("workflow-step", made, key))
        with CaptureQueriesContext(
            connection,
        ) as caught:
            builder.get(address("workflow-step", made, key))
        return len(caught)

    few = queries(_many(actor, 2), "s1")
    assert queries(_many(actor, 40), "s39") == few
    # One of them is for who else is there, as the draft was changed just now.
    assert few <= 18


def test_json_of_any_shape_in_a_stored_draft_can_be_shown(builder: Client, actor: Actor) -> None:
    inputs = json.loads('{"name": {"a": [1, null, true]}, "gone": [[]], "x y": "{{"}')
    step = {"key": "a", "action": "hello.world", "config": {"inputs": inputs}}
    made = services.workflow_create(actor=actor, document={"name": "Odd", "slug": "odd", "steps": [step]})
    html = builder.get(address("workflow-step", made, "a")).content.decode()
    assert 'name="in.gone"' in html
    assert 'name="in.x y"' in html


# What a step can use.


def test_the_data_column_offers_what_publish_accepts(builder: Client, actor: Actor) -> None:
    """A loop's steps and the step around are not offered: a reference to them would be refused."""

    def leaf(key: str) -> dict[str, Any]:
        return {"key": key, "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}}

    steps = [
        leaf("first"),
        {
            "key": "each", "action": "flow.foreach", "config": {"inputs": {"items": "{{ [1] }}"}},
            "lanes": {"body": [leaf("inside"), leaf("here")]},
        },
        {
            "key": "big", "action": "flow.if", "config": {"inputs": {"condition": True}},
            "lanes": {"then": [leaf("yes")], "else": [leaf("no")]},
        },
        {"key": "few", "action": "data.filter", "config": {"inputs": {"items": [1], "where": "{{ item > 0 }}"}}},
        leaf("last"),
    ]  # fmt: skip
    made = services.workflow_create(actor=actor, document={"name": "Lanes", "slug": "lanes", "steps": steps})

    def offered(key: str) -> list[str]:
        return [source.name for source in builder.get(address("workflow-step", made, key)).context["sources"]]

    assert len(offered("first")) == 1
    assert offered("here")[-1] == "This item"
    assert len(offered("here")) == 4
    assert len(offered("no")) == 3
    assert len(offered("few")) == 7
    assert offered("few")[-1] == "This item"
    assert len(offered("last")) == 7
    references = {"here": ["first", "inside"], "no": ["first", "each"], "last": ["first", "each", "yes", "big", "few"]}
    for key, known in references.items():
        text = " ".join(f"{{{{ json(steps.{each}.output) }}}}" for each in known)
        builder.post(address("workflow-step", made, key), {"in.values.k0": "a", "in.values.v0": text})
    assert [each.message for each in services.check(made, actor=actor) if each.severity == "error"] == []
    builder.post(
        address("workflow-step", made, "last"),
        {"in.values.k0": "a", "in.values.v0": "{{ json(steps.inside.output) }}"},
    )
    assert [each.code for each in services.check(made, actor=actor) if each.severity == "error"] == ["loop"]


def test_few_choices_stand_side_by_side_and_take_data_too(builder: Client, workflow: Workflow) -> None:
    builder.post(address("workflow-step", workflow, "odd"), {"in.url": "http://x/", "in.language": "python"})
    page = address("workflow-step", workflow, "odd")
    html = builder.get(page).content.decode()
    assert re.search(r'type="radio" name="in\.language" value="python" checked', html)
    text = builder.get(page, {"text": "language"}).content.decode()
    assert re.search(r'<input class="in" id="field-language" name="in\.language" value="python"', text)


def test_a_warning_about_a_trigger_is_no_error(builder: Client, actor: Actor) -> None:
    document = {**DOCUMENT, "slug": "open", "triggers": [{"key": "hook", "type": "webhook", "config": {}}]}
    made = services.workflow_create(actor=actor, document=document)
    html = builder.get(address("workflow-trigger", made, "hook")).content.decode()
    assert "no signature is checked" in html
    assert not re.search(r'class="note flat bad"', html)


# The workflow's name, in place.


def test_the_workflow_is_renamed_in_its_header(builder: Client, workflow: Workflow) -> None:
    back = f"http://testserver{address('workflow-step', workflow, 'who')}"
    answer = builder.post(address("workflow-rename", workflow), {"name": " Leads <b> "}, headers={"Referer": back})
    assert answer.headers["Location"] == back
    assert workflow.refresh().name == "Leads <b>"
    html = builder.get(address("workflow", workflow)).content.decode()
    assert 'value="Leads &lt;b&gt;"' in html
    services.draft_undo(actor=actor_for_user(User.objects.get(username="editor-of-acme"), "acme"), workflow=workflow)
    assert workflow.refresh().name == "Greet"


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "\0"])
def test_a_name_that_is_none_changes_nothing(builder: Client, workflow: Workflow, name: str) -> None:
    answer = builder.post(address("workflow-rename", workflow), {"name": name}, follow=True)
    assert "The name was not changed" in answer.content.decode()
    assert workflow.refresh().name == "Greet"


def test_a_rename_leads_nowhere_else(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(
        address("workflow-rename", workflow), {"name": "New"}, headers={"Referer": "https://evil.test/"}
    )
    assert answer.headers["Location"] == address("workflow", workflow)
