"""``integration try`` of triggers, and what it records of actions."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from pydantic import BaseModel

from integrations.registry import registry
from integrations.sdk import (
    Item,
    JSONValue,
    NoAuth,
    Polled,
    Provider,
    RunContext,
    WebhookContext,
    WebhookRequest,
    action,
    polling,
    webhook,
)
from integrations.sdk.exchange import load
from integrations.sdk.webhook import Hmac
from orchestrator.tenants.models import Tenant
from tests.registry.terminal import TOKEN, integration, server
from tests.sdk.server import answer

SECRET = "whsec-canary-f00d"
ISSUE = json.dumps({"action": "opened", "issue": {"number": 7}, "repository": {"full_name": "a/b"}}).encode()

shop = Provider(key="shop", name="Shop", auth=[NoAuth()])


class Nothing(BaseModel):
    pass


@polling(provider=shop, key="shop.newOrder", name="New order", auth_type="none", input_schema=Nothing, http=False)
async def new_order(ctx: RunContext[Nothing], cursor: JSONValue) -> Polled:
    """A new order."""
    first = cursor if isinstance(cursor, int) else 0
    ctx.log("looking")
    return Polled(items=[Item(str(first), {"order": first})], cursor=first + 1, more=first < 5)


@webhook(
    provider=shop,
    key="shop.paid",
    name="Paid",
    auth_type="none",
    input_schema=Nothing,
    verify=Hmac(header="X-Shop-Signature", timestamp_header="X-Shop-Time"),
    delivery="X-Shop-Delivery",
)
def paid(ctx: WebhookContext[Nothing], request: WebhookRequest) -> Any:
    """An order is paid."""
    return request.json()


@action(provider=shop, key="shop.count", name="Count", auth_type="none", input_schema=Nothing)
async def count(ctx: RunContext[Nothing]) -> Any:
    """Count how often it was run."""
    before = await ctx.state.workflow.get("count", 0)
    await ctx.state.workflow.set("count", before + 1)
    return {"count": await ctx.state.workflow.get("count")}


def told(text: str) -> Any:
    """Return the JSON that a command printed, after what it said."""
    return json.loads(text[text.index("{") :])


def test_a_poll_shows_what_it_finds_and_the_next_goes_on_from_its_cursor() -> None:
    with registry.temporarily(new_order):
        first = integration("try", "shop.newOrder")
        assert "A first poll only remembers what is there" in first
        assert "info: looking" in first
        assert told(first) == {"items": [{"id": "0", "data": {"order": 0}}], "cursor": 1, "more": True}
        second = integration("try", "shop.newOrder", "--cursor", json.dumps(told(first)["cursor"]))
        assert "A first poll" not in second
        assert told(second)["items"] == [{"id": "1", "data": {"order": 1}}]
        with pytest.raises(CommandError, match="--cursor takes JSON, as the poll before printed it"):
            integration("try", "shop.newOrder", "--cursor", "{")


def signed(body: bytes, tmp_path: Path, secret: str = SECRET) -> list[str]:
    """Return what names a request to GitHub's trigger, with its body and its secret in files."""
    (tmp_path / "body.json").write_bytes(body)
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    inputs = ["--input", "repository=a/b", "--input", 'events=["issues"]']
    headers = ["--header", "X-GitHub-Event: issues", "--header", "X-GitHub-Delivery: d-1"]
    headers += ["--header", f"X-Hub-Signature-256: sha256={mac}"]
    return [*inputs, *headers, "--body", str(tmp_path / "body.json")]


def test_a_request_in_a_file_is_checked_and_read_as_the_product_does(tmp_path: Path) -> None:
    words = ["try", "github.newEvent", *signed(ISSUE, tmp_path)]
    read = told(integration(*words, "--secret-file", str(tmp_path / "secret")))
    assert (read["checked"], read["delivery"]) == (True, "d-1")
    (item,) = read["items"]
    assert item["data"]["payload"]["issue"] == {"number": 7}
    headers = [word for word in words if word.startswith("X-")]
    (tmp_path / "headers").write_text("\r\n".join([*headers, ""]))
    named = [word for word in words if word != "--header" and word not in headers]
    from_file = [*named, "--header", f"@{tmp_path}/headers", "--secret-file", str(tmp_path / "secret")]
    assert told(integration(*from_file)) == read
    unchecked = integration(*words)
    assert "The signature was not checked: give the secret in a file" in unchecked
    assert told(unchecked) == {**read, "checked": False}


def test_a_handshake_is_shown_as_it_would_be_answered(tmp_path: Path) -> None:
    words = signed(b'{"zen": "Keep it simple.", "hook_id": 1}', tmp_path)
    words[words.index("X-GitHub-Event: issues")] = "X-GitHub-Event: ping"
    read = told(integration("try", "github.newEvent", *words, "--secret-file", str(tmp_path / "secret")))
    assert read["checked"] is True
    assert read["reply"]["status"] == 200


def test_a_wrong_signature_is_refused_without_the_secret(tmp_path: Path) -> None:
    words = signed(ISSUE, tmp_path, secret="another")
    with pytest.raises(CommandError, match=r"^auth: .*Give the body byte by byte as it came") as caught:
        integration("try", "github.newEvent", *words, "--secret-file", str(tmp_path / "secret"))
    assert SECRET not in str(caught.value)


def test_an_old_request_is_checked_as_of_the_time_when_it_came(tmp_path: Path) -> None:
    body = b'{"order": 7}'
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "secret").write_text(SECRET)
    mac = hmac.new(SECRET.encode(), b"1700000000." + body, hashlib.sha256).hexdigest()
    words = ["try", "shop.paid", "--body", str(tmp_path / "body"), "--secret-file", str(tmp_path / "secret"),
             "--header", f"X-Shop-Signature: {mac}", "--header", "X-Shop-Time: 1700000000"]  # fmt: skip
    with registry.temporarily(paid):
        with pytest.raises(CommandError, match="--at"):
            integration(*words)
        assert told(integration(*words, "--at", "1700000100"))["items"] == [{"id": "", "data": {"order": 7}}]
        assert told(integration(*words, "--at", "2023-11-14T22:14:00Z"))["checked"] is True
        with pytest.raises(CommandError, match="--at takes seconds since 1970"):
            integration(*words, "--at", "yesterday")
        (tmp_path / "body").write_bytes(b"<xml>")
        with pytest.raises(CommandError, match="input: the request cannot be read: The body is no JSON"):
            integration(*words[:4])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("github.newEvent",), "give a request's body with --body FILE"),
        (("github.newEvent", "--body", "nothing.json"), "nothing.json cannot be read"),
        (("github.newEvent", "--body", __file__, "--header", "x"), "--header takes 'Name: value'"),
        (("github.newEvent", "--body", __file__, "--method", "GET"), "takes POST, not GET: choose one with --method"),
        (("github.newEvent", "--cursor", "1"), "--cursor says nothing to a trigger that is called"),
        (("rss.newItem", "--body", "x"), "--body says nothing to a trigger that is asked"),
        (("rss.newItem", "--record", "x"), "--record says nothing to a trigger that is asked"),
        (("hello.world", "--cursor", "1"), "--cursor says nothing to an action"),
        (("hello.world", "--input", "name=a", "--record", "x.json"), "speaks no HTTP, so there is no exchange"),
        (("hello.world", "--tenant", "nobody"), "make one with `python manage.py tenant create nobody`"),
    ],
)
def test_what_goes_wrong_is_said_in_one_sentence(words: tuple[str, ...], says: str, tenant: Tenant) -> None:
    with pytest.raises(CommandError) as caught:
        integration("try", *words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recorded_exchange_is_of_the_suites_form_and_holds_no_secret(
    credential: str, slack_at: Any, tmp_path: Path
) -> None:
    path = tmp_path / "slack.sendMessage.json"
    said = {"ok": True, "channel": "C1", "ts": "1", "message": {"text": f"saw {TOKEN}", "headers": {"Cookie": "d=1"}}}
    words = ["try", "slack.sendMessage", "--input", "channel=#a", "--input", f"text=my {TOKEN}",
             "--credential", credential, "--tenant", "acme", "--record", str(path)]  # fmt: skip
    with server(answer(body=json.dumps(said).encode())) as slack:
        slack_at(slack.url)
        assert f"wrote {path}" in integration(*words)
    text = path.read_text()
    assert TOKEN not in text
    assert "d=1" not in text
    found = load(path)
    assert found.answer["ts"] == "1"
    assert found.inputs["channel"] == "#a"
    before = text
    with server(answer(body=b'{"ok": true, "channel": "C2", "ts": "2", "message": {}}')) as slack:
        slack_at(slack.url)
        integration(*words)
    assert path.read_text() != before


def test_a_call_that_fails_or_cannot_be_replayed_is_not_recorded(
    credential: str, slack_at: Any, tmp_path: Path
) -> None:
    path = tmp_path / "slack.sendMessage.json"
    words = ["try", "slack.sendMessage", "--input", "channel=#a", "--input", "text=x",
             "--credential", credential, "--tenant", "acme", "--record", str(path)]  # fmt: skip
    with server(answer(body=b'{"ok": false, "error": "channel_not_found"}')) as slack:
        slack_at(slack.url)
        with pytest.raises(CommandError, match=r"^permanent: "):
            integration(*words)
    assert not path.exists()
    path.write_text("mine")
    with server(answer(body=b'{"ok": true, "channel": "C1", "ts": "1", "message": {}}')) as slack:
        slack_at(slack.url)
        with pytest.raises(CommandError, match="is there and is not replaced"):
            integration(*words)
    assert path.read_text() == "mine"


def test_what_is_listed_is_narrowed_and_complete_as_json() -> None:
    lines = integration("list", "--provider", "slack", "--provider", "rss").splitlines()
    assert [line.split()[0] for line in lines] == [
        "slack.listChannels",
        "slack.sendMessage",
        "rss.newItem",
        "slack.newMessage",
    ]
    assert lines[2].endswith("(polling trigger, no credential)")
    rows = json.loads(integration("list", "--json", "--kind", "trigger"))
    assert {row["key"] for row in rows} == {found.key for found in registry.triggers()}
    assert {row["starts_by"] for row in rows} == {"polling", "webhook"}
    (row,) = json.loads(integration("list", "--json", "--kind", "action", "--provider", "hello"))
    assert row["sample"] == {"message": "Hello Ada"}
    assert {"key", "name", "provider", "auth_type", "description", "category", "icon", "input_schema",
            "output_schema", "sample", "idempotent", "effect", "synonyms", "options"} <= set(row)  # fmt: skip
    with pytest.raises(CommandError, match="There is no provider 'slak': there are "):
        integration("list", "--provider", "slak")


def test_levels_are_listed_with_what_stands_behind_them() -> None:
    text = integration("list", "--quality", "--provider", "slack", "--provider", "rss")
    assert "slack  gold" in text
    assert "exempt from idempotency: chat.postMessage takes no key" in text
    assert "rss    bronze" in text
    (row,) = json.loads(integration("list", "--quality", "--json", "--provider", "slack"))
    assert row["level"] == "gold"
    assert {rule["rule"]: rule["state"] for rule in row["rules"]}["exchanges"] == "met"


def test_an_action_that_keeps_values_keeps_them_for_the_length_of_a_try() -> None:
    with registry.temporarily(count):
        assert told(integration("try", "shop.count")) == {"count": 1}
        assert told(integration("try", "shop.count")) == {"count": 1}
