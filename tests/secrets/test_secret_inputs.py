"""A secret input lies in the vault alone: a step holds its name, in the draft, the form, the run and the export."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pydantic import BaseModel, Field
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import BearerToken, Provider, RunContext, Transient, action, ui
from orchestrator.errors import Conflict, Invalid
from orchestrator.flow.facts import CredentialFacts
from orchestrator.flow.secrets import HIDDEN
from orchestrator.flow.validation import validate
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.tenants.services import token_create
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.vault.provider_settings import credential_types
from orchestrator.workflows import services
from orchestrator.workflows.credentials import credential_replace, replacements
from orchestrator.workflows.models import Step, Workflow
from orchestrator.workflows.publishing import RegistryCatalog, rebound_credentials
from orchestrator.workflows.selectors import (
    credential_usages,
    draft_definition,
    draft_document,
    usages_by_credential,
    workflows_by_credential,
)
from runs.models import Run
from runs.services import run_start_by_actor, step_test
from tests.api.conftest import Caller
from tests.runs.ground import drive, make_workflow, rows, start, step
from tests.secrets.test_canaries import table_texts

VALUE: Final = "canary-wärd-4711-\"x'"
LITERAL: Final = "canary-literal-0815"
_seen: list[str | None] = []

lock = Provider(key="locked", name="Locked", auth=[BearerToken()])


class Inputs(BaseModel):
    token: str = Field(title="Door code", min_length=8, json_schema_extra=ui(secret=True))
    spare: str | None = Field(None, title="Spare code", json_schema_extra=ui(secret=True, advanced=True))
    note: str = Field("", title="Note")


@action(provider=lock, key="locked.open", name="Open", auth_type="none", input_schema=Inputs, http=False)
async def unlock(ctx: RunContext[Inputs]) -> Any:
    """Open."""
    _seen.append(ctx.inputs.token)
    ctx.log(f"with {ctx.inputs.token}")
    return {"told": f"opened with {ctx.inputs.token}", "note": ctx.inputs.note, "spare": ctx.inputs.spare}


def door(token: Any, key: str = "open", **more: Any) -> dict[str, Any]:
    return step(key, "locked.open", inputs={"token": token, **more})


def secret(name: str) -> dict[str, str]:
    return {"credential": name}


def document(*steps: dict[str, Any], name: str = "Doors") -> dict[str, Any]:
    return {"name": name, "triggers": [{"key": "hand", "type": "manual", "config": {}}], "steps": list(steps)}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    _seen.clear()
    with registry.temporarily(unlock):
        yield


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def caller(actor: Actor) -> Caller:
    _row, token = token_create(actor=actor, name="test", scopes=list(actor.scopes))
    return Caller(token=token)


@pytest.fixture
def code(actor: Actor) -> Credential:
    return keep(actor, "front door")


def keep(actor: Actor, name: str, value: str = VALUE) -> Credential:
    return vault.credential_create(
        actor=actor, name=name, provider="secret", auth_type="api_key", secret={"api_key": value}
    )


def other_use(actor: Actor, name: str = "team") -> Credential:
    return vault.credential_create(
        actor=actor, name=name, provider="locked", auth_type="bearer_token", secret={"token": "an-other-4712"}
    )


def draft(actor: Actor, *steps: dict[str, Any], name: str = "Doors") -> Workflow:
    return services.workflow_create(actor=actor, document=document(*steps, name=name))


def problems(actor: Actor, workflow: Workflow) -> list[tuple[str, str, str]]:
    return [(found.severity, found.path, found.code) for found in services.check(workflow, actor=actor)]


def inputs_of(workflow: Workflow, at: int = 0) -> Any:
    return draft_document(workflow.refresh())["steps"][at]["config"]["inputs"]


def dump() -> str:
    """Return all that the database holds, as text."""
    return "\n".join(text for _table, text in table_texts())


# In the draft, and what a check says of it.


def test_a_secret_is_chosen_by_name_and_bound_by_a_publish(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    assert inputs_of(workflow) == {"token": secret("front door")}
    assert problems(actor, workflow) == []
    version = services.publish(actor=actor, workflow=workflow).version
    assert version.bindings == {"front door": code.pk}
    assert version.definition["steps"][0]["config"]["inputs"] == {"token": secret("front door")}


@pytest.mark.parametrize(
    "written", [LITERAL, f"Bearer {LITERAL} {{{{ vars.x }}}}", {"credential": "a", "value": LITERAL}, [LITERAL], 4711]
)
def test_what_is_written_in_place_of_a_secret_is_not_kept_and_blocks_a_publish(actor: Actor, written: Any) -> None:
    workflow = draft(actor, door(written, note="plain"))
    assert inputs_of(workflow) == {"token": HIDDEN, "note": "plain"}
    assert problems(actor, workflow) == [("error", "steps[0].config.inputs.token", "secret_literal")]
    changes = {"config": {"inputs": {"token": written, "spare": written}}}
    services.step_update(actor=actor, workflow=workflow, key="open", changes=changes)
    assert inputs_of(workflow) == {"token": HIDDEN, "spare": HIDDEN}
    assert LITERAL not in dump()
    with pytest.raises(Invalid) as caught:
        services.publish(actor=actor, workflow=workflow)
    assert {found.code for found in caught.value.problems} == {"secret_literal"}
    assert LITERAL not in repr(caught.value.problems)


def test_an_expression_is_no_secret_either(actor: Actor) -> None:
    workflow = draft(actor, door("{{ vars.code }}"))
    assert problems(actor, workflow) == [("error", "steps[0].config.inputs.token", "secret_literal")]


def test_a_document_that_is_only_checked_is_told_the_same(actor: Actor, code: Credential) -> None:
    definition = services.parse_document({**document(door(LITERAL)), "slug": "doors"})
    facts = {"front door": CredentialFacts(provider="secret", auth_type="api_key")}
    found = validate(definition, catalog=RegistryCatalog(), credentials=facts)
    assert [(each.path, each.code) for each in found] == [("steps[0].config.inputs.token", "secret_literal")]
    assert LITERAL not in found[0].message


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (secret("nowhere"), "credential_unknown"),
        (secret("team"), "credential_provider"),
        (secret(""), "secret_literal"),
        (None, "string_type"),
    ],
)
def test_a_secret_that_cannot_be_used_is_a_problem_at_its_field(actor: Actor, token: Any, expected: str) -> None:
    other_use(actor)
    found = problems(actor, draft(actor, door(token)))
    assert found == [("error", "steps[0].config.inputs.token", expected)]


def test_a_secret_that_is_left_out_is_asked_for_and_one_that_may_be_is_not(actor: Actor, code: Credential) -> None:
    missing = step("open", "locked.open", inputs={"note": "a"})
    assert problems(actor, draft(actor, missing)) == [("error", "steps[0].config.inputs.token", "missing")]


def test_a_secret_that_was_refused_or_ends_soon_is_told_at_its_field(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    Credential.objects.for_tenant(actor.tenant).update(health="reconnect")
    assert problems(actor, workflow) == [("error", "steps[0].config.inputs.token", "credential_health")]
    Credential.objects.for_tenant(actor.tenant).update(health="expiring")
    assert problems(actor, workflow) == [("warning", "steps[0].config.inputs.token", "credential_expiring")]


def test_an_input_that_becomes_a_secret_later_is_hidden_in_what_there_is(actor: Actor) -> None:
    workflow = draft(actor, door(secret("front door")))
    row = Step.objects.for_tenant(actor.tenant).get()
    row.config = {"inputs": {"token": LITERAL}}
    row.save()
    assert inputs_of(workflow) == {"token": HIDDEN}
    assert problems(actor, workflow) == [("error", "steps[0].config.inputs.token", "secret_literal")]


def test_a_version_from_before_that_is_shown_without_it(tenant: Tenant, browser: Client, caller: Caller) -> None:
    held = {"key": "one", "action": "flow.foreach", "config": {"inputs": {"items": [1]}}}
    workflow = make_workflow(tenant, {**held, "lanes": {"body": [door(LITERAL)]}}, door(LITERAL, key="last"))
    version = workflow.published_version
    assert version is not None
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss", password="a good password"))
    pages = [
        browser.get(reverse("workflow-version", args=["acme", workflow.pk, 1])).content.decode(),
        browser.get(reverse("workflow-publish", args=["acme", workflow.pk])).content.decode(),
        boss.get(f"/admin/workflows/workflowversion/{version.pk}/change/").content.decode(),
        json.dumps(caller.ok("GET", f"workflows/{workflow.pk}/versions/1/"), ensure_ascii=False),
        json.dumps(caller.ok("GET", f"workflows/{workflow.pk}/versions/diff/?from=1&to=1")),
    ]
    assert [at for at, page in enumerate(pages) if LITERAL in page] == []
    assert [at for at, page in enumerate(pages) if HIDDEN in unescape(page)] == [0, 1, 2, 3]


def test_a_secret_is_no_credential_of_a_step(actor: Actor, code: Credential) -> None:
    call = step("call", "http.request", credential="front door", inputs={"url": "https://x.test"})
    assert ("error", "steps[0].credential", "credential_provider") in problems(actor, draft(actor, call))


def test_there_is_one_kind_of_secret_to_make() -> None:
    kinds = [entry for entry in credential_types() if entry["provider"] == "secret"]
    assert [(kind["auth_type"], list(kind["secret_schema"]["properties"])) for kind in kinds] == [
        ("api_key", ["api_key"])
    ]


# Who uses it, under another name, another one in its place, gone.


def test_used_by_counts_what_fields_hold(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")), door("x", key="plain"))
    assert workflows_by_credential(actor.tenant) == {code.pk: 1}
    [usage] = credential_usages(actor.tenant, code)
    assert (usage.step_key, usage.field, usage.in_draft, usage.in_published) == ("open", "token", True, False)
    services.step_remove(actor=actor, workflow=workflow, key="plain")
    services.publish(actor=actor, workflow=workflow)
    [usage] = credential_usages(actor.tenant, code)
    assert (usage.in_draft, usage.in_published) == (True, True)
    services.step_update(actor=actor, workflow=workflow, key="open", changes={"config": {"inputs": {}}})
    assert usages_by_credential(actor.tenant)[code.pk][0].in_draft is False
    assert workflows_by_credential(actor.tenant) == {code.pk: 1}


def test_counting_asks_no_more_for_more_workflows(actor: Actor, code: Credential) -> None:
    draft(actor, door(secret("front door")))
    with CaptureQueriesContext(connection) as few:
        workflows_by_credential(actor.tenant)
        usages_by_credential(actor.tenant)
    for number in range(5):
        draft(actor, door(secret("front door")), door(secret("other"), key="b"), name=f"W{number}")
    with CaptureQueriesContext(connection) as many:
        workflows_by_credential(actor.tenant)
        usages_by_credential(actor.tenant)
    assert len(few) == len(many) == 10


def test_a_secret_in_use_is_not_deleted_unless_that_is_forced(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    with pytest.raises(Conflict, match="used by 1 step"):
        services.credential_delete_checked(actor=actor, credential=code)
    services.credential_delete_checked(actor=actor, credential=code, force=True)
    assert problems(actor, workflow) == [("error", "steps[0].config.inputs.token", "credential_unknown")]
    keep(actor, "front door")
    assert problems(actor, workflow) == []


def test_another_secret_takes_its_place_in_every_draft(actor: Actor, code: Credential) -> None:
    keep(actor, "Front Door")
    back = keep(actor, "back door")
    one = draft(actor, door(secret("front door"), spare=secret("Front Door")))
    two = draft(actor, door(secret("front door"), spare=secret("front door")), name="Two")
    services.publish(actor=actor, workflow=two)
    assert [row.name for row in replacements(actor.tenant, code)] == ["Front Door", "back door"]
    done = credential_replace(actor=actor, credential=code, by=back)
    assert (done.workflows, [workflow.pk for workflow in done.live]) == (2, [two.pk])
    assert inputs_of(one) == {"token": secret("back door"), "spare": secret("Front Door")}
    assert inputs_of(two) == {"token": secret("back door"), "spare": secret("back door")}
    assert workflows_by_credential(actor.tenant)[back.pk] == 2
    services.draft_undo(actor=actor, workflow=two.refresh())
    assert inputs_of(two) == {"token": secret("front door"), "spare": secret("front door")}


def test_a_credential_for_another_use_takes_no_secrets_place(actor: Actor, code: Credential) -> None:
    draft(actor, door(secret("front door")))
    team = other_use(actor)
    assert replacements(actor.tenant, code) == []
    with pytest.raises(Invalid, match="does not fit"):
        credential_replace(actor=actor, credential=code, by=team)


def test_a_new_name_is_followed_by_drafts_and_by_what_is_published(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    version = services.publish(actor=actor, workflow=workflow).version
    vault.credential_update(actor=actor, credential=code, name='gate, "new" ä%_')
    assert inputs_of(workflow) == {"token": secret('gate, "new" ä%_')}
    assert problems(actor, workflow) == []
    assert workflows_by_credential(actor.tenant) == {code.pk: 1}
    again = vault.credential_update(actor=actor, credential=code, name="gate")
    assert inputs_of(workflow) == {"token": secret("gate")}
    assert [usage.step_key for usage in credential_usages(actor.tenant, again)] == ["open"]
    assert version.bindings == {"front door": code.pk}


def test_a_secret_made_anew_under_its_name_is_told_before_a_publish(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    version = services.publish(actor=actor, workflow=workflow).version
    services.credential_delete_checked(actor=actor, credential=code, force=True)
    keep(actor, "front door")
    assert rebound_credentials(version, draft_definition(workflow.refresh())) == {"front door"}
    client = Client()
    client.force_login(actor.user)  # type: ignore[arg-type]
    page = unescape(client.get(reverse("workflow-publish", args=["acme", workflow.pk])).content.decode())
    assert "Door code · credential" in page
    assert "made anew" in re.sub(r"<[^>]+>", "", page)


def test_a_copy_of_a_step_holds_it_too(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    services.step_duplicate(actor=actor, workflow=workflow, key="open")
    assert inputs_of(workflow, 1) == {"token": secret("front door")}
    assert [usage.step_key for usage in credential_usages(actor.tenant, code)] == ["open", "open_2"]


# By the API, from tenant to tenant.


def test_an_export_names_it_and_an_import_finds_one_of_that_name(
    caller: Caller, actor: Actor, code: Credential, stranger: User, other_tenant: Tenant
) -> None:
    made = caller.ok("POST", "workflows/", document(door(secret("front door"))))
    exported = caller.ok("GET", f"workflows/{made['id']}/")
    assert exported["steps"][0]["config"]["inputs"] == {"token": secret("front door")}
    theirs = actor_for_user(stranger, other_tenant.slug)
    kept = {key: exported[key] for key in ("name", "triggers", "steps")}
    imported = services.workflow_create(actor=theirs, document=kept)
    assert problems(theirs, imported) == [("error", "steps[0].config.inputs.token", "credential_unknown")]
    keep(theirs, "front door", "another-value")
    assert problems(theirs, imported) == []
    assert services.publish(actor=theirs, workflow=imported).version.bindings != {"front door": code.pk}


def test_the_api_keeps_no_literal_and_says_so_where_it_is_asked(caller: Caller) -> None:
    made = caller.ok("POST", "workflows/", document(door(LITERAL)), Idempotency_Key="once")
    assert made["steps"][0]["config"]["inputs"] == {"token": HIDDEN}
    told = caller.ok("POST", f"workflows/{made['id']}/publish/?dry_run=1", {})
    assert [(each["path"], each["code"]) for each in told["problems"]] == [
        ("steps[0].config.inputs.token", "secret_literal")
    ]
    refused = caller("POST", f"workflows/{made['id']}/publish/", {})
    assert refused.status_code == 400
    assert LITERAL not in dump()


# In the form.


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def form_of(browser: Client, workflow: Workflow, query: str = "") -> str:
    return browser.get(reverse("workflow-step", args=["acme", workflow.pk, "open"]) + query).content.decode()


def control(page: str, name: str = "token") -> str:
    found = re.search(
        rf'<div class="f" data-field="{name}".*?(?=<div class="f"|</fieldset>|</details>)', page, re.DOTALL
    )
    assert found
    return unescape(found.group())


def test_the_form_offers_names_alone(browser: Client, actor: Actor, code: Credential) -> None:
    other_use(actor)
    shown = control(form_of(browser, draft(actor, door(secret("front door"), note="{{ trigger.body }}"))))
    assert re.findall(r'<option value="([^"]*)"', shown) == ["", "front door"]
    assert '<option value="front door" selected>' in shown
    assert "Not checked" in shown
    assert reverse("credential", args=["acme", code.pk]) in shown
    assert "data-takes" not in shown
    assert "Insert data" not in shown
    assert "Reads as" not in shown
    assert VALUE not in shown


def test_a_form_without_one_offers_to_make_it(browser: Client, actor: Actor) -> None:
    shown = control(form_of(browser, draft(actor, door(LITERAL))))
    assert re.findall(r'<option value="([^"]*)"', shown) == [""]
    assert "Save it as a secret and choose it here." in shown
    assert "New secret…" in shown
    assert LITERAL not in shown
    assert HIDDEN not in shown


def test_one_that_is_gone_stays_chosen_until_somebody_chooses_another(browser: Client, actor: Actor) -> None:
    shown = control(form_of(browser, draft(actor, door(secret("gone")))))
    assert '<option value="gone" selected>gone (does not fit)' in shown
    assert "There is no secret 'gone'." in shown


def save(browser: Client, workflow: Workflow, **posted: str) -> Any:
    return browser.post(reverse("workflow-step", args=["acme", workflow.pk, "open"]), posted)


def test_saving_the_form_keeps_the_name_and_only_that(browser: Client, actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(LITERAL))
    assert save(browser, workflow, **{"in.token": "front door", "in.note": "b"}).status_code == 302
    assert inputs_of(workflow) == {"token": secret("front door"), "note": "b"}
    save(browser, workflow, **{"in.token": "", "in.note": "b"})
    assert inputs_of(workflow) == {"note": "b"}


@pytest.mark.parametrize("more", [{}, {"as.token": "json"}, {"in.token.k0": "a", "in.token.v0": LITERAL}])
def test_nothing_that_is_posted_becomes_a_literal(browser: Client, actor: Actor, more: dict[str, str]) -> None:
    workflow = draft(actor, door(secret("gone")))
    save(browser, workflow, **{"in.token": json.dumps(LITERAL), **more})
    assert inputs_of(workflow)["token"] == secret(json.dumps(LITERAL))


def test_a_new_secret_is_made_from_the_field_and_comes_back_chosen(browser: Client, actor: Actor) -> None:
    workflow = draft(actor, door(LITERAL, note="stays"))
    link = re.search(r'href="([^"]*/credentials/new/[^"]*)"', control(form_of(browser, workflow)))
    assert link
    page = browser.get(link.group(1)).content.decode()
    assert "Connect Secret" in page
    back = re.search(r'name="next" value="([^"]*secret_for[^"]*)"', page.partition("<main")[2])
    assert back
    sent = {
        "provider": "secret", "auth_type": "api_key", "next": unescape(back.group(1)), "name": "garage",
        "secret-api_key": VALUE,
    }  # fmt: skip
    answer = browser.post(reverse("credential-new", args=["acme"]), sent)
    step_url = reverse("workflow-step", args=["acme", workflow.pk, "open"])
    assert (answer.status_code, answer["Location"]) == (302, f"{step_url}#field-token")
    assert inputs_of(workflow) == {"token": secret("garage"), "note": "stays"}
    after = browser.get(step_url).content.decode()
    assert '<option value="garage" selected>' in unescape(after)
    assert VALUE not in unescape(after)


@pytest.mark.parametrize("field", ["note", "nothing", "token%00", "../x"])
def test_a_new_secret_goes_into_no_other_field(browser: Client, actor: Actor, field: str) -> None:
    workflow = draft(actor, door(secret("gone"), note="stays"))
    step_url = reverse("workflow-step", args=["acme", workflow.pk, "open"])
    sent = {
        "provider": "secret", "auth_type": "api_key", "name": "garage", "secret-api_key": VALUE,
        "next": f"{step_url}?secret_for={field}",
    }  # fmt: skip
    assert browser.post(reverse("credential-new", args=["acme"]), sent).status_code == 302
    assert inputs_of(workflow) == {"token": secret("gone"), "note": "stays"}


def test_a_viewer_sees_the_name_and_cannot_make_one(client: Client, viewer: User, actor: Actor, code: Any) -> None:
    workflow = draft(actor, door(secret("front door")))
    client.force_login(viewer)
    shown = form_of(client, workflow).partition('id="field-token"')[2].partition("</div>")[0]
    assert "Door code" in shown
    assert "front door" in shown
    assert "New secret…" not in form_of(client, workflow)


def test_a_literal_is_not_told_to_a_viewer_either(client: Client, viewer: User, actor: Actor) -> None:
    workflow = draft(actor, door(LITERAL))
    client.force_login(viewer)
    page = client.get(reverse("workflow-step", args=["acme", workflow.pk, "open"])).content.decode()
    assert 'id="field-token"' in page
    assert LITERAL not in page


def test_the_reference_shows_its_control(browser: Client, actor: Actor) -> None:
    page = browser.get(reverse("integration-action", args=["acme", "locked", "open"])).content.decode()
    assert "Choose a secret" in control(page)
    guide = unescape(browser.get(reverse("developers-reference", args=["acme"])).content.decode())
    assert 'data-field="token"' in guide
    assert "secret" in guide


# In a run.


def ended(run: Run) -> Run:
    drive()
    return run.refresh()


@pytest.mark.django_db(transaction=True)
def test_the_call_gets_the_value_and_nothing_else_does(
    actor: Actor, code: Credential, browser: Client, caller: Caller
) -> None:
    workflow = draft(actor, door(secret("front door"), note="{{ trigger.body }}"))
    run = ended(run_start_by_actor(actor=actor, workflow=workflow, version="draft", payload="hi"))
    assert (run.status, _seen) == ("succeeded", [VALUE])
    [row] = rows(run)
    assert row.inputs == {"token": secret("front door"), "note": "hi"}
    assert row.output == {"told": "opened with ••••••", "note": "hi", "spare": None}
    shown = [
        form_of(browser, workflow),
        form_of(browser, workflow, "?show=input"),
        browser.get(reverse("run", args=["acme", run.pk]) + "?step=open").content.decode(),
        json.dumps(caller.ok("GET", f"runs/{run.pk}/"), ensure_ascii=False),
        dump(),
    ]
    forms = [VALUE, json.dumps(VALUE)[1:-1], base64.b64encode(VALUE.encode()).decode()]
    assert [form for form in forms for text in shown if form in unescape(text)] == []
    assert "front door" in shown[1]
    assert code.refresh().last_used_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_published_version_goes_on_with_what_it_was_bound_to(actor: Actor, code: Credential) -> None:
    workflow = draft(actor, door(secret("front door")))
    services.publish(actor=actor, workflow=workflow)
    vault.credential_update(actor=actor, credential=code, name="gate", secret={"api_key": "rotated-value"})
    keep(actor, "front door", "quite-another")
    run = ended(run_start_by_actor(actor=actor, workflow=workflow.refresh(), version="published"))
    assert (run.status, _seen) == ("succeeded", ["rotated-value"])


@pytest.mark.django_db(transaction=True)
def test_the_value_is_held_against_the_schema_and_not_quoted(actor: Actor) -> None:
    keep(actor, "short", "s-4711")
    run = ended(step_test(actor=actor, workflow=draft(actor, door(secret("short"))), key="open"))
    assert (run.status, run.failure_kind, run.error["field"]) == ("failed", "input", "token")
    assert "at least 8" in run.error["message"]
    assert "s-4711" not in dump()
    assert _seen == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("token", "kind", "says"),
    [
        (LITERAL, "input", "a secret is not written into a step"),
        (secret("gone"), "auth", "'gone' no longer exists"),
        (secret("team"), "auth", "for another use"),
    ],
)
def test_a_test_says_what_is_wrong_with_it(actor: Actor, token: Any, kind: str, says: str) -> None:
    other_use(actor)
    run = ended(step_test(actor=actor, workflow=draft(actor, door(token)), key="open"))
    assert (run.status, run.failure_kind, run.error["field"]) == ("failed", kind, "token")
    assert says in run.error["message"]
    assert _seen == []


@pytest.mark.django_db(transaction=True)
def test_a_version_from_before_is_refused_without_a_word_of_what_it_holds(tenant: Tenant) -> None:
    run = ended(start(make_workflow(tenant, door(LITERAL))))
    assert (run.status, run.failure_kind) == ("failed", "input")
    assert LITERAL not in json.dumps([run.error, [[row.inputs, row.error] for row in rows(run)]])


@pytest.mark.django_db(transaction=True)
def test_another_tenants_secret_is_missing(tenant: Tenant, other_tenant: Tenant, stranger: User, actor: Actor) -> None:
    theirs = keep(actor_for_user(stranger, other_tenant.slug), "theirs")
    assert problems(actor, draft(actor, door(secret("theirs")))) == [
        ("error", "steps[0].config.inputs.token", "credential_unknown")
    ]
    # Not by its id either.
    run = ended(start(make_workflow(tenant, door(secret("theirs")), bindings={"theirs": theirs.pk})))
    assert (run.status, run.failure_kind) == ("failed", "auth")
    assert "no longer exists" in run.error["message"]
    assert _seen == []


@pytest.mark.django_db(transaction=True)
def test_without_the_vaults_key_the_step_waits(actor: Actor, code: Credential, settings: Settings) -> None:
    workflow = draft(actor, door(secret("front door")))
    keys = settings.VAULT_KEYS
    settings.VAULT_KEYS = (b"f" * 32,)
    run = ended(run_start_by_actor(actor=actor, workflow=workflow, version="draft"))
    assert (run.status, rows(run)) == ("waiting", [])
    settings.VAULT_KEYS = keys
    Run.objects.for_tenant(actor.tenant).update(wake_at=run.created_at)
    assert (ended(run).status, _seen) == ("succeeded", [VALUE])


@pytest.mark.django_db(transaction=True)
def test_a_retry_and_a_rerun_read_the_vault_again_under_the_same_key(actor: Actor, code: Credential) -> None:
    keys: list[str] = []

    @action(provider=lock, key="locked.fail", name="Fail", auth_type="none", input_schema=Inputs, http=False)
    async def fail(ctx: RunContext[Inputs]) -> Any:
        """Fail the first time."""
        keys.append(ctx.idempotency_key)
        _seen.append(ctx.inputs.token)
        if len(keys) == 1:
            raise Transient(f"not yet, {ctx.inputs.token}")
        return None

    again = {"max_attempts": 2, "delay": 0, "jitter": False}
    with registry.temporarily(fail):
        made = step("open", "locked.fail", inputs={"token": secret("front door")}, retry=again)
        run = ended(run_start_by_actor(actor=actor, workflow=draft(actor, made), version="draft"))
    assert (run.status, _seen) == ("succeeded", [VALUE, VALUE])
    assert keys[0] == keys[1]
    assert rows(run)[0].error["message"] == "not yet, ••••••"
