"""cURL commands as inputs of an HTTP step."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from integrations.registry import registry
from orchestrator.builder.curl import NotCurl, parse
from orchestrator.tenants.access import actor_for_user
from orchestrator.tenants.models import Tenant
from orchestrator.workflows import services
from orchestrator.workflows.models import Step

URL = "https://api.example.com/v1/things"


@pytest.mark.parametrize(
    ("command", "inputs"),
    [
        (f"curl {URL}", {"url": URL, "method": "GET"}),
        (
            f"$ curl -sSL '{URL}?page=2&tag=a&tag=b'",
            {"url": URL, "method": "GET", "query": {"page": "2", "tag": ["a", "b"]}},
        ),
        ("curl example.com/x", {"url": "https://example.com/x", "method": "GET"}),
        (
            f"curl -X PUT {URL} \\\n  -H 'Content-Type: application/json' \\\n  -H \"Accept: text/plain\" \\\n"
            "  -d '{\"a\": [1, null]}'",
            {"url": URL, "method": "PUT", "headers": {"Accept": "text/plain"}, "body": {"a": [1, None]}},
        ),
        (f"curl {URL} --json '{{\"a\": 1}}'", {"url": URL, "method": "POST", "body": {"a": 1}}),
        (f"curl {URL} -d a=1 -d 'b=x+y'", {"url": URL, "method": "POST", "form": {"a": "1", "b": "x y"}}),
        (f"curl {URL} --data-urlencode 'a=x&y'", {"url": URL, "method": "POST", "form": {"a": "x&y"}}),
        (f"curl -G {URL} -d a=1", {"url": URL, "method": "GET", "query": {"a": "1"}}),
        (f"curl -I {URL}", {"url": URL, "method": "HEAD"}),
        (
            f"curl {URL} -F name=Ada -F 'note=hi;type=text/plain'",
            {
                "url": URL, "method": "POST",
                "multipart": [{"name": "name", "value": "Ada"}, {"name": "note", "value": "hi"}],
            },
        ),
        (
            f"curl -XPOST {URL} -H 'Content-Type: text/xml' --data-raw '<a/>'",
            {"url": URL, "method": "POST", "headers": {"Content-Type": "text/xml"}, "raw": "<a/>"},
        ),
        (f"curl --request=DELETE --url={URL} --compressed -o file", {"url": URL, "method": "DELETE"}),
        (f"curl {URL}?plain", {"url": f"{URL}?plain", "method": "GET"}),
    ],
)  # fmt: skip
def test_a_command_becomes_inputs(command: str, inputs: dict[str, Any]) -> None:
    found = parse(command).inputs
    assert found == inputs
    action = registry.get("http.request")
    assert action is not None
    action.validate_inputs(found)


def test_what_signs_in_is_left_out_and_named() -> None:
    found = parse(
        f"curl -u me:hunter22 -H 'Authorization: Bearer hunter22' -H 'X-Api-Key: hunter22' -b 'sid=hunter22' "
        f"{URL.replace('://', '://me:hunter22@')}"
    )
    assert "hunter22" not in str(found.inputs)
    assert found.inputs["url"] == URL
    assert found.left_out == ("-u", "Authorization", "X-Api-Key", "-b", "the password in the address")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (f"curl -H 'X-Auth-Key: hunter22' {URL}", "X-Auth-Key"),
        (f"curl -H 'Ocp-Apim-Subscription-Key: hunter22' {URL}", "Ocp-Apim-Subscription-Key"),
        (f"curl -H 'Proxy-Authorization: Basic hunter22' {URL}", "Proxy-Authorization"),
        (f"curl '{URL}?api_key=hunter22'", "api_key"),
        (f"curl -G {URL} -d access_token=hunter22", "access_token"),
        (f"curl '{URL}?key=hunter22hunter22hunter22'", "key"),
        (f"curl {URL.replace('://', '://hunter22@')}", "the password in the address"),
    ],
)
def test_secrets_under_other_names_and_in_the_address_are_left_out_too(command: str, name: str) -> None:
    found = parse(command)
    assert found.left_out == (name,)
    assert found.inputs == {"url": URL, "method": "GET"}


def test_what_only_sounds_like_a_secret_stays() -> None:
    query = {"pageToken": "abc", "key": "colour", "max_tokens": "5"}
    assert parse(f"curl '{URL}?pageToken=abc&key=colour&max_tokens=5'").inputs["query"] == query


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("wget x", "begins with curl"),
        ("curl ", "begins with curl|no address"),
        ("curl -X POST", "no address"),
        (f"curl {URL} -d 'open", "never closed"),
        (f"curl {URL} -d @body.json", "file of its own machine"),
        (f"curl {URL} -F file=@a.png", "file of its own machine"),
        (f"curl -X BREW {URL}", "BREW cannot be sent"),
        ("curl http://[x/", "is none"),
        (f"curl {URL} -d {'x' * 100_001}", "too long"),
    ],
)
def test_what_cannot_be_read_is_told(command: str, said: str) -> None:
    with pytest.raises(NotCurl, match=said):
        parse(command)


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    for command in (f"curl {text}", f"curl {URL} -d {text}", f"curl {URL} {text}"):
        with contextlib.suppress(NotCurl):
            parse(command)


def test_it_is_pasted_into_the_menu(client: Client, tenant: Tenant, editor: User) -> None:
    workflow = services.workflow_create(actor=actor_for_user(editor, tenant.slug), name="Pasted")
    client.force_login(editor)
    at = reverse("step-add", args=[tenant.slug, workflow.pk])
    posted = {"curl": f"curl -H 'Authorization: Bearer hunter22' {URL} -d '{{\"a\": 1}}'"}
    page = client.post(at, posted, follow=True)
    step = Step.objects.for_tenant(tenant).get(workflow=workflow)
    assert step.action == "http.request"
    assert step.config["inputs"] == {"url": URL, "method": "POST", "body": {"a": 1}}
    assert "Authorization was left out" in page.content.decode()
    page = client.post(at, {"curl": "wget <b>"})
    assert page.status_code == 400
    assert "wget &lt;b&gt;" in page.content.decode()
    assert Step.objects.for_tenant(tenant).filter(workflow=workflow).count() == 1
