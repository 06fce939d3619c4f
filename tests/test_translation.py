"""Another language reaches all that people read: a catalogue of its own makes ``⟦…⟧`` of every text that is marked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import unescape
from typing import Any, Final

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import trans_real

from integrations import words
from integrations.sdk.dialling import dialler
from integrations.sdk.egress import AddressRefused, EgressPolicy
from orchestrator import jsongate
from orchestrator.builder.aside import Places, asked
from orchestrator.builder.examples import weather
from orchestrator.builder.reference import action_row
from orchestrator.flow.expressions import ExpressionError, render
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.tenants.access import Actor, actor_for_user
from orchestrator.tenants.models import Role, Tenant
from orchestrator.workflows import services
from tests.api.conftest import Caller, MakeCaller, caller_for
from tests.builder.ground import DOCUMENT, address

__all__ = ["caller_for"]  # a fixture of the API's tests
# A language that no page is written in.
LANGUAGE: Final = "eo"


class _Catalogue(trans_real.DjangoTranslation):
    """Marks every text, so that one that was not asked for is seen."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have everything said in another language."""
    monkeypatch.setitem(trans_real._translations, LANGUAGE, _Catalogue(LANGUAGE, domain="django"))
    with translation.override(LANGUAGE):
        yield


@pytest.fixture
def actor(tenant: Tenant, editor: User) -> Actor:
    return actor_for_user(editor, tenant.slug)


@pytest.fixture
def browser(editor: User) -> Client:
    client = Client()
    client.force_login(editor)
    return client


@pytest.fixture
def api(caller_for: MakeCaller, owner: User) -> Caller:
    return caller_for(owner)


def test_what_stands_in_the_way_of_a_publish(actor: Actor, browser: Client, foreign: None) -> None:
    config = {"inputs": {"url": "{{ nothing }}"}}
    step = {"key": "ask", "action": "http.request", "credential": "gone", "config": config}
    workflow = services.workflow_create(actor=actor, document={**DOCUMENT, "steps": [step]})
    text = unescape(browser.get(address(workflow)).text)
    assert "⟦There is no credential 'gone'.⟧" in text
    assert "⟦nothing does not exist (column 4).⟦ There are trigger, steps, item," in text


def test_a_service_that_refuses(actor: Actor, browser: Client, foreign: None) -> None:
    workflow = services.workflow_create(actor=actor, document=DOCUMENT)
    answer = browser.post(reverse("workflow-settings", args=["acme", workflow.pk]), {"do": "on"}, follow=True)
    assert "⟦This workflow has no published version yet. Publish it first.⟧" in unescape(answer.text)


def test_a_form_that_is_filled_in_wrong(tenant: Tenant, make_member: Callable[..., User], foreign: None) -> None:
    browser = Client()
    browser.force_login(make_member(tenant, Role.ADMIN))
    answer = browser.post("/w/acme/settings/", {"name": "Acme", "time_zone": "Mars/Olympus", "egress_allow": ""})
    assert "⟦Use a name like Europe/Berlin.⟧" in unescape(answer.text)


def test_the_api_keeps_its_codes(api: Caller, foreign: None) -> None:
    answer = api("POST", "workflows/", {**DOCUMENT, "steps": [DOCUMENT["steps"][0]] * 2})
    assert answer.status_code == 400
    error = json.loads(answer.content)["error"]
    assert (error["code"], error["message"]) == ("invalid", "⟦This is not a workflow document.⟧")
    assert [(found["path"], found["code"], found["message"]) for found in error["problems"]] == [
        ("steps[1].key", "duplicate", "⟦Another step has the key 'greet'.⟧")
    ]


def test_the_pure_layers_are_translated_where_they_are_asked(foreign: None) -> None:
    with pytest.raises(ExpressionError, match=r"^⟦\+ cannot join a ⟦text⟧ and a ⟦number⟧; text\(\) makes"):
        render("{{ 'a' + 1 }}", {})
    with pytest.raises(jsongate.BadJSON, match=r"^⟦nested deeper than 64 levels⟧$"):
        jsongate.check(_nested(65))
    dial = dialler(EgressPolicy(), egress_allow=(), deadline=datetime.max.replace(tzinfo=UTC))
    with pytest.raises(AddressRefused, match=r"^⟦127\.0\.0\.1 leads to .* \(⟦loopback⟧\)\.⟧$"):
        dial("127.0.0.1", 80)


def test_no_language_stays_in_what_is_kept(foreign: None) -> None:
    # The same schema, and the same texts, are looked through once and remembered.
    wrong = {"type": "object", "properties": {"a": {"pattern": "x", "type": "sting"}}}
    said = schema_problems(wrong)
    assert len(said) == 2
    assert all(message.startswith("⟦") for _path, message in said)
    with translation.override("en"):
        assert [(path, f"⟦{message}⟧") for path, message in schema_problems(wrong) if path.endswith("pattern")] == said[
            :1
        ]
        with pytest.raises(ExpressionError, match=r"^There is nothing between"):
            render("{{ }}", {})
    with pytest.raises(ExpressionError, match=r"^⟦There is nothing between"):
        render("{{ }}", {})
    assert schema_problems(wrong) == said


def test_what_is_kept_with_words_in_it_is_kept_for_each_language(foreign: None) -> None:
    def types() -> list[str]:
        return [field.type for field in action_row(weather.forecast).inputs]

    for _time in range(2):
        assert "⟦text⟧" in types()
        with translation.override("en"):
            assert "text" in types()


def test_a_service_is_asked_in_the_language_of_the_page(foreign: None) -> None:
    places = Places(2)
    assert places.take(1)

    async def question() -> str:
        return words.gettext("Enter it again.")

    assert asked(question, places=places, tenant_id=1, name="test", seconds=10) == "⟦Enter it again.⟧"


def test_without_a_translator_texts_stay_as_they_are(monkeypatch: pytest.MonkeyPatch, foreign: None) -> None:
    assert words.ngettext("%(count)d run", "%(count)d runs", 2) == "⟦%(count)d runs⟧"
    monkeypatch.setattr(words, "_translator", words._Translator())
    assert (words.gettext("a text"), words.gettext_noop("a text")) == ("a text", "a text")
    assert [words.ngettext("one", "many", number) for number in (0, 1, 2)] == ["many", "one", "many"]


def _nested(levels: int) -> Any:
    value: Any = 1
    for _level in range(levels):
        value = [value]
    return value
