"""Forms: shown to anyone with the address, checked by their schema, and each sending one run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from orchestrator.tenants.models import Tenant
from orchestrator.workflows.addresses import trigger_address
from orchestrator.workflows.models import Trigger, Workflow
from runs.models import Run, Sample
from runs.triggers.requests import MAX_BODY_BYTES
from tests.triggers.conftest import runs, seen

pytestmark = pytest.mark.django_db(transaction=True)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "title": "Your <b>name</b>", "maxLength": 20},
        "seats": {"type": "integer", "minimum": 1},
        "plan": {"enum": ["free", "gold"]},
        "sure": {"type": "boolean", "title": "Sure"},
    },
    "required": ["name"],
}
CONFIG: dict[str, Any] = {
    "schema": SCHEMA, "title": "Sign up", "description": "Two\n\nlines", "thanks": "See you!", "button": "Join"
}  # fmt: skip


@pytest.fixture
def make_form(make_hook: Callable[..., Trigger]) -> Callable[..., Trigger]:
    def make(live: dict[str, Any] | None = CONFIG, **more: Any) -> Trigger:
        trigger = make_hook(live, key="form", config=more.pop("config", CONFIG), **more)
        Trigger.unscoped.filter(pk=trigger.pk).update(type="form")
        return Trigger.unscoped.get(pk=trigger.pk)

    return make


def url(trigger: Trigger) -> str:
    return "/f/" + trigger_address(trigger)


def send(trigger: Trigger, **fields: Any) -> Any:
    return Client().post(url(trigger), fields)


def once_of(text: str) -> str:
    found = re.search(r'name="once" value="([^"]+)"', text)
    assert found
    return found[1]


def test_a_form_is_shown_and_what_is_sent_starts_a_run(make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    page = Client().get(url(form))
    assert page.status_code == 200
    for shown in ("Sign up", "Your &lt;b&gt;name&lt;/b&gt;", "<p>Two</p>", "Join", "Acme"):
        assert shown in page.text
    assert not page.cookies
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert "script-src 'self'" in page["Content-Security-Policy"]
    answer = send(form, f0="Ada", f1="3", f2="1", once=once_of(page.text))
    assert (answer.status_code, "See you!" in answer.text) == (200, True)
    document = seen(form)
    assert document["body"] == {"name": "Ada", "seats": 3, "plan": "gold", "sure": False}
    assert (document["type"], document["key"], document["headers"]) == ("form", "form", {})
    (run,) = runs(form)
    assert (run.trigger_type, run.trigger_key) == ("form", "form")


def test_a_second_press_counts_once(make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    once = once_of(Client().get(url(form)).text)
    assert [send(form, f0="Ada", once=once).status_code for _ in range(3)] == [200, 200, 200]
    assert len(runs(form)) == 1
    send(form, f0="Ada", once="short")
    assert len(runs(form)) == 2


def test_what_is_corrected_and_sent_again_from_the_same_page_is_kept_too(make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    once = once_of(Client().get(url(form)).text)
    for name in ("Ada", "Grace", "Grace"):
        assert "See you!" in send(form, f0=name, once=once).text
    assert [run.trigger["body"]["name"] for run in runs(form)] == ["Ada", "Grace"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "Your &lt;b&gt;name&lt;/b&gt;"),
        ({"f0": "x" * 30}, "20"),
        ({"f0": "Ada", "f1": "0"}, "1"),
        ({"f0": "Ada", "f1": "many"}, "number"),
        ({"f0": "Ada", "f2": "9"}, "free"),
    ],
)
def test_what_does_not_fit_is_shown_again_with_the_reason(
    given: dict[str, str], said: str, make_form: Callable[..., Trigger]
) -> None:
    form = make_form()
    answer = send(form, **given)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert said in answer.text
    assert all(f'value="{value}"' in answer.text for name, value in given.items() if name != "f2")
    assert runs(form) == []


def test_before_it_is_published_it_is_kept_as_a_sample(make_form: Callable[..., Trigger]) -> None:
    form = make_form(None)
    assert "not published yet" in Client().get(url(form)).text
    assert "kept as a sample" in send(form, f0="Ada").text
    assert runs(form) == []
    assert Sample.unscoped.get().document["body"] == {"name": "Ada", "sure": False}


@pytest.mark.parametrize("config", [{"schema": {"type": "string"}}, {"schema": 5}, {"title": []}])
def test_a_drafts_wrong_config_shows_a_form_all_the_same(
    config: dict[str, Any], make_form: Callable[..., Trigger]
) -> None:
    form = make_form(None, config=config)
    assert Client().get(url(form)).status_code == 200
    assert send(form, f0="Ada", f1="a@b.test").status_code in (200, 422)


def test_a_form_of_a_workflow_that_is_switched_off_is_closed(make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    Workflow.unscoped.update(enabled=False)
    for answer in (Client().get(url(form)), send(form, f0="Ada")):
        assert (answer.status_code, "closed" in answer.text) == (409, True)
    assert runs(form) == []


def test_programs_that_fill_in_everything_start_nothing(make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    answer = send(form, f0="Ada", leave_this_empty="https://spam.test")
    assert (answer.status_code, "See you!" in answer.text) == (200, True)
    assert runs(form) == []


def test_too_many_in_a_minute_are_429(make_form: Callable[..., Trigger]) -> None:
    form = make_form({**CONFIG, "rate_limit": 2})
    assert [send(form, f0="Ada").status_code for _ in range(3)] == [200, 200, 429]
    Tenant.objects.update(runs_per_minute=1)
    assert send(form, f0="Ada")["Retry-After"] == "60"


@pytest.mark.parametrize("token", ["unknown", "a" * 3_000, "%00", "ü"])
def test_an_unknown_address_is_404(token: str, client: Client) -> None:
    assert client.get(f"/f/{token}").status_code == 404
    assert client.post(f"/f/{token}", {"f0": "x"}).status_code == 404


def test_a_webhooks_address_is_no_form_and_the_other_way_round(
    hook: Trigger, make_form: Callable[..., Trigger], client: Client
) -> None:
    assert client.get("/f/" + trigger_address(hook)).status_code == 404
    assert client.post("/h/" + trigger_address(make_form())).status_code == 404


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"f0=" + b"%" * 1_000, "application/x-www-form-urlencoded"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
        (b"&".join(b"a%d=1" % number for number in range(3_000)), "application/x-www-form-urlencoded"),
        (b"f0=Ada\x00", "application/x-www-form-urlencoded"),
    ],
)
def test_garbage_is_told_and_never_breaks(body: bytes, content_type: str, make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    answer = Client().generic("POST", url(form), body, content_type)
    assert 400 <= answer.status_code < 500 or (answer.status_code == 200 and len(runs(form)) == 1)


def test_a_body_that_is_too_large_is_refused_before_it_is_read(make_form: Callable[..., Trigger]) -> None:
    form = make_form()
    answer = Client().generic(
        "POST", url(form), b"", "application/x-www-form-urlencoded", CONTENT_LENGTH=str(MAX_BODY_BYTES + 1)
    )  # fmt: skip
    assert answer.status_code == 413
    assert Run.unscoped.count() == 0
