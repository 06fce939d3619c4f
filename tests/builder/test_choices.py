"""What there is to choose from in a field: who may ask, what is asked, and what is said where there is no answer."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pydantic import BaseModel
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import (
    ApiKey,
    AuthError,
    BearerToken,
    InputError,
    Option,
    Options,
    OptionsContext,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    Provider,
    RateLimited,
    RunContext,
    Timeout,
    Transient,
    action,
)
from orchestrator.builder import choices, choosing
from orchestrator.builder.kept import Kept
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import AuditEvent, Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential, Health
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_document
from tests.upstream import Answered, Upstream, upstream

TOKEN: Final = "tok-canary-4711"
HOSTILE: Final = "\"><script>alert(1)</script>\u202e\x00\ud800'`{{ steps.a.output }}"

shop = Provider(key="shop", name="Shop", base_url="https://shop.test", auth=[BearerToken(), ApiKey()])
_asked: list[tuple[str, str | None, dict[str, Any], str]] = []
_answers: dict[str, Any] = {}


class Inputs(BaseModel):
    store: str
    city: str = ""
    amount: int | None = None


class Free(BaseModel):
    store: str


async def stores(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List what the test wants."""
    _asked.append((query, cursor, dict(ctx.inputs), str(ctx.auth.get("token", ""))))
    answer = _answers.get("stores", Options(items=[Option("s1", "Oslo"), Option("s2", "Rome", "closed")]))
    if callable(answer):
        answer = await answer(ctx)
    if isinstance(answer, BaseException):
        raise answer
    return answer  # type: ignore[no-any-return]


async def amounts(ctx: OptionsContext, query: str, cursor: str | None) -> Options:
    """List amounts."""
    return Options(items=[Option("5", "Five"), Option("many", "Many")])


@action(
    provider=shop,
    key="shop.buy",
    name="Buy",
    auth_type="bearer_token",
    input_schema=Inputs,
    options={"store": stores, "amount": amounts},
)
async def buy(ctx: RunContext[Inputs]) -> None:
    """Buy something."""


@action(provider=shop, key="shop.look", name="Look", auth_type="none", input_schema=Free, options={"store": stores})
async def look(ctx: RunContext[Free]) -> None:
    """Look at something."""


DOCUMENT: dict[str, Any] = {
    "name": "Shopping",
    "slug": "shopping",
    "triggers": [],
    "steps": [
        {"key": "buy", "action": "shop.buy", "credential": "mine", "config": {"inputs": {"city": "Oslo"}}},
        {"key": "none", "action": "shop.buy", "config": {"inputs": {}}},
        {"key": "free", "action": "shop.look", "config": {"inputs": {"store": "s2"}}},
        {"key": "gone", "action": "no.such", "config": {"inputs": {}}},
        {"key": "plain", "action": "data.set", "config": {"inputs": {"values": {"a": 1}}}},
    ],
}


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    _asked.clear()
    _answers.clear()
    choices._listed.clear()
    choices._labels.clear()
    with registry.temporarily(buy, look):
        yield


@pytest.fixture(autouse=True)
def _gives_places_back(_registered: None) -> Iterator[None]:
    yield
    until = time.monotonic() + 5
    while choices._places._taken:
        assert time.monotonic() < until, "a place was never given back"
        time.sleep(0.01)


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def credential(actor: Actor) -> Credential:
    return vault.credential_create(
        actor=actor, name="mine", provider="shop", auth_type="bearer_token", secret={"token": TOKEN}
    )


@pytest.fixture
def workflow(actor: Actor, credential: Credential) -> Workflow:
    return services.workflow_create(actor=actor, document=DOCUMENT)


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


def address(workflow: Workflow, key: str = "buy", field: str = "store", query: str = "", tenant: str = "acme") -> str:
    return reverse("workflow-step-options", args=[tenant, workflow.pk, key, field]) + query


def part(client: Client, workflow: Workflow, *args: str) -> Any:
    return client.get(address(workflow, *args), headers={"HX-Request": "true"})


def said(response: Any) -> str:
    assert response.status_code == 200
    found = re.search(r'role="alert">(.*?)</div></div>', response.content.decode(), re.DOTALL)
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", found.group(1)).split())) if found else ""


def inputs(workflow: Workflow, key: str = "buy") -> Any:
    steps = draft_document(workflow.refresh())["steps"]
    return next(step["config"]["inputs"] for step in steps if step["key"] == key)


def test_the_choices_are_asked_for_with_the_steps_credential_and_inputs(builder: Client, workflow: Workflow) -> None:
    response = part(builder, workflow, "buy", "store", "?q=+os+&cursor=c1")
    html = response.content.decode()
    assert _asked == [("os", "c1", {"city": "Oslo"}, TOKEN)]
    assert 'data-insert="s1"' in html
    assert re.search(r'data-insert="s2".*?Rome.*?closed', html)
    assert "<html" not in html
    assert "2 choices" in html
    assert TOKEN not in html


def test_an_action_without_a_credential_lists_too(builder: Client, workflow: Workflow) -> None:
    assert 'data-insert="s1"' in part(builder, workflow, "free").content.decode()
    assert _asked == [("", None, {}, "")]


def test_the_page_without_a_script_is_a_form_whose_buttons_fill_the_field(builder: Client, workflow: Workflow) -> None:
    _answers["stores"] = Options(items=[Option("s1", "Oslo")], next_cursor="c&2")
    response = builder.get(address(workflow, "buy", "store", "?q=o&cursor=c1"))
    html = response.content.decode()
    assert "<html" in html
    assert 'name="value" value="s1"' in html
    assert 'value="o"' in html
    assert "?q=o&amp;cursor=c%262" in html
    assert "?q=o&amp;cursor=" in html
    assert "data-insert" not in html


def test_a_choice_fills_the_field_and_leads_back_to_it(builder: Client, workflow: Workflow) -> None:
    answer = builder.post(address(workflow), {"value": "s2"})
    assert answer.status_code == 302
    assert answer["Location"] == reverse("workflow-step", args=["acme", workflow.pk, "buy"]) + "#field-store"
    assert inputs(workflow) == {"city": "Oslo", "store": "s2"}
    builder.post(address(workflow, "buy", "amount"), {"value": "5"})
    assert inputs(workflow)["amount"] == 5


def test_what_is_chosen_meanwhile_elsewhere_is_not_overwritten(
    builder: Client, workflow: Workflow, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse: Callable[..., Any] = choosing.form_reading.parse

    def meanwhile(*args: Any) -> Any:
        services.step_update(
            actor=actor, workflow=workflow, key="buy", changes={"config": {"inputs": {"city": "Rome"}}}
        )
        return parse(*args)

    monkeypatch.setattr(choosing.form_reading, "parse", meanwhile)
    answer = builder.post(address(workflow), {"value": "s2"}, follow=True)
    assert "Somebody changed the workflow meanwhile" in answer.content.decode()
    assert inputs(workflow) == {"city": "Rome"}


def test_only_who_may_edit_is_told(client: Client, workflow: Workflow, operator: User, viewer: User) -> None:
    for person in (operator, viewer):
        client.force_login(person)
        assert client.get(address(workflow)).status_code == 403
        assert client.post(address(workflow), {"value": "s1"}).status_code == 403
        page = client.get(reverse("workflow-step", args=["acme", workflow.pk, "buy"])).content.decode()
        assert "/options/" not in page
    client.logout()
    assert client.get(address(workflow)).status_code == 302
    assert _asked == []
    assert inputs(workflow) == {"city": "Oslo"}


def test_another_tenants_workflow_is_not_there(client: Client, workflow: Workflow, stranger: User) -> None:
    client.force_login(stranger)
    for slug in ("acme", "globex"):
        assert client.get(address(workflow, tenant=slug)).status_code == 404
        assert client.post(address(workflow, tenant=slug), {"value": "s1"}).status_code == 404
    assert _asked == []
    assert inputs(workflow) == {"city": "Oslo"}


@pytest.mark.parametrize(
    ("key", "field"),
    [("buy", "city"), ("buy", "nobody"), ("nobody", "store"), ("gone", "store"), ("plain", "values"), ("buy", HOSTILE)],
)
def test_what_has_no_choices_is_not_there(builder: Client, workflow: Workflow, key: str, field: str) -> None:
    url = address(workflow, "buy").replace("/steps/buy/options/store/", "")
    field = quote(field.encode("utf-8", "replace"))
    for method in (builder.get, builder.post):
        assert method(f"{url}/steps/{key}/options/{field}/").status_code == 404
    assert builder.put(address(workflow)).status_code == 405


def test_no_cache_on_the_way_keeps_an_answer(builder: Client, workflow: Workflow) -> None:
    for response in (part(builder, workflow), builder.get(address(workflow))):
        assert response["Cache-Control"] == "private, no-store"
        assert {"Cookie", "HX-Request"} <= set(re.split(r",\s*", response["Vary"]))


@pytest.mark.parametrize("text", ["\x00", "\ud800", "%ff%fe", "a" * 100_000, "{{", "<script>", "\u202e", "'\"", "٣"])
def test_garbage_is_only_a_search_for_something_odd(builder: Client, workflow: Workflow, text: str) -> None:
    sent = text if text.startswith("%") else quote(text.encode("utf-8", "surrogatepass"))
    for headers in ({}, {"HX-Request": "true"}):
        response = builder.get(address(workflow, "buy", "store", f"?q={sent}&cursor={sent}"), headers=headers)
        assert response.status_code == 200
        assert "<script>alert" not in response.content.decode()
    query, cursor, *_ = _asked[0]
    assert len(query) <= 200
    assert len(cursor or "") <= 2_000
    assert "\x00" not in query
    assert builder.post(address(workflow, "buy", "amount"), f"value={sent}", content_type=FORM).status_code == 302
    assert builder.post(address(workflow), f"value={sent}", content_type=FORM).status_code == 302
    assert builder.get(reverse("workflow-step", args=["acme", workflow.pk, "buy"])).status_code == 200


FORM: Final = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("answer", "words", "again"),
    [
        (AuthError(f"Bad {TOKEN}.", hint="Enter a new token."), ["Shop cannot be shown: Bad", "Enter a new"], False),
        (AuthError("Bad."), ["Connect the account again or choose another"], False),
        (PermissionMissing(f"It needs read {TOKEN}"), ["needs read", "Grant the credential"], False),
        (RateLimited(f"Slow {TOKEN}", retry_after=17.4), ["Slow", "Try again in 17 seconds."], True),
        (RateLimited("Slow", retry_after=0.3), ["Slow", "Try again in 1 second."], True),
        (RateLimited("Slow", retry_after=float("nan")), ["Slow.", "Trying again may help."], True),
        (RateLimited("Slow", retry_after=float("inf")), ["Slow.", "Trying again may help."], True),
        (AuthError(5, hint=f"Look at {TOKEN}"), ["be shown: 5.", "Look at"], False),  # type: ignore[arg-type]
        (RateLimited("Slow"), ["Slow.", "Trying again may help."], True),
        (Transient(f"It is away {TOKEN}"), ["It is away", "Trying again may help."], True),
        (Timeout("Late"), ["Late.", "Trying again may help."], True),
        (OutcomeUnknown("Lost"), ["Lost.", "Trying again may help."], True),
        (InputError(f"No city {TOKEN}", field="city"), ["No city", "Correct the field city."], False),
        (InputError("No city"), ["Correct what the step's other fields say."], False),
        (Permanent("No."), ["No. Trying again alone does not help."], False),
        (TimeoutError(TOKEN), ["gave no answer in time.", "Trying again may help."], True),
        (KeyError(TOKEN), ["has a defect (KeyError)"], False),
        (SystemExit(TOKEN), ["has a defect (RuntimeError)"], False),
        (asyncio.CancelledError(TOKEN), ["has a defect (RuntimeError)"], False),
        ([Option("a", "b")], ["has a defect (TypeError)"], False),
        (None, ["has a defect (TypeError)"], False),
        (Options(items=["a"]), ["has a defect (TypeError)"], False),  # type: ignore[list-item]
        (Permanent(f"{HOSTILE * 200} {TOKEN}"), ["cannot be shown"], False),
        (Permanent("." * 290 + TOKEN), ["cannot be shown"], False),
    ],
)
def test_an_error_is_a_sentence_that_says_what_to_do(
    builder: Client, workflow: Workflow, answer: Any, words: list[str], again: bool
) -> None:
    async def answered(ctx: OptionsContext) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    _answers["stores"] = answered
    for response in (part(builder, workflow), builder.get(address(workflow))):
        text = said(response)
        assert all(each in text for each in words), text
        assert text.count("rying again") + text.count("Try again in") == 1
        assert ("Try again" in text.replace("Try again in", "")) is again
        assert len(text) <= 700
        html = response.content.decode()
        assert TOKEN[:8] not in html
        assert "<script>alert" not in html
    # A failure is asked about again.
    assert len(_asked) == 2


def test_a_refused_credential_is_marked_as_its_test_would(
    builder: Client, workflow: Workflow, credential: Credential
) -> None:
    _answers["stores"] = AuthError(f"Bad {TOKEN}.", hint="Enter a new token.")
    part(builder, workflow)
    found = credential.refresh()
    assert found.health == Health.RECONNECT
    assert found.health_message.endswith("Enter a new token.")
    assert TOKEN not in found.health_message
    assert AuditEvent.unscoped.filter(action="credential.rejected").count() == 1
    page = builder.get(reverse("credential", args=["acme", credential.pk]))
    assert "Refused by its provider" in page.content.decode()


@pytest.mark.parametrize("answer", [PermissionMissing("No scope."), Transient("Away."), Permanent("No.")])
def test_what_says_nothing_of_the_credential_leaves_it_as_it_was(
    builder: Client, workflow: Workflow, credential: Credential, answer: Exception
) -> None:
    _answers["stores"] = answer
    part(builder, workflow)
    assert credential.refresh().health == Health.NOT_CHECKED


def test_without_a_credential_one_is_told_to_choose_one(builder: Client, workflow: Workflow) -> None:
    text = said(part(builder, workflow, "none"))
    assert "Shop requires a bearer token" in text
    assert "Choose a credential that fits" in text
    assert _asked == []


def test_a_credential_that_is_gone_ended_or_of_another_kind_is_told(
    builder: Client, workflow: Workflow, credential: Credential, actor: Actor
) -> None:
    other = vault.credential_create(
        actor=actor, name="other", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-other"}
    )
    services.step_update(actor=actor, workflow=workflow, key="none", changes={"credential": other.name})
    assert "another provider's" in said(part(builder, workflow, "none"))
    services.step_update(actor=actor, workflow=workflow, key="none", changes={"credential": "nobody"})
    assert "no longer exists" in said(part(builder, workflow, "none"))
    vault.credential_delete(actor=actor, credential=credential)
    assert "Choose a credential that fits" in said(part(builder, workflow))
    assert _asked == []


def test_another_tenants_credential_of_that_name_is_not_used(
    builder: Client, workflow: Workflow, actor: Actor, stranger: User
) -> None:
    theirs = actor_for_user(stranger, "globex")
    vault.credential_create(
        actor=theirs, name="theirs", provider="shop", auth_type="bearer_token", secret={"token": "tok-theirs"}
    )
    services.step_update(actor=actor, workflow=workflow, key="buy", changes={"credential": "theirs"})
    assert "no longer exists" in said(part(builder, workflow))
    assert _asked == []


def test_an_answer_is_kept_for_a_minute(
    builder: Client, workflow: Workflow, credential: Credential, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _turn in range(2):
        part(builder, workflow)
        builder.get(address(workflow))
    assert len(_asked) == 1
    for changed in ("?q=o", "?cursor=c", "?q=o&cursor=c"):
        part(builder, workflow, "buy", "store", changed)
    assert len(_asked) == 4
    # What was chosen changes nothing of what there is; another input may, and another secret.
    builder.post(address(workflow), {"value": "s2"})
    part(builder, workflow)
    assert len(_asked) == 4
    services.step_update(actor=actor, workflow=workflow, key="buy", changes={"config": {"inputs": {"city": "Rome"}}})
    part(builder, workflow)
    assert len(_asked) == 5
    vault.credential_update(actor=actor, credential=credential, secret={"token": "tok-new-0815"})
    part(builder, workflow)
    assert [asked[3] for asked in _asked[-2:]] == [TOKEN, "tok-new-0815"]
    now = time.monotonic()
    monkeypatch.setattr("orchestrator.builder.kept.time.monotonic", lambda: now + choices.KEPT_SECONDS + 1)
    part(builder, workflow)
    assert len(_asked) == 7


def test_what_one_tenant_was_told_is_never_anothers_answer(
    client: Client, workflow: Workflow, editor: User, stranger: User
) -> None:
    theirs = actor_for_user(stranger, "globex")
    other = services.workflow_create(actor=theirs, document={**DOCUMENT, "steps": [DOCUMENT["steps"][2]]})
    client.force_login(editor)
    _answers["stores"] = Options(items=[Option("s2", "Acme's own store")])
    assert "own store" in part(client, workflow, "free").content.decode()
    client.force_login(stranger)
    _answers["stores"] = Options(items=[Option("s2", "Theirs")])
    url = reverse("workflow-step", args=["globex", other.pk, "free"])
    assert "own store" not in unescape(client.get(url).content.decode())
    html = client.get(address(other, "free", tenant="globex"), headers={"HX-Request": "true"}).content.decode()
    assert "Theirs" in html
    assert "own store" not in html
    assert len(_asked) == 2


def test_the_memory_is_bounded_and_forgets_what_was_asked_for_least() -> None:
    kept: Kept[int] = Kept(seconds=60, size=3)
    for number in range(3):
        kept.put(number, number)
    assert kept.get(0) == 0
    kept.put(3, 3)
    assert [kept.get(number) for number in range(4)] == [0, None, 2, 3]
    assert len(kept) == 3


def test_what_is_stored_reads_as_its_label_where_that_is_known(builder: Client, workflow: Workflow) -> None:
    url = reverse("workflow-step", args=["acme", workflow.pk, "free"])
    assert "<b>Rome</b>" not in builder.get(url).content.decode()
    part(builder, workflow, "free")
    assert "<b>Rome</b>" in builder.get(url).content.decode()
    # It is not known of another credential's, or of the other action's, field of that name.
    builder.post(address(workflow), {"value": "s2"})
    assert (
        "<b>Rome</b>" not in builder.get(reverse("workflow-step", args=["acme", workflow.pk, "buy"])).content.decode()
    )


def test_the_steps_page_asks_nobody_and_no_further_query(builder: Client, workflow: Workflow) -> None:
    url = reverse("workflow-step", args=["acme", workflow.pk, "buy"])
    builder.get(url)
    with CaptureQueriesContext(connection) as without:
        builder.get(url)
    part(builder, workflow)
    with CaptureQueriesContext(connection) as with_labels:
        html = builder.get(url).content.decode()
    assert len(with_labels) == len(without)
    assert len(_asked) == 1
    assert f'hx-get="{address(workflow)}"' in html
    assert html.count("/options/") == 4  # each of two fields has a link, with and without a script


def test_hostile_choices_are_shown_harmlessly_or_left_out(builder: Client, workflow: Workflow) -> None:
    safe = "\"><script>alert(1)</script>'`"
    items = [
        Option(safe, HOSTILE * 10, HOSTILE),
        Option("{{ steps.a.output }}", "#general"),
        Option("a{{b", "#general"),
        Option("two\nlines", "#general"),
        Option("nul\x00", "#general"),
        Option("half\ud800", "#general"),
        Option("", "#general"),
        Option("l" * 301, "#general"),
        Option(f"with {TOKEN}", "#general"),
        Option(5, "#general"),  # type: ignore[arg-type]
        Option("last", f"a\x00b {TOKEN}", "x" * 10_000),
    ]
    _answers["stores"] = Options(items=items, next_cursor="c\x00")
    for html in (part(builder, workflow).content.decode(), builder.get(address(workflow)).content.decode()):
        values = [unescape(found) for found in re.findall(r'(?:data-insert|name="value" value)="([^"]*)"', html)]
        assert values == [safe, "last"]
        assert "<script>alert" not in html
        assert "#general" not in html
        assert TOKEN not in html
        assert "\x00" not in html
        assert len(html) < 60_000
        assert "Next page" not in html


def test_a_page_holds_only_so_many_choices(builder: Client, workflow: Workflow) -> None:
    _answers["stores"] = Options(items=[Option(f"s{number}", "x" * 5_000) for number in range(5_000)])
    html = part(builder, workflow).content.decode()
    assert html.count("data-insert") == choices.MAX_ITEMS
    assert len(html) < 100_000


def test_nothing_found_is_said_in_words(builder: Client, workflow: Workflow) -> None:
    _answers["stores"] = Options()
    assert "There is nothing to choose from." in part(builder, workflow).content.decode()
    assert "Nothing found. Search" in part(builder, workflow, "buy", "store", "?q=x").content.decode()
    _answers["stores"] = Options(next_cursor="c2")
    html = part(builder, workflow, "buy", "store", "?q=y").content.decode()
    assert "Nothing found so far: look further." in html
    assert "Next page" in html


@pytest.mark.parametrize("blocks", [False, True])
def test_there_is_an_answer_in_time_whatever_the_integration_does(
    builder: Client, workflow: Workflow, monkeypatch: pytest.MonkeyPatch, blocks: bool
) -> None:
    monkeypatch.setattr(choices, "SECONDS", 0.1)
    monkeypatch.setattr(choices, "_GRACE", 0.1)

    async def late(ctx: OptionsContext) -> Options:
        if blocks:
            time.sleep(1.5)
        await asyncio.sleep(30)
        return Options()

    _answers["stores"] = late
    before = time.monotonic()
    assert "gave no answer in time. Trying again may help." in said(part(builder, workflow))
    assert time.monotonic() - before < 1.2


def test_beyond_a_few_at_once_one_is_asked_to_wait(builder: Client, workflow: Workflow) -> None:
    holders = range(choices.AT_ONCE)
    for tenant_id in holders:
        assert choices._places.take(-tenant_id)
    try:
        text = said(part(builder, workflow))
        assert "Too many lists" in text
        assert "Trying again may help." in text
        assert _asked == []
    finally:
        for tenant_id in holders:
            choices._places.give_back(-tenant_id)
    assert said(part(builder, workflow)) == ""


def test_what_hangs_holds_its_place_until_it_ends_and_never_the_last_one(
    builder: Client, workflow: Workflow, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = actor_for_user(stranger, "globex")
    other = services.workflow_create(actor=theirs, document={**DOCUMENT, "steps": [DOCUMENT["steps"][2]]})
    monkeypatch.setattr(choices, "SECONDS", 0.05)
    monkeypatch.setattr(choices, "_GRACE", 0.05)
    gate = threading.Event()

    async def hangs(ctx: OptionsContext) -> Options:
        gate.wait(10)
        return Options()

    _answers["stores"] = hangs
    try:
        for _place in range(choices.AT_ONCE - 1):
            assert "in time" in said(part(builder, workflow))
        assert "Too many lists" in said(part(builder, workflow))
        builder.force_login(stranger)
        address_of_theirs = address(other, "free", tenant="globex")
        assert "in time" in said(builder.get(address_of_theirs, headers={"HX-Request": "true"}))
        assert len(_asked) == choices.AT_ONCE
    finally:
        gate.set()


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_provider_is_asked(
    builder: Client, workflow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ones = []
    ask = choices._asked

    def asked(question: Any) -> Options:
        open_ones.append(connection.in_atomic_block)
        return ask(question)

    monkeypatch.setattr(choices, "_asked", asked)
    assert said(part(builder, workflow)) == ""
    assert open_ones == [False]


@pytest.fixture
def slack(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        settings.ENV = dataclasses.replace(settings.ENV, base_urls={"slack": f"{found.address}/api"})
        yield found


def test_slacks_channels_come_over_the_guarded_client_with_the_token(
    builder: Client, actor: Actor, slack: Upstream
) -> None:
    vault.credential_create(
        actor=actor, name="bot", provider="slack", auth_type="bearer_token", secret={"token": "xoxb-canary-1"}
    )
    tell = {"key": "tell", "action": "slack.sendMessage", "credential": "bot", "config": {"inputs": {"text": "hi"}}}
    made = services.workflow_create(
        actor=actor, document={"name": "Tell", "slug": "tell", "triggers": [], "steps": [tell]}
    )
    rows = [{"id": "C1", "name": "general", "is_private": False}, {"id": "C2", "name": "<b>", "is_private": True}]
    slack.answers["/api/conversations.list"] = {"ok": True, "channels": rows}
    html = part(builder, made, "tell", "channel").content.decode()
    assert re.search(r'data-insert="C1".*?#general', html)
    assert "#&lt;b&gt;" in html
    (call,) = slack.calls
    assert call.headers["authorization"] == "Bearer xoxb-canary-1"
    scope = {"ok": False, "error": "missing_scope", "needed": "channels:read", "token": "xoxb-canary-1"}
    slack.answers["/api/conversations.list"] = scope
    text = said(part(builder, made, "tell", "channel", "?q=x"))
    assert "needs channels:read" in text
    assert "Add the scope to the Slack app and install it again." in text
    assert "xoxb-canary-1" not in text
    Tenant.objects.filter(pk=actor.tenant.pk).update(egress_allow=["example.com"])
    assert said(part(builder, made, "tell", "channel", "?q=y")) != ""
    assert len(slack.calls) == 2


def test_an_agents_models_are_listed_by_whose_model_it_is(builder: Client, actor: Actor, settings: Settings) -> None:
    for name, provider in (("open", "openai"), ("claude", "anthropic"), ("free", "http")):
        kind = {"auth_type": "bearer_token", "secret": {"token": TOKEN}}
        vault.credential_create(actor=actor, name=name, provider=provider, **kind)

    def agent(key: str, **inputs: Any) -> dict[str, Any]:
        config = {"inputs": {"prompt": "Do it.", "model": "typed", "provider": key, **inputs}}
        return {"key": key, "action": "ai.agent", "config": config, "lanes": {"tools": []}}

    with upstream() as called:
        host = called.address.removeprefix("http://")
        roots = {"openai": f"{called.address}/open", "anthropic": f"{called.address}/claude"}
        settings.ENV = dataclasses.replace(settings.ENV, base_urls=roots, egress_allow=(host,))
        steps = [
            {**agent("openai"), "credential": "open"},
            {**agent("anthropic"), "credential": "claude"},
            {**agent("endpoint", endpoint=f"{called.address}/free"), "credential": "free"},
        ]
        document = {"name": "Agents", "slug": "agents", "triggers": [], "steps": steps}
        made = services.workflow_create(actor=actor, document=document)
        for path, model in (("/open/models", "gpt-x"), ("/claude/v1/models", "claude-x"), ("/free/models", "mine")):
            called.answers[path] = {"data": [{"id": model}]}
        for key, model in (("openai", "gpt-x"), ("anthropic", "claude-x"), ("endpoint", "mine")):
            page = builder.get(reverse("workflow-step", args=["acme", made.pk, key])).content.decode()
            assert address(made, key, "model") in page
            assert address(made, key, "prompt") not in page
            assert f'data-insert="{model}"' in part(builder, made, key, "model").content.decode()
            builder.post(address(made, key, "model"), {"value": model})
            assert inputs(made, key)["model"] == model
        assert [call.headers["authorization"] for call in called.calls] == [f"Bearer {TOKEN}"] * 3
        assert part(builder, made, "openai", "prompt").status_code == 404
        called.answers["/free/models"] = Answered(status=401, body=b"{}")
        assert "HTTP cannot be shown" in said(part(builder, made, "endpoint", "model", "?q=x"))
    # Whoever answers a free address is no judge of a credential.
    assert Credential.objects.for_tenant(actor.tenant).get(name="free").health != Health.RECONNECT
