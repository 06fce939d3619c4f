"""What a publish says of a polling trigger, and how long one that fails waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from orchestrator.flow.polling import backoff
from tests.flow.documents import CREDENTIALS, TRIGGERS, found, hello

FEED = {"trigger": "rss.newItem", "inputs": {"url": "https://example.com/feed.xml"}}
MAIL = {"trigger": "email.newMessage", "credential": "mailbox"}


def told(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **facts: Any) -> list[tuple[str, str, str]]:
    from orchestrator.flow.facts import CredentialFacts

    given = {"provider": "email", "auth_type": "basic", **facts}
    monkeypatch.setitem(CREDENTIALS, "mailbox", CredentialFacts(**given))
    problems = found(hello("Ada"), triggers=[{"key": "new", "type": "polling", "config": config}])
    return [(problem.severity, problem.path, problem.code) for problem in problems]


@pytest.mark.parametrize("config", [FEED, {**FEED, "interval": 10}, MAIL, {**MAIL, "inputs": {"mailbox": "Orders"}}])
def test_what_is_right_is_not_remarked_on(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(config, monkeypatch) == []


@pytest.mark.parametrize(
    ("config", "path", "code"),
    [
        ({}, "trigger", "trigger_missing"),
        ({**FEED, "trigger": "rss.newItm"}, "trigger", "trigger_unknown"),
        ({**FEED, "interval": 5}, "interval", "greater_than_equal"),
        ({**FEED, "nonsense": 1}, "nonsense", "extra_forbidden"),
        ({"trigger": "rss.newItem"}, "inputs.url", "missing"),
        ({**FEED, "inputs": {"url": "file:///etc/passwd"}}, "inputs.url", "string_pattern_mismatch"),
        ({**FEED, "inputs": {"url": "https://{{ vars.region }}.example"}}, "inputs.url", "trigger_expression"),
        ({"trigger": "email.newMessage"}, "credential", "credential_missing"),
        ({**MAIL, "credential": "mailbx"}, "credential", "credential_unknown"),
        ({**MAIL, "credential": "team-slack"}, "credential", "credential_type"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    config: dict[str, Any], path: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(config, monkeypatch) == [("error", f"triggers[0].config.{path}", code)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"provider": "webhook"}, ("error", "credential_provider")),
        ({"health": "reconnect"}, ("error", "credential_health")),
        ({"health": "expiring"}, ("warning", "credential_expiring")),
    ],
)
def test_a_credential_has_to_fit_and_to_work(
    facts: dict[str, Any], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ((severity, path, code),) = told(MAIL, monkeypatch, **facts)
    assert ((severity, code), path) == (expected, "triggers[0].config.credential")


@pytest.mark.parametrize(
    ("interval", "failures", "retry_after", "seconds"),
    [
        (60, 1, None, 120),
        (60, 3, None, 480),
        (60, 50, None, 3_600),
        (86_400, 3, None, 86_400),
        (10, 1, 600, 600),
        (10, 1, -5, 20),
        (10, 1, 10**9, 86_400),
        (10, 1, float("nan"), 20),
        (10, 1, float("inf"), 86_400),
    ],
)
def test_pauses_double_up_to_an_hour_and_obey_the_other_side_up_to_a_day(
    interval: int, failures: int, retry_after: float | None, seconds: int
) -> None:
    assert backoff(interval, failures, retry_after=retry_after) == timedelta(seconds=seconds)


RSS, IMAP, ODD = (
    {"key": config["trigger"].partition(".")[0], "type": "polling", "config": config}
    for config in (FEED, {"trigger": "email.newMessage"}, {"trigger": "no.such"})
)
HOOK = {"key": "hook", "type": "webhook", "config": {}}
_FEED, _MAIL = "is not among what “New item in a feed” gives", "is not among what “New message in a mailbox” gives"


@pytest.mark.parametrize(
    ("name", "triggers", "said"),
    [
        ("title", [RSS], None),
        ("titel", [RSS], f"trigger.body.titel {_FEED}. Did you mean trigger.body.title?"),
        ("zzz", [RSS], "It gives "),
        # A person who starts it by hand gives what the feed does.
        ("titel", [RSS, *TRIGGERS], "Did you mean trigger.body.title?"),
        ("from.adress", [IMAP], f"trigger.body.from.adress {_MAIL}. Did you mean trigger.body.from.address?"),
        ("attachments[0].nam", [IMAP], "Did you mean trigger.body.attachments[0].name?"),
        # What one of several gives is there, and what others bring nobody knows.
        ("subject", [RSS, IMAP], None),
        ("titel", [RSS, IMAP], f"trigger.body.titel {_MAIL}."),
        ("titel", [RSS, HOOK], None),
        ("titel", [RSS, ODD], None),
        ("titel", TRIGGERS, None),
    ],
)  # fmt: skip
def test_what_steps_read_is_held_against_what_the_trigger_gives(
    name: str, triggers: list[dict[str, Any]], said: str | None
) -> None:
    problems = [
        problem for problem in found(hello(f"{{{{ trigger.body.{name} }}}}"), triggers=triggers)
        if problem.path.startswith("steps")
    ]  # fmt: skip
    if said is None:
        assert problems == []
    else:
        (problem,) = problems
        assert (problem.severity, problem.code, problem.path) == ("warning", "reference", "steps[0].config.inputs.name")
        assert said in problem.message


def test_a_value_that_has_a_default_is_not_remarked_on() -> None:
    problems = found(hello('{{ default(trigger.body.titel, "x") }}'), triggers=[RSS])
    assert [problem.path for problem in problems if problem.path.startswith("steps")] == []
