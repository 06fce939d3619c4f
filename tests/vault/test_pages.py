"""The pages of credentials: the table, one in full, forms with their test, replacing, deleting, roles and garbage."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pydantic import BaseModel
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import Account, AuthContext, BearerToken, Provider, RunContext, action
from integrations.sdk.errors import AuthError, Transient
from integrations.sdk.fields import words_problems
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import checks, services
from orchestrator.vault.connecting import local_page
from orchestrator.vault.models import Credential, Health
from orchestrator.vault.provider_settings import credential_types
from orchestrator.workflows import services as workflows
from orchestrator.workflows.models import Workflow
from tests.vault import healths

TOKEN = "tok-canary-4711"
HOSTILE = "<script>alert(1)</script>\"'&{{ x }} ‮"
_answers: list[Any] = []
_asked: list[str] = []


async def _test(ctx: AuthContext) -> Account:
    _asked.append(ctx.auth["token"])
    answer = _answers.pop(0) if _answers else Account(label="Ada's shop", scopes=("read", "write"))
    if isinstance(answer, Exception):
        raise answer
    assert isinstance(answer, Account)
    return answer


shop = Provider(
    key="shop",
    name="Shop",
    base_url="https://shop.invalid",
    auth=[BearerToken(help="Under Settings.", docs_url="https://shop.example/tokens", test=_test)],
)


class NoInputs(BaseModel):
    """Nothing."""


@action(provider=shop, key="shop.buy", name="Buy", auth_type="bearer_token", input_schema=NoInputs)
async def buy(ctx: RunContext[NoInputs]) -> Any:
    """Buy."""
    return None


@pytest.fixture(autouse=True)
def _shop() -> Iterator[None]:
    _answers.clear()
    _asked.clear()
    with registry.temporarily(buy):
        yield


@pytest.fixture
def actor(editor: User) -> Actor:
    return actor_for_user(editor, "acme")


@pytest.fixture
def browser(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


@pytest.fixture
def make(actor: Actor) -> Callable[..., Credential]:
    def make(name: str = "main", **more: Any) -> Credential:
        given = {"provider": "shop", "auth_type": "bearer_token", "secret": {"token": TOKEN}, **more}
        return services.credential_create(actor=actor, name=name, **given)

    return make


@pytest.fixture
def use(actor: Actor) -> Callable[..., Workflow]:
    """Return a function that makes a workflow whose steps use a credential, published if so wanted."""

    def use(credential: str, *, name: str = "Orders", steps: int = 1, published: bool = False) -> Workflow:
        document = {
            "name": name,
            "triggers": [{"key": "go", "type": "manual", "config": {}}],
            "steps": [
                {"key": f"buy{number}", "action": "shop.buy", "credential": credential} for number in range(steps)
            ],
        }
        workflow = workflows.workflow_create(actor=actor, document=document)
        if published:
            workflows.publish(actor=actor, workflow=workflow)
        return workflow.refresh()

    return use


def address(name: str = "credential-list", *parts: int, tenant: str = "acme") -> str:
    return reverse(name, args=[tenant, *parts])


def shown(response: Any) -> str:
    """Return what a page says, as text."""
    text = re.sub(r"<(script|style|svg).*?</\1>", "", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)))


def names(response: Any) -> list[str]:
    return re.findall(r'class="nm brk"[^>]*>([^<]+)<', response.content.decode())


def fields(**more: str) -> dict[str, str]:
    return {"provider": "shop", "auth_type": "bearer_token", "name": "shop", "secret-token": TOKEN, **more}


def test_the_table_says_how_each_fares_and_what_uses_it(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    make()
    use("main", steps=2)
    use("main", name="Other", published=True)
    make("ends", expires_at=timezone.now() + timedelta(days=5, hours=1))
    refused = make("refused")
    healths.found(refused, Health.RECONNECT, "Bad token.")
    page = browser.get(address())
    text = shown(page)
    assert names(page) == ["ends", "main", "refused"]
    for words in ("Ends in 5 days", "Not checked", "Reconnect", "Bearer token", "One credential needs you."):
        assert words in text
    counts = re.findall(r'<td class="rl num">(\d+)</td>', page.content.decode())
    assert counts == ["0", "2", "0"]
    # So few need neither a search nor columns to sort by.
    assert 'type="search"' not in page.content.decode()


def test_the_end_is_forecast_from_the_day_itself(make: Callable[..., Credential]) -> None:
    from orchestrator.vault.faces import face_of

    now = timezone.now()
    for left, expected in (
        (timedelta(hours=3), ("expiring", "Ends today")),
        (timedelta(days=1, hours=1), ("expiring", "Ends in 1 day")),
        (timedelta(days=6, hours=23), ("expiring", "Ends in 6 days")),
        (timedelta(days=8), ("not_checked", "")),
        (timedelta(hours=-1), ("reconnect", "Ended")),
    ):
        face = face_of(Credential(health="not_checked", auth_type="api_key", expires_at=now + left))
        assert (face.status, face.word) == expected
    soon = now + timedelta(hours=1)
    # A sign-in's token ends within the hour, and is renewed by itself.
    assert face_of(Credential(health="working", auth_type="oauth2", expires_at=soon)).status == "working"
    assert face_of(Credential(health="reconnect", auth_type="api_key", expires_at=soon)).status == "reconnect"


def test_many_can_be_searched_filtered_sorted_and_paged(browser: Client, make: Callable[..., Credential]) -> None:
    rows = [make(f"c{number:02}") for number in range(55)]
    make("web", provider="http", auth_type="api_key", secret={"api_key": "k"})
    healths.found(rows[30], Health.RECONNECT)
    Credential.unscoped.filter(pk=rows[40].pk).update(last_used_at=timezone.now())
    page = browser.get(address())
    assert len(names(page)) == 50
    assert "Page 1 of 2, 56 in all" in shown(page)
    assert "Search 56 credentials" in page.content.decode()
    assert names(browser.get(address() + "?page=2")) == ["c50", "c51", "c52", "c53", "c54", "web"]
    assert names(browser.get(address() + "?sort=health"))[0] == "c30"
    assert names(browser.get(address() + "?sort=used"))[0] == "c40"
    assert names(browser.get(address() + "?health=needs")) == ["c30"]
    assert names(browser.get(address() + "?provider=http")) == ["web"]
    assert names(browser.get(address() + "?q=C3&page=1")) == [f"c3{n}" for n in range(10)]
    # What is narrowed stays narrowed beside an open one, and after it is closed.
    beside = browser.get(address("credential", rows[31].pk) + "?q=c3&sort=health")
    assert names(beside)[0] == "c30"
    assert f'href="{address()}?q=c3&amp;sort=health"' in beside.content.decode()
    assert "No credential is like that" in shown(browser.get(address() + "?q=zzz"))


def test_garbage_in_the_address_is_no_error(browser: Client, make: Callable[..., Credential]) -> None:
    pk = make().pk
    queries = (
        "q=%00", "q=%ED%A0%80", "health=%27", "sort=drop", "page=-1", "page=1e9", "page=x", "provider=" + "x" * 5000,
        "edit=1&delete=1", "provider=%00", "q=" + "é" * 5000,
    )  # fmt: skip
    for query in queries:
        for base in (address(), address("credential", pk), address("credential-new")):
            assert browser.get(f"{base}?{query}").status_code == 200, query
    for query in ("provider=nobody", "provider=shop&auth_type=nothing", "provider=shop&next=%00"):
        assert browser.get(f"{address('credential-new')}?{query}").status_code == 200
    for given in ({}, {"provider": "nobody"}, fields(expires="9999-12-31"), fields(expires="x"), fields(name="\x00"),
                  fields(name="n" * 10_000), {"provider": "\x00"}):  # fmt: skip
        for more in ({}, {"try": "1"}):
            status = browser.post(address("credential-new"), {**given, **more}).status_code
            assert status in (200, 302, 422), (given, more)
    for given in ({"by": "x"}, {"by": "٣"}, {"by": "9" * 400}, {"by": ""}, {"by": "-1"}, {}):
        assert browser.post(address("credential-replace", pk), given).status_code == 422


def test_cause_and_fix_come_first_and_what_is_secret_is_not_there(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    credential = make()
    workflow = use("main", steps=2, published=True)
    healths.found(credential, Health.RECONNECT, "The token was revoked.")
    text = shown(page := browser.get(address("credential", credential.pk)))
    order = [
        "The token was revoked.", "Trying again does not help.", "Enter a new secret", "••••••••", "by editor-of-acme",
        "Everyone who edits workflows", "Used by", "Orders", "buy0", "buy1", "History", "Created by editor-of-acme",
    ]  # fmt: skip
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert TOKEN not in page.content.decode()
    assert f'href="/w/acme/workflows/{workflow.pk}/steps/buy0/#field-credential"' in page.content.decode()


def test_a_step_that_only_the_published_version_has_is_named_without_a_link(
    browser: Client, actor: Actor, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    credential = make()
    workflow = use("main", published=True)
    workflows.step_remove(actor=actor, workflow=workflow, key="buy0")
    page = browser.get(address("credential", credential.pk))
    assert "(published version)" in shown(page)
    assert "steps/buy0/" not in page.content.decode()


def test_the_history_tells_from_the_audit_log(browser: Client, actor: Actor, make: Callable[..., Credential]) -> None:
    credential = make()
    services.credential_update(actor=actor, credential=credential, name="renamed")
    services.credential_update(actor=actor, credential=credential, secret={"token": "another"})
    checks.credential_check(actor=actor, credential=credential)
    credential = credential.refresh()
    checks.use_noted(
        tenant_id=credential.tenant_id, credential_id=credential.pk, secret_set_at=credential.secret_set_at,
        refused="No.", run_id=17,
    )  # fmt: skip
    page = browser.get(address("credential", credential.pk))
    told = shown(page).partition("History")[2]
    wanted = [
        "Refused by its provider",
        "Tested by editor-of-acme: Working",
        "New secret by",
        "Changed by",
        "Created by",
    ]
    assert [told.index(words) for words in wanted] == sorted(told.index(words) for words in wanted)
    assert '/w/acme/runs/17/"' in page.content.decode()


def test_a_test_before_saving_says_what_the_provider_says_and_saves_nothing(browser: Client) -> None:
    response = browser.post(address("credential-new"), fields(**{"try": "1"}))
    text = shown(response)
    assert response.status_code == 200
    assert "It works. Signed in as Ada's shop." in text
    assert "read, write" in text
    assert "Enter the secret once more" in text
    # The name that was only proposed is the account's now.
    assert 'value="Ada&#x27;s shop"' in response.content.decode()
    assert TOKEN not in response.content.decode()
    assert _asked == [TOKEN]
    assert not Credential.unscoped.exists()
    assert not AuditEvent.unscoped.exists()


def test_a_name_that_somebody_chose_stays(browser: Client) -> None:
    response = browser.post(address("credential-new"), fields(name="mine", **{"try": "1"}))
    assert 'value="mine"' in response.content.decode()


def test_with_a_script_only_the_answer_and_the_name_are_exchanged(browser: Client) -> None:
    response = browser.post(
        address("credential-new"), fields(**{"try": "1"}), headers={"HX-Request": "true"}
    ).content.decode()
    assert "It works." in response
    assert 'hx-swap-oob="true"' in response
    assert "<html" not in response
    assert "secret-token" not in response
    assert TOKEN not in response


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (AuthError(f"Bad token {TOKEN}."), "Shop refuses it."),
        (Transient("It is down."), "The check could not be made: It is down."),
        (KeyError(TOKEN), "has a defect (KeyError)"),
        (TimeoutError(), "gave no answer in time"),
    ],
)
def test_a_failed_test_says_why_and_that_saving_is_possible(browser: Client, answer: Exception, words: str) -> None:
    _answers.append(answer)
    response = browser.post(address("credential-new"), fields(**{"try": "1"}))
    assert words in shown(response)
    assert "You can save it all the same" in shown(response)
    assert TOKEN not in response.content.decode()


def test_a_refused_secret_is_saved_with_a_clear_warning(browser: Client) -> None:
    _answers.append(AuthError("Bad token."))
    response = browser.post(address("credential-new"), fields(), follow=True)
    assert "but steps that use it will fail. Shop refuses it: Bad token." in shown(response)
    assert Credential.unscoped.get().health == Health.RECONNECT


def test_a_saved_secret_is_tested_at_once(browser: Client) -> None:
    response = browser.post(address("credential-new"), fields(), follow=True)
    assert "Saved “shop”. It works. Signed in as Ada's shop." in shown(response)
    found = Credential.unscoped.get()
    assert (found.health, found.account) == (Health.WORKING, "Ada's shop")


def test_what_has_no_test_says_so(browser: Client) -> None:
    given = {"provider": "http", "auth_type": "bearer_token", "name": "web", "secret-token": TOKEN}
    form = browser.get(address("credential-new") + "?provider=http&auth_type=bearer_token")
    assert "has no test of its own" in shown(form)
    assert 'name="try"' not in form.content.decode()
    assert "Not tested" in shown(browser.post(address("credential-new"), given, follow=True))
    refused = browser.post(address("credential-new"), {**given, "name": "b", "try": "1"})
    assert refused.status_code == 422
    assert "cannot be tested by themselves" in shown(refused)


def test_each_secret_says_where_it_is_found(browser: Client) -> None:
    page = browser.get(address("credential-new") + "?provider=shop").content.decode()
    assert 'href="https://shop.example/tokens" rel="noopener noreferrer"' in page
    assert "Where do I find this?" in page
    assert "With it, steps can: Buy." in re.sub(r"<[^>]+>", "", page)


def test_a_changed_form_tries_the_new_secret_or_else_the_kept_one(
    browser: Client, make: Callable[..., Credential]
) -> None:
    credential = make()
    edit = address("credential-edit", credential.pk)
    assert "It works." in shown(browser.post(edit, {"name": "main", "try": "1"}))
    assert "It works." in shown(browser.post(edit, {"name": "main", "secret-token": "new-one", "try": "1"}))
    assert _asked == [TOKEN, "new-one"]
    assert services.resolve_credential(tenant_id=credential.tenant_id, name="main").auth["token"] == TOKEN
    saved = browser.post(edit, {"name": "main", "secret-token": "new-one"}, follow=True)
    assert "It works." in shown(saved)
    assert credential.refresh().secret_set_by == credential.created_by


def test_a_kept_secret_is_not_tried_at_a_host_it_may_not_go_to(
    actor: Actor, make: Callable[..., Credential], monkeypatch: pytest.MonkeyPatch
) -> None:
    credential = make("web", provider="http", auth_type="api_key", secret={"api_key": TOKEN},
                      settings={"hosts": ["a.example"]})  # fmt: skip
    asked: list[Any] = []
    monkeypatch.setattr(checks.account, "declared_test", lambda *_: (shop, _test))
    monkeypatch.setattr(checks.account, "ask_account", lambda *args, **_: asked.append(args))
    with pytest.raises(services.Invalid, match="enter its secret again"):
        checks.credential_try(
            actor=actor, provider="http", auth_type="api_key", secret=None,
            settings={"hosts": ["evil.example"]}, credential=credential,
        )  # fmt: skip
    assert asked == []


def test_a_deletion_names_what_would_stop_and_is_refused_without_a_word_for_it(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    credential = make()
    use("main", steps=2)
    page = shown(browser.get(address("credential", credential.pk) + "?delete=1"))
    for words in ("These workflows would stop", "Orders", "buy0", "buy1", "No other credential of Shop fits"):
        assert words in page
    refused = browser.post(address("credential-delete", credential.pk))
    assert refused.status_code == 409
    assert "Nothing was changed." in shown(refused)
    assert browser.post(address("credential-delete", credential.pk), {"force": "1"}).status_code == 302
    assert not Credential.unscoped.exists()


def test_another_takes_its_place_in_every_draft_and_that_can_be_undone(
    browser: Client, actor: Actor, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    old, new = make("old"), make("new")
    make("web", provider="http", auth_type="api_key", secret={"api_key": "k"})
    live, draft = use("old", steps=2, published=True), use("old", name="Second")
    page = browser.get(address("credential", old.pk) + "?delete=1").content.decode()
    assert re.findall(r'<option value="(\d+)"', page) == [str(new.pk)]
    assert "Replace in 2 workflows" in page
    response = browser.post(address("credential-replace", old.pk), {"by": new.pk}, follow=True)
    text = shown(response)
    assert "Replaced by “new” in 2 workflows." in text
    assert "What is published still uses “old” until the next publish: Orders." in text
    assert "No draft uses it any more. Publish these workflows" in text
    assert {step.credential_id for step in (*live.steps.all(), *draft.steps.all())} == {new.pk}
    assert live.refresh().published_version.bindings == {"old": old.pk}
    assert AuditEvent.unscoped.get(action="credential.replaced").detail == {"by": "new", "workflows": 2}
    assert AuditEvent.unscoped.filter(action="workflow.changed").count() == 2
    workflows.draft_undo(actor=actor, workflow=live)
    assert {step.credential_id for step in live.steps.all()} == {old.pk}
    workflows.draft_redo(actor=actor, workflow=live)
    workflows.publish(actor=actor, workflow=live)
    assert "Delete old" in shown(browser.get(address("credential", old.pk) + "?delete=1"))


def test_what_does_not_fit_takes_nobodys_place(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow], other_tenant: Tenant,
    stranger: User,
) -> None:  # fmt: skip
    old = make("old")
    workflow = use("old")
    web = make("web", provider="http", auth_type="api_key", secret={"api_key": "k"})
    theirs = services.credential_create(
        actor=actor_for_user(stranger, "globex"), name="theirs", provider="shop", auth_type="bearer_token",
        secret={"token": "t"},
    )  # fmt: skip
    for by in (web.pk, old.pk, theirs.pk, 0):
        assert browser.post(address("credential-replace", old.pk), {"by": by}).status_code == 422, by
    assert [step.credential_id for step in workflow.steps.all()] == [old.pk]
    assert not AuditEvent.unscoped.filter(action="credential.replaced").exists()


def test_a_step_that_takes_any_provider_is_given_one_of_the_same(
    browser: Client, actor: Actor, make: Callable[..., Credential]
) -> None:
    old, other = make("old", provider="http"), make("other")
    step = {"key": "get", "action": "http.request", "credential": "old"}
    workflows.workflow_create(actor=actor, document={"name": "Calls", "steps": [step]})
    assert browser.post(address("credential-replace", old.pk), {"by": other.pk}).status_code == 422
    assert (
        browser.post(address("credential-replace", old.pk), {"by": make("new", provider="http").pk}).status_code == 302
    )


def test_a_credential_made_from_a_step_is_chosen_there(
    browser: Client, actor: Actor, use: Callable[..., Workflow]
) -> None:
    workflow = use("")
    step = f"/w/acme/workflows/{workflow.pk}/steps/buy0/"
    form = browser.get(address("credential-new"), {"provider": "shop", "next": step}).content.decode()
    assert f'name="next" value="{step}"' in form
    response = browser.post(address("credential-new"), fields(next=step))
    assert response.headers["Location"] == f"{step}#field-credential"
    assert [found.credential.name for found in workflow.steps.all()] == ["shop"]
    workflows.draft_undo(actor=actor, workflow=workflow)
    assert [found.credential for found in workflow.steps.all()] == [None]


def test_the_step_says_how_its_credential_fares(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    credential = make(expires_at=timezone.now() + timedelta(days=2, hours=1))
    make("other")
    workflow = use("main")
    page = browser.get(f"/w/acme/workflows/{workflow.pk}/steps/buy0/")
    row = page.content.decode().partition('id="field-credential"')[2].partition('id="field-credential-help"')[0]
    assert "Ends in 2 days" in row
    assert f'href="{address("credential", credential.pk)}"' in row
    assert row.count('class="st ') == 1


def test_one_that_does_not_fit_the_step_is_saved_and_not_chosen(browser: Client, use: Callable[..., Workflow]) -> None:
    workflow = use("")
    step = f"/w/acme/workflows/{workflow.pk}/steps/buy0/"
    given = {"provider": "http", "auth_type": "bearer_token", "name": "web", "secret-token": "t", "next": step}
    response = browser.post(address("credential-new"), given)
    assert response.headers["Location"] == step
    assert [found.credential for found in workflow.steps.all()] == [None]
    assert Credential.unscoped.get().name == "web"
    gone = f"/w/acme/workflows/{workflow.pk}/steps/gone/"
    assert browser.post(address("credential-new"), fields(name="b", next=gone)).headers["Location"] == gone


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/w/acme/\\evil.example", "/w/globex/workflows/", "/w/acme/../globex/", "/w/acme//evil.example",
        "/w/acme@evil.example", " /w/acme/", "/w/acme/\n//evil.example", "/w/acme/" + "x" * 600, "///evil.example",
        "http:/w/acme/", "data:text/html,x", "/w/acme/\x00", "/admin/", "/w/acme/..",
        "/w/acme/%2e%2e/globex/", "/w/acme/%5c", "/w/acme/%2F/x",
    ],
)  # fmt: skip
def test_nobody_is_led_away(browser: Client, tenant: Tenant, target: str) -> None:
    assert local_page(tenant, target) == ""
    _answers.clear()
    response = browser.post(address("credential-new"), fields(next=target))
    assert response.headers["Location"] == address("credential", Credential.unscoped.get().pk)


def test_an_empty_vault_offers_six_providers_those_in_use_first(browser: Client, use: Callable[..., Workflow]) -> None:
    use("")
    page = browser.get(address()).content.decode()
    offered = re.findall(r"\?provider=(\w+)", page)
    assert offered[0] == "shop"
    assert 1 < len(offered) <= 6


def test_without_its_key_the_page_says_that_runs_wait(
    browser: Client, make: Callable[..., Credential], settings: Settings
) -> None:
    credential = make()
    for keys in ((b"x" * 32,), ()):
        settings.VAULT_KEYS = keys
        for where in (address(), address("credential", credential.pk)):
            page = browser.get(where)
            assert page.status_code == 200
            assert "Secrets cannot be read right now. Runs wait, nothing is lost." in shown(page)
        tested = browser.post(address("credential-test", credential.pk), follow=True)
        assert tested.status_code == 200
        assert credential.refresh().health == Health.NOT_CHECKED
    refused = browser.post(address("credential-new"), fields(name="b"))
    assert refused.status_code == 422
    assert "the vault has no key" in shown(refused)
    assert browser.post(address("credential-edit", credential.pk), {"name": "b", "try": "1"}).status_code == 200


def test_a_viewer_reads_and_changes_nothing(
    client: Client, viewer: User, operator: User, make: Callable[..., Credential]
) -> None:
    pk = make().pk
    for person in (viewer, operator):
        client.force_login(person)
        for query in ("", "?edit=1", "?delete=1"):
            page = client.get(address("credential", pk) + query)
            assert page.status_code == 200
            own = page.content.decode().partition("<main")[2].partition("</main>")[0]
            assert "<form" not in own
            assert "?edit=1" not in own
        assert client.get(address("credential-new")).status_code == 403
        for name in ("edit", "test", "delete", "replace"):
            assert client.post(address(f"credential-{name}", pk), {"try": "1"}).status_code == 403


def test_another_tenants_credential_is_not_there(
    client: Client, stranger: User, make: Callable[..., Credential]
) -> None:
    pk = make().pk
    client.force_login(stranger)
    for tenant in ("acme", "globex"):
        assert client.get(address("credential", pk, tenant=tenant)).status_code == 404
        for name in ("edit", "test", "delete", "replace"):
            assert client.post(address(f"credential-{name}", pk, tenant=tenant), {"try": "1"}).status_code == 404
    assert "main" not in names(client.get(address(tenant="globex")))


def test_names_and_messages_of_strangers_are_text(browser: Client, make: Callable[..., Credential]) -> None:
    credential = make(HOSTILE[:40].replace("‮", ""))
    message = HOSTILE + "x" * 400
    Credential.unscoped.update(
        health="reconnect", health_message=message, account=HOSTILE, scopes=[HOSTILE], provider="no_such"
    )
    for query in ("", "?edit=1", "?delete=1"):
        page = browser.get(address("credential", credential.pk) + query).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page
    _answers.append(Account(label=HOSTILE, scopes=(HOSTILE,)))
    tried = browser.post(address("credential-new"), fields(**{"try": "1"})).content.decode()
    assert "<script>alert" not in tried


def test_a_full_page_is_light(browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]) -> None:
    pk = make("n" * 100).pk
    for number in range(50):
        make(f"c{number}" + "y" * 90, provider=f"provider_{number}")
    for number in range(25):
        use("n" * 100, name=f"W{number}", steps=60 if number < 2 else 12)
    for query in ("", "?delete=1"):
        page = browser.get(address("credential", pk) + query)
        assert page.content.count(b"<") - page.content.count(b"</") <= 3_000
        assert len(gzip.compress(page.content)) <= 25 * 1024
        assert "50 more" in shown(page)


def test_queries_do_not_grow_with_the_rows(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    def count(where: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert browser.get(where).status_code == 200
        return len(caught)

    pk = make().pk
    make("other")
    use("main", published=True)
    wheres = (address(), address("credential", pk), address("credential", pk) + "?delete=1")
    few = [count(where) for where in wheres]
    for number in range(20):
        make(f"c{number}")
        use("main", name=f"W{number}", published=number % 2 == 0)
    assert [count(where) for where in wheres] == few
    assert few[0] <= 11
    assert max(few) <= 19


def test_what_may_be_left_out_of_a_mail_servers_credential_is_not_chosen_by_the_form(browser: Client) -> None:
    page = browser.get(address("credential-new") + "?provider=email").content.decode()
    offered = {
        name: re.findall(r'<option value="([^"]*)"( selected)?>', options)[0]
        for name, options in re.findall(r'<select[^>]* name="settings-([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL)
    }
    assert offered == {"security": ("starttls", " selected"), "smtp_security": ("", " selected")}


def test_choices_of_settings_are_read_in_words_and_stored_as_their_values(browser: Client, actor: Actor) -> None:
    page = browser.get(address("credential-new") + "?provider=email").content.decode()
    assert '<option value="tls">TLS</option>' in page
    secret = {"username": "ada", "password": "p"}
    given = {
        "provider": "email",
        "auth_type": "basic",
        "secret": secret,
        "settings": {"host": "a.test", "security": "tls"},
    }
    made = services.credential_create(actor=actor, name="mail", **given)
    assert made.settings["security"] == "tls"
    assert "Security TLS" in shown(browser.get(address("credential", made.pk)))
    assert [each for kind in credential_types() for each in words_problems(kind["settings_schema"])] == []


def main_buttons(page: Any) -> list[str]:
    """Return the words of the main buttons, apart from those of a dialog that is not open."""
    text = re.sub(r"<(svg|dialog).*?</\1>", "", page.content.decode(), flags=re.S)
    return [words.strip() for words in re.findall(r'class="b(?: sm)? p"[^>]*>(.*?)<', text)]


def test_a_page_has_one_main_button_at_most(browser: Client, make: Callable[..., Credential]) -> None:
    fine, bad = make("fine"), make("bad", expires_at=timezone.now() + timedelta(days=2))
    assert main_buttons(browser.get(address())) == ["New credential"]
    assert main_buttons(browser.get(address("credential", fine.pk))) == ["New credential"]
    assert main_buttons(browser.get(address("credential", bad.pk))) == ["Enter a new secret"]
    assert main_buttons(browser.get(address("credential", bad.pk) + "?edit=1")) == ["Save"]


def test_a_warning_at_a_steps_credential_is_no_error(
    browser: Client, make: Callable[..., Credential], use: Callable[..., Workflow]
) -> None:
    made = make()
    rows = Credential.objects.for_tenant(made.tenant)
    rows.update(health=Health.EXPIRING)
    workflow = use("main")
    place = f"/w/acme/workflows/{workflow.pk}/steps/buy0/"
    words = "“main” expires soon. Enter a new secret before it does."
    assert credential_field(browser.get(place)) == (False, True, words)
    saved = browser.post(place, {"credential": "main", "notes": "now"}, headers={"accept": "application/json"})
    assert (saved.json()["problems"], saved.json()["warned"]) == ({"credential": words}, ["credential"])
    rows.update(health=Health.RECONNECT)
    wrong, warned, _message = credential_field(browser.get(place))
    assert (wrong, warned) == (True, False)


def credential_field(page: Any) -> tuple[bool, bool, str]:
    """Return whether a step's field of the credential is marked as wrong, and as warned, and what is said there."""
    text = page.content.decode()
    (control,) = re.findall(r'<select class="in" id="field-credential"[^>]*>', text)
    ((css, said),) = re.findall(r'<p class="([^"]*)" data-error="credential"[^>]*>.*?<span>(.*?)</span>', text)
    return "aria-invalid" in control, "mild" in css.split(), unescape(said)
