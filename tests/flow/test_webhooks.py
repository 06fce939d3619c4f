"""What a webhook's config may say: each mistake at its path, with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flow.documents import found, step


def problems(**config: Any) -> list[tuple[str, str, str]]:
    """Return severity, path and code of each problem of a webhook, but for the warning that it is not protected."""
    trigger = {"key": "hook", "type": "webhook", "config": config}
    told = found(step("a"), triggers=[trigger])
    return [
        (each.severity, each.path.removeprefix("triggers[0].config."), each.code)
        for each in told
        if each.code != "webhook_unprotected"
    ]


def reply(**more: Any) -> dict[str, Any]:
    return {"status": 200, "body": "ok", **more}


def header(headers: dict[str, str]) -> tuple[dict[str, Any], str]:
    """Return a config with an answer that sets a header, and the header's path."""
    return {"response": reply(headers=headers)}, f"response.headers.{next(iter(headers))}"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"methods": ["GET", "PUT"], "response": "accepted", "signature": None},
        {"response": "output", "timeout": 10},
        {"response": reply()},
        {"response": reply(body={"id": "{{ trigger.body.id }}", "run": "{{ run.id }}"})},
        {"response": reply(body="{{ steps.a.output.a }}", headers={"X-Kind": "{{ vars.region }}"})},
        {"response": reply(headers={"Content-Type": "application/vnd.api+json"})},
        {"dedupe": "X-Delivery"},
        {"dedupe": "{{ trigger.body.id }}"},
        {"filter": "trigger.body.amount > 5"},
        {"filter": "{{ trigger.body.amount > 5 and workflow.slug == 'x' }}"},
        {"handshake": {"query": "hub.challenge"}, "rate_limit": 60},
    ],
)
def test_what_may_be_said(config: dict[str, Any]) -> None:
    assert problems(**config) == []


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({"methods": []}, "methods", "too_short"),
        ({"methods": ["BREW"]}, "methods[0]", "literal_error"),
        ({"surprise": 1}, "surprise", "extra_forbidden"),
        ({"response": "later"}, "response", "literal_error"),
        ({"response": reply(status=500)}, "response.status", "less_than_equal"),
        ({"response": reply(status=99)}, "response.status", "greater_than_equal"),
        (*header({"Set-Cookie": "a=b"}), "header"),
        (*header({"Location": "https://x.test"}), "header"),
        (*header({"Transfer-Encoding": "chunked"}), "header"),
        (*header({"Refresh": "0"}), "header"),
        (*header({"X-Frame-Options": "x"}), "header"),
        (*header({"X-A": "a\r\nb"}), "header"),
        (*header({"Content-Type": "text/html"}), "content_type"),
        (*header({"Content-Type": "image/svg+xml"}), "content_type"),
        (*header({"content-type": "{{ trigger.body.t }}"}), "header"),
        ({"response": reply(body="{{ steps.b.output }}")}, "response.body", "reference"),
        ({"response": reply(body="{{ item.x }}")}, "response.body", "reference"),
        ({"response": reply(body="{{ run.secret }}")}, "response.body", "reference"),
        ({"response": reply(body="{{ 1 + }}")}, "response.body", "expression"),
        ({"dedupe": "not a header"}, "dedupe", "expression"),
        ({"dedupe": "{{ steps.a.output }}"}, "dedupe", "reference"),
        ({"filter": "{{ 5 }}"}, "filter", "type"),
        ({"filter": "trigger.bod.x"}, "filter", "reference"),
        ({"timeout": 0}, "timeout", "greater_than"),
        ({"timeout": 61}, "timeout", "less_than_equal"),
        ({"rate_limit": 0}, "rate_limit", "greater_than_equal"),
        ({"signature": {"preset": "github"}}, "signature.credential", "missing"),
        ({"signature": {"preset": "none", "credential": "x"}}, "signature.preset", "literal_error"),
        ({"signature": {"preset": "github", "credential": "nobody"}}, "signature.credential", "credential_unknown"),
        ({"signature": {"preset": "github", "credential": "mail"}}, "signature.credential", "credential_provider"),
        ({"signature": {"preset": "bearer", "credential": "hook"}}, "signature.credential", "credential_type"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_at_its_path(config: dict[str, Any], path: str, code: str) -> None:
    assert ("error", path, code) in problems(**config)


def test_a_signature_with_its_secret_is_right_and_none_is_a_warning() -> None:
    assert problems(signature={"preset": "github", "credential": "hook"}) == []
    trigger = {"key": "hook", "type": "webhook", "config": {}}
    told = found(step("a"), triggers=[trigger])
    assert [(each.severity, each.code) for each in told] == [("warning", "webhook_unprotected")]
