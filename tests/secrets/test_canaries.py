"""No secret gets out: into no table, log, page or answer, raw or encoded, whatever a step does with it."""

from __future__ import annotations

import base64
import dataclasses
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from pydantic import BaseModel, Field, field_validator
from pytest_django import Settings

from integrations.registry import registry
from integrations.sdk import (
    Account,
    ApiKey,
    AuthContext,
    AuthError,
    Basic,
    BearerToken,
    OAuth2,
    Permanent,
    Provider,
    RunContext,
    action,
    ui,
)
from orchestrator.alerts.kinds import ChannelKind
from orchestrator.alerts.models import AlertDelivery
from orchestrator.alerts.services import channel_create, channel_test
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Scope, Tenant
from orchestrator.tenants.services import token_create
from orchestrator.vault.models import Credential
from orchestrator.vault.services import credential_create
from orchestrator.workflows.models import Workflow
from orchestrator.workflows.services import workflow_create
from runs.alert_looks import look
from runs.models import Run
from runs.services import run_start_by_actor
from tests.runs.ground import drive
from tests.tenants.rights.api_rows import API
from tests.tenants.rights.page_rows import PAGES
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.django_db(transaction=True)
# With what each encoding changes: quotes, slashes, plus, ampersand, a letter outside ASCII.
CANARIES: Final = {
    "bearer": 'canary-bearer-"7f/3a+9&c\\',
    "api_key": "canary-api-key-51d0/2e+b8=",
    "basic": "canary-basic-p@ss:w0rd/ä",
    "oauth2": "canary-access-ya29.a0AfH6S/x+y=",
    "refresh": "canary-refresh-1//0gL-9X_z",
    "input": 'canary-input-"q/8+z&é\\',
    # The address of a webhook that alerts go to.
    "alerts": "canary-alerts-T0/B0.x~9",
    # What somebody writes into a secret input in place of a secret's name.
    "literal": 'canary-literal-"w/4+y&ö\\',
}


async def _tells(ctx: AuthContext) -> Account:
    """Tell the secret as the account's name, or in an error that is none of ours."""
    found = [text for name, value in ctx.auth.items() if name not in ("provider", "type", "username")
             for text in _encoded(str(value))]  # fmt: skip
    if ctx.auth["type"] == "basic":
        raise RuntimeError(" ".join(found))
    if ctx.auth["type"] == "oauth2":
        raise AuthError(f"refused {found}", hint=found[0])
    return Account(label=" ".join(found[:2]), scopes=tuple(found))


leaky = Provider(
    key="leaky",
    name="Leaky",
    base_url="https://leaky.invalid",
    auth=[BearerToken(test=_tells), ApiKey(), Basic(test=_tells), OAuth2(test=_tells)],
)


class LeakInputs(BaseModel):
    fails: bool = False


def _everything(ctx: RunContext[Any]) -> list[str]:
    secrets = [value for name, value in ctx.auth.items() if name not in ("provider", "type", "username")]
    return [text for secret in secrets for text in _encoded(str(secret))]


@action(provider=leaky, key="leaky.tell", name="Tell", auth_type="oauth2", input_schema=LeakInputs)
async def tell(ctx: RunContext[LeakInputs]) -> Any:
    """Do with the secret all that an action should not."""
    found = _everything(ctx)
    for text in found:
        ctx.log(f"the secret is {text}!")
    if ctx.inputs.fails:
        raise Permanent(f"refused {found}", hint=f"look at {found[0]}", detail=json.dumps(found))
    return {"texts": found, "nested": {found[0]: [found]}, "glued": "".join(found)}


@action(provider=leaky, key="leaky.crash", name="Crash", auth_type="api_key", input_schema=LeakInputs)
async def crash(ctx: RunContext[LeakInputs]) -> Any:
    """Fail with an error that is none of ours, the secret in it."""
    raise RuntimeError("broken by " + " ".join(_everything(ctx)))


class SpillInputs(LeakInputs):
    token: str = Field(min_length=8, json_schema_extra=ui(secret=True))
    long: str | None = Field(None, min_length=1000, json_schema_extra=ui(secret=True))
    picky: str | None = Field(None, json_schema_extra=ui(secret=True))

    @field_validator("picky")
    @classmethod
    def _quotes(cls, value: str) -> str:
        raise ValueError(f"{value!r} is not taken, nor {_encoded(value)}")


@action(provider=leaky, key="leaky.spill", name="Spill", auth_type="none", input_schema=SpillInputs)
async def spill(ctx: RunContext[SpillInputs]) -> Any:
    """Do with a secret input all that an action should not."""
    found = _encoded(ctx.inputs.token)
    _spilled.append(ctx.inputs.token)
    for text in found:
        ctx.log(f"the input is {text}!")
    if ctx.inputs.fails:
        await ctx.http.get(f"https://leaky.invalid/{found[0]}", params={"all": found})
        raise RuntimeError(f"{ctx.inputs!r} {found}")
    return {"texts": found, "nested": {found[0]: [found]}, "inputs": ctx.inputs.model_dump()}


_spilled: list[str] = []


def _encoded(secret: str) -> list[str]:
    """Return the forms in which a secret may turn up."""
    data = secret.encode()
    return [
        secret,
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        data.hex(),
    ]


FORMS: Final = {form for secret in CANARIES.values() for form in _encoded(secret)} | {
    base64.b64encode(f"ada:{CANARIES['basic']}".encode()).decode()
}


def found_in(text: str) -> list[str]:
    """Return the forms of a canary that a text holds, also after one more layer of JSON or HTML."""
    from html import unescape

    readings = [text, unescape(text), text.replace("\\\\", "\\").replace('\\"', '"')]
    return sorted(form for form in FORMS if any(form in reading for reading in readings))


@pytest.fixture
def echo() -> Iterator[Upstream]:
    with upstream() as found:
        yield found


@pytest.fixture
def world(tenant: Tenant, owner: User, echo: Upstream, settings: Settings) -> Workflow:
    """A workflow whose every step has a secret, and leaks what it can."""
    host = echo.address.removeprefix("http://")
    settings.ENV = dataclasses.replace(django_settings.ENV, egress_allow=(host,), base_urls={"openai": echo.address})
    actor = actor_for_user(owner, tenant.slug)
    given: dict[str, tuple[str, str, dict[str, Any]]] = {
        "b": ("http", "bearer_token", {"token": CANARIES["bearer"]}),
        "p": ("http", "basic", {"username": "ada", "password": CANARIES["basic"]}),
        "k": ("openai", "api_key", {"api_key": CANARIES["api_key"]}),
        "lb": ("leaky", "bearer_token", {"token": CANARIES["bearer"]}),
        "lk": ("leaky", "api_key", {"api_key": CANARIES["api_key"]}),
        "lo": ("leaky", "oauth2", {"access_token": CANARIES["oauth2"], "refresh_token": CANARIES["refresh"]}),
        "sv": ("secret", "api_key", {"api_key": CANARIES["input"]}),
    }
    for name, (provider, auth_type, secret) in given.items():
        options: dict[str, Any] = {"settings": {"hosts": [host]}} if provider == "http" else {}
        credential_create(actor=actor, name=name, provider=provider, auth_type=auth_type, secret=secret, **options)

    chosen = {"credential": "sv"}

    def step(key: str, action: str, credential: str | None, **inputs: Any) -> dict[str, Any]:
        config = {"inputs": inputs, "on_error": "continue", "retry": {"max_attempts": 1}}
        return {"key": key, "action": action, "credential": credential, "config": config}

    steps = [
        step("bearer", "http.request", "b", method="POST", url=f"{echo.address}/bearer", body={"a": 1}),
        step("basic", "http.request", "p", url=f"{echo.address}/basic"),
        step("chat", "openai.chatCompletion", "k", prompt="hi"),
        step("tell_b", "leaky.tell", "lb"),
        step("tell_o", "leaky.tell", "lo"),
        step("fail_k", "leaky.tell", "lk", fails=True),
        step("crash", "leaky.crash", "lk"),
        step("spill", "leaky.spill", None, token=chosen),
        step("spill_fail", "leaky.spill", None, token=chosen, fails=True),
        step("spill_short", "leaky.spill", None, token=chosen, long=chosen),
        step("spill_picky", "leaky.spill", None, token=chosen, picky=chosen),
        step("spill_literal", "leaky.spill", None, token=CANARIES["literal"]),
        step("spill_both", "leaky.spill", None, token=f"{CANARIES['literal']} {{{{ trigger.body }}}}"),
        {
            "key": "passed_on",
            "action": "data.set",
            "config": {
                "inputs": {
                    "values": {
                        "output": "{{ steps.tell_o.output }}",
                        "error": "{{ steps.fail_k.error.message }}",
                        "crash": "{{ steps.crash.error.message }}",
                        "spilled": "{{ steps.spill.output }}",
                        "picky": "{{ steps.spill_picky.error.message }}",
                    }
                }
            },
        },
        step("last", "leaky.tell", "lk", fails=True) | {"config": {"inputs": {"fails": True}}},
    ]
    with registry.temporarily(tell, crash, spill):
        return workflow_create(
            actor=actor,
            document={
                "name": "Leaks",
                "triggers": [{"key": "hook", "type": "webhook", "config": {}}],
                "steps": steps,
                "output": "{{ steps.passed_on.output }}",
            },
        )


def _echoes(echo: Upstream) -> None:
    """Have the upstream answer with what it was sent, credentials included, in several forms."""
    echo.answers["/bearer"] = {"authorization": f"Bearer {CANARIES['bearer']}", "forms": _encoded(CANARIES["bearer"])}
    sent = base64.b64encode(f"ada:{CANARIES['basic']}".encode()).decode()
    echo.answers["/basic"] = {"authorization": f"Basic {sent}", "forms": _encoded(CANARIES["basic"])}
    echo.answers["/chat/completions"] = {"error": {"message": f"Incorrect API key provided: {CANARIES['api_key']}"}}


def table_texts() -> Iterator[tuple[str, str]]:
    """Yield every row of every table as text, whatever is bytes decoded too."""
    for table in connection.introspection.table_names():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            for row in cursor.fetchall():
                for value in row:
                    yield table, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, memoryview | bytes):
        data = bytes(value)
        return "\n".join((data.decode("utf-8", "replace"), data.decode("latin-1"), _inflated(data)))
    return str(value)


def _inflated(data: bytes) -> str:
    import zlib

    try:
        return zlib.decompress(data).decode("utf-8", "replace")
    except zlib.error:
        return ""


def test_nothing_that_is_kept_logged_shown_or_answered_holds_a_secret(
    world: Workflow, tenant: Tenant, owner: User, echo: Upstream, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _echoes(echo)
    actor = actor_for_user(owner, tenant.slug)
    with registry.temporarily(tell, crash, spill):
        caplog.set_level("DEBUG")
        started = run_start_by_actor(actor=actor, workflow=world, version="draft")
        drive()
        started.refresh_from_db()
        _check_that_the_steps_ran(started, echo)
        _alert(actor, started, echo)
        assert [(table, found) for table, text in table_texts() if (found := found_in(text))] == []
        for address, content in [*_pages(tenant, owner, started), *_admin(started), *_answers(actor, started)]:
            assert found_in(content) == [], address
        # The pages were sent secrets, and asked a provider that tells them.
        assert [(table, found) for table, text in table_texts() if (found := found_in(text))] == []
        assert found_in(caplog.text) == []
    out, err = capfd.readouterr()
    assert found_in(out) == []
    assert found_in(err) == []


def _alert(actor: Actor, run: Run, echo: Upstream) -> None:
    """Have the failed run told of, at an address that is a secret itself, by a test that does not arrive too."""
    url = f"{echo.address}/{CANARIES['alerts']}"
    values = {"name": "pager", "url": f"{url}?away=1"}
    channel, _secret = channel_create(actor=actor, kind=ChannelKind.WEBHOOK, values=values)
    Run.objects.for_tenant(run.tenant_id).filter(pk=run.pk).update(kind="live", finished_at=timezone.now())
    look(now=timezone.now())
    (delivery,) = AlertDelivery.objects.for_tenant(run.tenant_id)
    assert delivery.document["items"][0]["causes"][0]["message"]
    assert channel_test(actor=actor, channel=channel).error == "It was answered with status 503."
    assert echo.calls[-1].path == f"/{CANARIES['alerts']}"


def _check_that_the_steps_ran(run: Run, echo: Upstream) -> None:
    """Make sure that this test can fail: the secrets were sent, and the leaks were tried."""
    sent = [call.headers.get("authorization", "") for call in echo.calls]
    assert f"Bearer {CANARIES['api_key']}" in sent
    assert any("Basic" in each for each in sent)
    assert len(echo.calls) >= 3
    rows = {row.key: row for row in run.steps.all()}
    assert rows["tell_o"].status == "succeeded"
    assert rows["bearer"].status == "succeeded"
    assert "•" in json.dumps(rows["tell_o"].output, ensure_ascii=False) or "redacted" in json.dumps(
        rows["tell_o"].output
    )
    assert {rows[key].status for key in ("fail_k", "crash", "last", "chat")} == {"failed"}
    assert _spilled == [CANARIES["input"]] * 2
    assert rows["spill"].status == "succeeded"
    assert rows["spill"].inputs == {"token": {"credential": "sv"}}
    kinds = {key: row.failure_kind for key, row in rows.items() if key.startswith("spill_")}
    assert kinds.pop("spill_fail") != "input"
    assert set(kinds.values()) == {"input"}
    assert len(kinds) == 4
    assert run.status == "failed"


def _pages(tenant: Tenant, owner: User, run: Run) -> Iterator[tuple[str, str]]:
    """Yield every page that the tenant's owner can open."""
    client = Client()
    client.force_login(owner)
    credential = _first("vault_credential")
    of = {"workflows": run.workflow_id, "runs": run.pk, "credentials": credential}
    for route in (row.route for row in PAGES):
        for key in ("hook",) if "triggers/" in route else ("bearer", "tell_o", "spill", "spill_literal", "last"):
            address = "/" + route.replace("<slug:tenant>", tenant.slug).replace("<key:key>", key)
            for name, pk in of.items():
                address = address.replace(f"{name}/<int:pk>", f"{name}/{pk}")
            address = address.replace("<int:number>", "1").replace("<int:ref>", "1").replace("<int:other>", str(run.pk))
            address = address.replace("<int:older>...<int:newer>", "1...1")
            yield address, _read(client.get(address))
    yield from _credential_pages(client, tenant, credential)
    for row in run.steps.all():
        address = f"/w/{tenant.slug}/runs/{run.pk}/?step={row.key}"
        yield address, client.get(address).content.decode()
        yield f"{address}&tab=log", client.get(f"{address}&tab=log").content.decode()


def _credential_pages(client: Client, tenant: Tenant, credential: int) -> Iterator[tuple[str, str]]:
    """Yield what is answered to everything that can be done with a credential, secrets sent along."""
    base = f"/w/{tenant.slug}/credentials/"
    for query in ("", "?edit=1", "?delete=1", "?sort=health&q=b"):
        yield query, client.get(f"{base}{credential}/{query}").content.decode()
    kinds: dict[str, dict[str, str]] = {
        "bearer_token": {"secret-token": CANARIES["bearer"]},
        "api_key": {"secret-api_key": CANARIES["api_key"]},
        "basic": {"secret-username": "ada", "secret-password": CANARIES["basic"]},
        "oauth2": {"secret-access_token": CANARIES["oauth2"], "secret-refresh_token": CANARIES["refresh"]},
    }
    for auth_type, secret in kinds.items():
        new = {"provider": "leaky", "auth_type": auth_type, "name": f"new-{auth_type}", **secret}
        for more in ({"try": "1"}, {"expires": "never", "try": "1"}, {"name": ""}, {}):
            for headers in ({}, {"HX-Request": "true"}):
                answer = client.post(f"{base}new/", {**new, **more}, headers=headers, follow=True)
                assert answer.status_code in (200, 422), (auth_type, more)
                yield f"new {auth_type} {more}", answer.content.decode()
    found = Credential.objects.for_tenant(tenant).get(name="new-bearer_token")
    edit = {"name": "edited", "secret-token": CANARIES["bearer"]}
    for more in ({"try": "1"}, {"name": ""}, {}):
        yield "edit", client.post(f"{base}{found.pk}/edit/", {**edit, **more}, follow=True).content.decode()
    yield "test", client.post(f"{base}{found.pk}/test/", follow=True).content.decode()
    yield "leave", client.get(f"{base}{found.pk}/?delete=1").content.decode()


def _admin(run: Run) -> Iterator[tuple[str, str]]:
    boss = User.objects.create_superuser("boss", password="a good password")
    client = Client()
    client.force_login(boss)
    for path in (
        "", "runs/run/", f"runs/run/{run.pk}/change/", f"workflows/workflow/{run.workflow_id}/change/",
        "vault/credential/", f"vault/credential/{_first('vault_credential')}/change/", "tenants/auditevent/",
    ):  # fmt: skip
        response = client.get(f"/admin/{path}")
        assert response.status_code == 200, path
        yield f"/admin/{path}", response.content.decode()


def _answers(actor: Any, run: Run) -> Iterator[tuple[str, str]]:
    _row, token = token_create(actor=actor, name="all", scopes=list(Scope))
    headers = {"Authorization": f"Bearer {token}"}
    of = {"workflows": run.workflow_id, "runs": run.pk, "credentials": _first("vault_credential"), "tokens": 1}
    for route in (row.route for row in API):
        address = "/" + route
        for name, pk in of.items():
            address = address.replace(f"{name}/<str:pk>", f"{name}/{pk}")
        address = address.replace("<int:number>", "1").replace("<int:ref>", "1").replace("<str:key>", "bearer")
        yield address, _read(Client().get(address, headers=headers))


def _read(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return str(content.decode("utf-8", "replace"))


def _first(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table} ORDER BY id LIMIT 1")  # noqa: S608
        return int(cursor.fetchone()[0])


def test_the_search_finds_what_it_looks_for() -> None:
    for secret in CANARIES.values():
        for form in _encoded(secret):
            assert found_in(f"before {form} after")
            assert found_in(json.dumps({"a": f"x{form}y"}))
    assert found_in("nothing here") == []
