"""The form that makes forms: lines become a schema and lines again, and what says more stays a schema."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from orchestrator.builder.form_form import KINDS, MOST_FIELDS, config_from, form_form, new_config
from orchestrator.builder.wrong import Wrong
from orchestrator.flow.forms import FIRST_SCHEMA
from orchestrator.flow.json_schemas import schema_problems
from orchestrator.tenants.access import actor_for_user
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger, Workflow
from tests.builder.ground import DOCUMENT


def posted(given: dict[str, Any]) -> QueryDict:
    query = QueryDict(mutable=True)
    query.update(given)
    return query


def line(number: int, label: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    found = {f"label-{number}": label, f"kind-{number}": kind}
    return found | {f"{name}-{number}": value for name, value in more.items()}


def as_posted(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a browser sends of a form as it is shown."""
    form = form_form(config)
    found: dict[str, Any] = dict(form.values)
    for each in form.lines:
        found |= line(each.number, each.label, each.kind, choices=each.choices, help=each.help, name=each.name)
        found |= {f"required-{each.number}": "on"} if each.required else {}
    return found if form.lines else {**found, "schema": form.schema}


def test_a_new_form_can_be_edited_line_by_line_and_is_a_good_schema() -> None:
    config = new_config()
    assert schema_problems(config["schema"], of_object=True) == []
    assert [each.label for each in form_form(config).lines][:3] == ["Name", "E-mail", "Message"]
    assert config_from(posted(as_posted(config)), config) == config
    assert FIRST_SCHEMA["required"] == ["name", "email"]


def test_lines_become_a_schema_with_names_of_their_own() -> None:
    given = {
        **line(0, "Your name", required="on"),
        **line(1, "Your name", "area", help="As long as you like"),
        **line(2, "Größe", "integer"),
        **line(3, "Plan", "choice", choices="free, gold ,, ", name="which"),
        **line(4, ""),
        "title": "Sign up",
        "rate_limit": "",
    }
    config = config_from(posted(given), {})
    assert config["schema"] == {
        "type": "object",
        "properties": {
            "your_name": {"type": "string", "maxLength": 200, "title": "Your name"},
            "your_name_2": {
                "type": "string", "format": "textarea", "maxLength": 5000, "title": "Your name",
                "description": "As long as you like",
            },
            "gr_e": {"type": "integer", "title": "Größe"},
            "which": {"type": "string", "title": "Plan", "enum": ["free", "gold"]},
        },
        "required": ["your_name"],
    }  # fmt: skip
    assert (config["title"], config["rate_limit"]) == ("Sign up", None)
    assert schema_problems(config["schema"], of_object=True) == []
    assert config_from(posted(as_posted(config)), config) == config


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was(kind: str) -> None:
    config = config_from(posted(line(0, "Field", kind, choices="a, b")), {})
    assert form_form(config).lines[0].kind == kind
    assert schema_problems(config["schema"], of_object=True) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "minLength": 5}}},
        {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"enum": [1, 2]}}},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {f"f{n}": {"type": "number"} for n in range(MOST_FIELDS + 1)}},
        5,
        None,
    ],
)
def test_what_says_more_than_lines_can_is_edited_as_it_is(schema: Any) -> None:
    form = form_form({"schema": schema})
    assert form.lines == ()
    assert json.loads(form.schema) == schema


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (line(0, "Plan", "choice"), "line-0"),
        ({"schema": "{"}, "schema"),
        ({"schema": "5"}, "schema"),
        ({"rate_limit": "many"}, "rate_limit"),
        ({"rate_limit": "0"}, "rate_limit"),
        ({"title": "x" * 300}, "title"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(given: dict[str, str], field: str) -> None:
    with pytest.raises(Wrong) as wrong:
        config_from(posted(given), {})
    assert list(wrong.value.errors) == [field]


def test_a_form_is_added_saved_and_opened(client: Client, editor: User, viewer: User) -> None:
    client.force_login(editor)
    workflow: Workflow = services.workflow_create(actor=actor_for_user(editor, "acme"), document=DOCUMENT)
    client.post(reverse("workflow-trigger-add", args=["acme", workflow.pk]), {"type": "form"})
    trigger = Trigger.unscoped.get(type="form")
    page = reverse("workflow-trigger", args=["acme", workflow.pk, trigger.key])
    shown = client.get(page).text
    address = re.search(r'href="http://testserver(/f/[^"]+)"', shown)
    assert address
    given = {**as_posted(trigger.config), **line(3, "Plan", "choice", choices="free, gold"), "title": "Join <us>"}
    assert client.post(page, given).status_code == 302
    form = Client().get(address[1]).text
    assert "Join &lt;us&gt;" in form
    assert "gold" in form
    refused = client.post(page, {**given, **line(3, "Plan", "choice", choices=" , ")})
    assert (refused.status_code, "divided by commas" in html.unescape(refused.text)) == (400, True)
    client.force_login(viewer)
    text = client.get(page).text
    assert address[1] not in text
    assert "form-form" not in text


def test_home_starts_a_workflow_with_a_form(client: Client, editor: User) -> None:
    client.force_login(editor)
    client.post(reverse("workflow-new", args=["acme"]), {"trigger": "form"})
    assert Trigger.unscoped.get().config["schema"] == FIRST_SCHEMA
