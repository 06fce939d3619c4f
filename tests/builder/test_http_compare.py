"""A step's call beside the same as an HTTP step: nothing is sent without asking, and nothing twice."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import BaseModel, Field
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import BearerToken, OAuth2, Permanent, Provider, RunContext, action, ui
from orchestrator.builder import testing, unsent
from orchestrator.builder.tested import warnings_of_tests
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Role, Tenant
from orchestrator.vault import services as vault
from orchestrator.vault.models import Credential
from orchestrator.workflows import services
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.selectors import draft_definition, draft_document
from runs import samples
from runs.models import Run
from runs.services import run_cancel, run_start_by_actor, step_test
from tests.runs.ground import drive
from tests.upstream import Answered, Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)
TOKEN: Final = "tok-canary-4711"
HOSTILE: Final = "<script>alert(1)</script>\u202e{{ steps.a }}"
shop = Provider(
    key="shop",
    name="Shop",
    base_url="https://shop.test/v1",
    auth=[BearerToken(), OAuth2(authorize_url="https://shop.test/in", token_url="https://shop.test/token")],
)


class Order(BaseModel):
    item: str
    note: str = ""
    count: int = 1


class Read(BaseModel):
    q: str = Field("all")


@action(
    provider=shop, key="shop.order", name="Order", auth_type="bearer_token", input_schema=Order, effect="create",
)  # fmt: skip
async def order(ctx: RunContext[Order]) -> dict[str, Any]:
    """Order something."""
    inputs = ctx.inputs
    body = {"item": inputs.item, "note": inputs.note, "count": inputs.count, "fixed": ["{{ x }}"]}
    try:
        response = await ctx.http.post("orders", json=body, headers={"X-Kind": "test"})
    except Exception:
        response = await ctx.http.post("orders/again", json=body)
    response.raise_for_status()
    return {"id": response.json()["id"]}


@action(provider=shop, key="shop.find", name="Find", auth_type="bearer_token", input_schema=Read, effect="search")
async def find(ctx: RunContext[Read]) -> Any:
    """Find something."""
    response = await ctx.http.get("items", params={"q": ctx.inputs.q, "page": 1})
    return response.raise_for_status().json()


@action(provider=shop, key="shop.leak", name="Leak", auth_type="bearer_token", input_schema=Read, effect="create")
async def leak(ctx: RunContext[Read]) -> Any:
    """Put the token where it does not belong."""
    token = ctx.auth["token"]
    data = {"plain": "ok", "mine": token, "deep": f"a {token} b"}
    await ctx.http.post(f"leak/{token}", json=data, headers={"X-Own-Token": "other", "X-Mine": token})


@action(provider=shop, key="shop.fail", name="Fail", auth_type="bearer_token", input_schema=Read)
async def fail(ctx: RunContext[Read]) -> Any:
    """Fail before anything is sent."""
    raise Permanent(f"No {ctx.auth['token']} today.", hint="Come\ud800\0 <script>alert(1)</script>.")


free = Provider(key="free", name="Free", auth=[BearerToken()])


class Place(BaseModel):
    url: str


@action(provider=free, key="free.call", name="Call", auth_type="bearer_token", input_schema=Place, effect="read")
async def call(ctx: RunContext[Place]) -> Any:
    """Go wherever the step says."""
    return (await ctx.http.get(ctx.inputs.url)).status_code


def step(key: str, name: str, inputs: dict[str, Any], credential: str | None = "mine") -> dict[str, Any]:
    return {"key": key, "action": name, "name": f"Do {key}", "credential": credential, "config": {"inputs": inputs}}


class Signed(BaseModel):
    code: str = Field(json_schema_extra=ui(secret=True))


@action(provider=free, key="free.sign", name="Sign", auth_type="none", input_schema=Signed, effect="create")
async def sign(ctx: RunContext[Signed]) -> None:
    """Send a secret that the step names."""
    await ctx.http.post("https://elsewhere.test/sign", data={"code": ctx.inputs.code, "kind": "a"})


@action(provider=free, key="free.plain", name="Plain", auth_type="none", input_schema=Place)
def plain(ctx: RunContext[Place]) -> None:
    """Ask by something of its own, which nobody could hold."""


TEXT: Final = "{{ trigger.body.who }} wants it"
DOCUMENT: Final[dict[str, Any]] = {
    "name": "Shopping",
    "slug": "shopping",
    "triggers": [],
    "steps": [
        step("first", "data.set", {"values": {"a": "1"}}, None),
        step("buy", "shop.order", {"item": "tea", "note": TEXT}),
        step("find", "shop.find", {"q": "green"}),
        step("leak", "shop.leak", {"q": "x"}),
        step("fail", "shop.fail", {"q": "x"}),
        step("reads", "shop.find", {"q": "{{ steps.first.output.a }}"}),
        step("hello", "hello.world", {"name": "x"}, None),
        step("later", "shop.find", {"q": "{{ steps.hello.output.message }}"}),
        step("free", "free.call", {"url": "https://elsewhere.test/a"}, "free"),
        step("none", "shop.find", {"q": "x"}, None),
        step("sign", "free.sign", {"code": {"credential": "code"}}, None),
        step("open", "free.sign", {"code": TOKEN}, None),
        step("plain", "free.plain", {"url": "https://a.test"}, None),
        {
            **step("each", "flow.foreach", {"items": ["one", "two"]}, None),
            "lanes": {"body": [step("item", "shop.find", {"q": "{{ item }}"})]},
        },
        {
            **step("agent", "ai.agent", {"provider": "openai", "task": "x"}, None),
            "lanes": {"tools": [step("tool", "shop.find", {})]},
        },
        step("web", "http.request", {"url": "https://a.test"}, None),
    ],
}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(testing, "TEST_SECONDS", 0)
    with registry.temporarily(order, find, leak, fail, call, sign, plain):
        yield


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def owned(tenant: Tenant, owner: User) -> list[Credential]:
    person = actor_for_user(owner, tenant.slug)
    make = partial(vault.credential_create, actor=person, auth_type="bearer_token", secret={"token": TOKEN})
    key = partial(make, auth_type="api_key", secret={"api_key": TOKEN})
    return [make(name="mine", provider="shop"), make(name="free", provider="free"), key(name="code", provider="secret")]


@pytest.fixture
def workflow(actor: Actor, owned: list[Credential]) -> Workflow:
    made = services.workflow_create(actor=actor, document=DOCUMENT)
    run = run_start_by_actor(actor=actor, workflow=made, payload={"who": HOSTILE}, version="draft")
    run_cancel(actor=actor, run=run)
    return made


@pytest.fixture
def builder(client: Client, editor: User) -> Client:
    client.force_login(editor)
    return client


@pytest.fixture
def store(settings: Settings) -> Iterator[Upstream]:
    with upstream() as found:
        settings.ENV = dataclasses.replace(settings.ENV, base_urls={"shop": f"{found.address}/v1"})
        found.answers["/v1/orders"] = {"id": "o1", "more": True}
        yield found


def address(workflow: Workflow, key: str = "buy", tenant: str = "acme") -> str:
    return reverse("workflow-step-compare", args=[tenant, workflow.pk, key])


def text_of(page: Any) -> str:
    assert page.status_code == 200
    html = page.content.decode()
    assert TOKEN not in html
    assert "<script>alert" not in html
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def form_of(page: Any, do: str) -> dict[str, str]:
    """Return what the button ``do`` of a page sends."""
    form = next(part for part in page.content.decode().split("<form")[1:] if f'name="do" value="{do}"' in part)
    fields = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form.partition("</form>")[0])
    return {**{name: unescape(value) for name, value in fields}, "do": do}


def sent_by(workflow: Workflow) -> list[Run]:
    return list(Run.objects.for_tenant(workflow.tenant_id).filter(workflow=workflow, kind="step").order_by("pk"))


def test_both_requests_are_shown_and_nothing_is_sent_for_that(
    builder: Client, workflow: Workflow, store: Upstream
) -> None:
    page = builder.get(reverse("workflow-step", args=["acme", workflow.pk, "buy"]))
    assert address(workflow) in page.content.decode()
    page = builder.get(address(workflow))
    text = text_of(page)
    assert text.count(f"POST {store.address}/v1/orders") == 2
    assert text.count("Authorization •••••• from “mine”") == 2
    assert "Idempotency-Key another one in each run" in text
    left, right = (side.shown for side in page.context["sides"])
    assert json.loads(left.text) == {"item": "tea", "note": f"{HOSTILE} wants it", "count": 1, "fixed": ["{{ x }}"]}
    assert json.loads(right.text)["note"] == TEXT, "the HTTP step has the expression"
    assert json.loads(right.text)["fixed"] == ['{{ "{{" }} x }}'], "and what is none is none there, too"
    assert ("X-Kind", "test") in [(row.name, row.value) for row in right.headers]
    assert "Both buttons together do it twice" in text
    assert "It has the step's own expressions for: Note." in text
    assert text.count("Not sent yet.") == 2
    assert store.calls == []
    assert sent_by(workflow) == []
    assert "/again" not in text, "the action does not go on after what was held"


def test_each_is_sent_once_after_it_was_asked_about_and_the_answers_stand_side_by_side(
    builder: Client, workflow: Workflow, store: Upstream, actor: Actor
) -> None:
    before = draft_document(workflow)
    form = form_of(builder.get(address(workflow)), "action")
    assert form.pop("sure") == "1"
    asked = builder.post(address(workflow), form)
    assert asked["Location"] == f"{address(workflow)}?ask=action"
    assert "<details open>" in builder.get(asked["Location"]).content.decode()
    assert sent_by(workflow) == []
    sent = [builder.post(address(workflow), {**form, "sure": "1"})["Location"] for _ in range(2)]
    (run,) = sent_by(workflow)
    assert sent == [f"{address(workflow)}?testing={run.pk}#answers"] * 2, "what is sent twice is answered once"
    meanwhile = step_test(actor=actor, workflow=workflow, key="buy", dedupe_key=run.dedupe_key)
    assert meanwhile.pk == run.pk, "also where both came at once"
    waiting = builder.get(sent[0])
    assert 'hx-trigger="every 1000ms"' in waiting.content.decode()
    assert builder.get(sent[0], headers={"HX-Request": "true"}).status_code == 204
    drive()
    part = builder.get(sent[0], headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "hx-trigger" not in part
    assert "o1" in part
    assert builder.post(address(workflow), {**form, "sure": "1"})["Location"] == sent[0]

    page = builder.get(address(workflow))
    assert "The other request was sent before: this does it a second time." in text_of(page)
    builder.post(address(workflow), form_of(page, "http"))
    drive()
    assert len(sent_by(workflow)) == 2
    one, two = store.calls
    assert (one.method, one.path, one.json()) == (two.method, two.path, two.json())
    assert one.json()["note"] == f"{HOSTILE} wants it"
    headers = [dict(call.headers) for call in (one, two)]
    keys = [each.pop("idempotency-key") for each in headers]
    traces = [each.pop("traceparent", "") for each in headers]
    assert headers[0] == headers[1]
    assert headers[0]["authorization"] == f"Bearer {TOKEN}"
    assert keys[0] != keys[1]
    assert traces == ["", ""] or traces[0] != traces[1]
    page = builder.get(address(workflow))
    found = page.context["answers"]
    assert found.action.value == {"id": "o1"}
    assert found.http.value["body"] == {"id": "o1", "more": True}
    assert [(each.kind, each.path) for each in found.found.shown] == [("removed", "more")]
    assert not found.action.is_old
    assert not found.http.is_old
    assert "It was sent before: this does it again." in text_of(page)

    assert draft_document(workflow.refresh()) == before, "the HTTP step is not in the draft"
    outputs = samples.last_outputs(workflow, chosen=None)
    assert outputs["buy"]["output"] == {"id": "o1"}, "and its test is none of the step's"
    check = [each.code for each in warnings_of_tests(workflow, draft_definition(workflow))]
    assert check == [], "one try in place of three is no change of the step"


def test_a_failure_that_may_pass_is_not_sent_again_by_itself(
    builder: Client, workflow: Workflow, store: Upstream
) -> None:
    store.answers["/v1/items"] = Answered(status=503)
    page = builder.get(address(workflow, "find"))
    for do in ("action", "http"):
        assert "sure" not in form_of(page, do), "what only reads is not asked about"
        builder.post(address(workflow, "find"), form_of(page, do))
        drive()
    assert [call.query for call in store.calls] == [{"q": ["green"], "page": ["1"]}] * 2
    assert {run.refresh().status for run in sent_by(workflow)} == {"failed"}
    assert text_of(builder.get(address(workflow, "find"))).count("503") >= 2


def test_what_changed_after_the_page_was_shown_is_not_sent(
    builder: Client, workflow: Workflow, store: Upstream, actor: Actor
) -> None:
    form = form_of(builder.get(address(workflow)), "action")
    services.step_update(actor=actor, workflow=workflow, key="buy", changes={"config": {"inputs": {"item": "gin"}}})
    answer = builder.post(address(workflow), form, follow=True)
    assert "Nothing was sent: the step or its data has changed meanwhile" in text_of(answer)
    for wrong in ({"once": "x"}, {"do": "nothing"}, {"once": ""}):
        answer = builder.post(address(workflow), {**form, **wrong}, follow=True)
        assert "Nothing was sent: the form did not come whole" in text_of(answer)
    assert sent_by(workflow) == []


def test_the_http_step_is_added_once_and_left_out_of_runs(builder: Client, workflow: Workflow, store: Upstream) -> None:
    form = form_of(builder.get(address(workflow)), "add")
    answers = [builder.post(address(workflow), form) for _ in range(2)]
    at = reverse("workflow-step", args=["acme", workflow.pk, "buy_http"])
    assert [answer["Location"] for answer in answers] == [at, at]
    text = text_of(builder.get(at))
    assert "left out of runs until you take it in: both would act" in text
    steps = draft_document(workflow.refresh())["steps"]
    assert [each["key"] for each in steps[:4]] == ["first", "buy", "buy_http", "find"]
    made = steps[2]
    assert (made["action"], made["credential"], made["config"]["skip"]) == ("http.request", "mine", True)
    assert made["config"]["inputs"]["body"]["note"] == TEXT
    assert store.calls == []
    again = form_of(builder.get(address(workflow)), "add")
    assert again["as"] == "buy_http_2"


def test_what_an_action_puts_elsewhere_of_its_secret_is_not_written_into_a_step(
    builder: Client, workflow: Workflow, store: Upstream
) -> None:
    page = builder.get(address(workflow, "leak"))
    text = text_of(page)
    assert "which is never written into a step: X-Own-Token, X-Mine, url, mine, deep." in text
    assert "So it cannot be sent from here." in text
    sides = page.context["sides"]
    assert sides[1].do == ""
    assert "/v1/leak/••••••" in sides[0].shown.url
    form = {**form_of(page, "action"), "do": "http"}
    assert "Nothing was sent" in text_of(builder.post(address(workflow, "leak"), form, follow=True))
    builder.post(address(workflow, "leak"), form_of(page, "add"))
    assert TOKEN not in json.dumps(draft_document(workflow.refresh()))
    assert store.calls == []


def test_what_cannot_be_shown_says_why(builder: Client, workflow: Workflow, store: Upstream) -> None:
    for key, why in (
        ("fail", "No •••••• today. Come? <script>alert(1)</script>."),
        ("none", "Shop requires a bearer token. Choose another credential in the step's form."),
        ("free", "An HTTP step does not send “free” to elsewhere.test: it would need a credential of HTTP"),
        ("sign", "which is never written into a step: code."),
        ("open", "code: a secret is not written into a step."),
        ("reads", "It reads what step 2 gives, which has not run yet."),
        ("later", "It reads what step 8 gives, which has not run yet. Examples stand in"),
    ):
        page = builder.get(address(workflow, key))
        assert why in text_of(page), key
        assert 'value="http"' not in page.content.decode(), key
    form = {"do": "add", "as": "fail_http"}
    assert "Nothing was added: No •••••• today." in text_of(builder.post(address(workflow, "fail"), form, follow=True))
    assert store.calls == []
    assert sent_by(workflow) == []


def test_an_action_that_comes_to_no_request_holds_nobody_up(
    builder: Client, workflow: Workflow, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsent, "SECONDS", 0.05)

    @action(provider=free, key="free.wait", name="Wait", auth_type="none", input_schema=Read)
    async def wait(ctx: RunContext[Read]) -> None:
        """Wait without end."""
        await asyncio.sleep(60)

    @action(provider=free, key="free.idle", name="Idle", auth_type="none", input_schema=Read)
    async def idle(ctx: RunContext[Read]) -> None:
        """Ask nobody."""

    @action(provider=free, key="free.bad", name="Bad", auth_type="none", input_schema=Read)
    async def bad(ctx: RunContext[Read]) -> None:
        """Have a defect."""
        raise KeyError(TOKEN)

    said = {"wait": "came to no request in time", "idle": "ended without a request", "bad": "has a defect (KeyError)"}
    with registry.temporarily(wait, idle, bad):
        for name, words in said.items():
            services.step_update(actor=actor, workflow=workflow, key="none", changes={"action": f"free.{name}"})
            assert words in text_of(builder.get(address(workflow, "none"))), name


def test_only_who_may_edit_and_use_the_credential_is_shown_it(
    client: Client, workflow: Workflow, store: Upstream, viewer: User, operator: User, editor: User, owner: User,
    stranger: User, owned: list[Credential], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for person in (viewer, operator):
        client.force_login(person)
        page = client.get(reverse("workflow-step", args=["acme", workflow.pk, "buy"]))
        assert address(workflow) not in page.content.decode()
        assert client.get(address(workflow)).status_code == 403
        assert client.post(address(workflow), {"do": "add"}).status_code == 403
    client.force_login(stranger)
    for slug in ("acme", "globex"):
        assert client.get(address(workflow, tenant=slug)).status_code == 404
        assert client.post(address(workflow, tenant=slug), {"do": "add"}).status_code == 404
    client.force_login(editor)
    for key in ("first", "web", "nobody", "plain", "tool", "each"):
        assert client.get(address(workflow, key)).status_code == 404
    assert "/compare/" not in client.get(reverse("workflow-step", args=["acme", workflow.pk, "tool"])).content.decode()
    form = form_of(client.get(address(workflow)), "action")
    person = actor_for_user(owner, "acme")
    vault.credential_update(actor=person, credential=owned[0], shared_with=Role.ADMIN.value)
    monkeypatch.setattr(unsent, "resolve_credential", lambda **_: pytest.fail("it was opened"))
    assert "Not shared with you: 'mine'" in text_of(client.get(address(workflow)))
    for do in ("action", "http", "add"):
        assert "Not shared with you" in text_of(client.post(address(workflow), {**form, "do": do}, follow=True))
    assert sent_by(workflow) == []
    assert len(draft_document(workflow.refresh())["steps"]) == len(DOCUMENT["steps"])
    assert store.calls == []


def test_a_sign_in_without_a_token_is_not_sent_for_one(
    builder: Client, workflow: Workflow, actor: Actor, store: Upstream
) -> None:
    secret = {"refresh_token": TOKEN, "client_id": "i", "client_secret": "s" * 20}
    vault.credential_create(actor=actor, name="new", provider="shop", auth_type="oauth2", secret=secret)
    services.step_update(actor=actor, workflow=workflow, key="find", changes={"credential": "new"})
    assert "has no token yet: its first use fetches one" in text_of(builder.get(address(workflow, "find")))
    assert store.calls == []


def test_inside_a_loop_the_first_item_is_sent(builder: Client, workflow: Workflow, store: Upstream) -> None:
    for do in ("action", "http"):
        form = form_of(builder.get(address(workflow, "item")), do)
        builder.post(address(workflow, "item"), form)
        drive()
    assert [call.query["q"] for call in store.calls] == [["one"], ["one"]]
    found = builder.get(address(workflow, "item")).context["answers"]
    assert found.http.value["body"] == found.action.value
    assert found.note == "The action gives the very body of the answer."


def test_a_test_that_never_came_to_its_step_says_why(
    builder: Client, workflow: Workflow, actor: Actor, store: Upstream
) -> None:
    for key, inputs in (("each", {"items": []}), ("item", {"q": "fixed"})):
        services.step_update(actor=actor, workflow=workflow, key=key, changes={"config": {"inputs": inputs}})
    sent = builder.post(address(workflow, "item"), form_of(builder.get(address(workflow, "item")), "http"))
    drive()
    assert "Nothing was sent: The loop has no first item" in text_of(builder.get(sent["Location"]))
    assert "Nothing was sent:" not in text_of(builder.get(address(workflow, "item")))
    assert store.calls == []
