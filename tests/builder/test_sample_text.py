"""A sample is typed as JSON or as a form, and makes a form with its fields."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from orchestrator.builder.form_form import form_form, new_config
from orchestrator.builder.sample_text import sample_value
from orchestrator.jsongate import BadJSON
from orchestrator.tenants.access import actor_for_user
from orchestrator.workflows import services
from orchestrator.workflows.models import Trigger
from runs.models import Run
from tests.builder.ground import DOCUMENT


@pytest.mark.parametrize(
    ("text", "as_form", "expected"),
    [
        ("", False, None),
        (" ", True, None),
        ('{"a": 1}', False, {"a": 1}),
        ('{"a": 1, "b": [true, "x"], "c": null}', True, {"a": "1", "b": ["true", "x"], "c": ""}),
        ("name=Ada Fox\r\nplan=gold", True, {"name": "Ada Fox", "plan": "gold"}),
        ("a=1&a=2&a=3&b=%C3%BC", True, {"a": ["1", "2", "3"], "b": "ü"}),
        ("nothing", True, {"nothing": ""}),
    ],
)
def test_a_sample_is_what_it_says(text: str, as_form: bool, expected: Any) -> None:
    assert sample_value(text, as_form=as_form) == expected


@pytest.mark.parametrize(("text", "as_form"), [("{", False), ("{", True), ('{"a": {"b": 1}}', True), ("a=1", False)])
def test_what_is_none_says_why(text: str, as_form: bool) -> None:
    with pytest.raises(BadJSON):
        sample_value(text, as_form=as_form)


def test_a_form_is_made_of_a_samples_fields() -> None:
    sample = {"full_name": "Ada", "email": "ada@x.test", "seats": 3, "rate": 0.5, "sure": True, "text": "x" * 200,
              "nested": {"a": 1}, "": "y", "none": None}  # fmt: skip
    lines = form_form(new_config(sample)).lines
    assert [(line.name, line.kind) for line in lines if line.label] == [
        ("full_name", "text"), ("email", "email"), ("seats", "integer"), ("rate", "number"), ("sure", "switch"),
        ("text", "area"), ("none", "text"),
    ]  # fmt: skip
    assert new_config([1]) == new_config() == new_config({"only": {}})


def test_in_the_builder(client: Client, editor: User) -> None:
    client.force_login(editor)
    workflow = services.workflow_create(actor=actor_for_user(editor, "acme"), document=DOCUMENT)
    at = reverse("workflow-test", args=["acme", workflow.pk])
    client.post(at, {"trigger": "hook", "payload": "name=Ada", "as": "form"})
    assert Run.unscoped.get().trigger["body"] == {"name": "Ada"}
    refused = client.post(at, {"trigger": "hook", "payload": '{"a": {}}', "as": "form"})
    assert (refused.status_code, "no values inside of values" in refused.text) == (400, True)
    add = reverse("workflow-trigger-add", args=["acme", workflow.pk])
    client.post(add, {"type": "form", "payload": '{"seats": 3}', "as": "json", "trigger": "hook"})
    assert list(Trigger.unscoped.get(type="form").config["schema"]["properties"]) == ["seats"]
