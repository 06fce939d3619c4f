"""Recorded exchanges: what goes into a file, what does not, and what is not loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from integrations.sdk import ApiKey, Provider, RunContext, action
from integrations.sdk.client import Answer
from integrations.sdk.contract import contract_problems
from integrations.sdk.exchange import (
    BadExchange,
    CannotRecord,
    Exchange,
    Reply,
    load,
    recorded,
    save,
    scrubbed,
    secrets_in,
)
from integrations.sdk.fields import ui
from integrations.sdk.redaction import MASK

acme = Provider(key="acme", name="Acme", base_url="https://api.acme.example", auth=[ApiKey()])


class Inputs(BaseModel):
    name: str = Field(examples=["Ada"])
    code: str | None = Field(None, json_schema_extra=ui(secret=True))


class Output(BaseModel):
    id: str


@action(
    provider=acme,
    key="acme.find",
    name="Find",
    auth_type="api_key",
    input_schema=Inputs,
    output_schema=Output,
    idempotent=True,
)
async def find(ctx: RunContext[Inputs]) -> Output:
    """Find somebody, by two requests."""
    first = (await ctx.http.get("find", params={"name": ctx.inputs.name})).raise_for_status().parsed(Output)
    return (await ctx.http.get(f"people/{first.id}")).raise_for_status().parsed(Output)


@action(provider=acme, key="acme.trust", name="Trust", auth_type="api_key", input_schema=Inputs, output_schema=Output)
async def trust(ctx: RunContext[Inputs]) -> Any:
    """Take whatever comes."""
    return (await ctx.http.get("find")).json()


def answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, [], body if isinstance(body, bytes) else json.dumps(body).encode())


SECRETS = {
    "slack": "xoxb-1234567890-abcdefghij",
    "openai": "sk-proj-abcdefghijklmnop",
    "stripe": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "github": "ghp_0123456789abcdefghijABCDEFGHIJ",
    "google": "ya29.a0AfH6SMBx-abcdefghijklmnop",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "telegram": "https://api.telegram.org/file/bot123456789:AAF-abcdefghijklmnopqrstuvwxyz012345/photo.jpg",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "bearer": "Authorization: Bearer abcdef0123456789",
    "user": "https://ada:correcthorse@example.com/",
    "query": "https://files.example.com/a?x=1&X-Amz-Signature=abcdef0123456789",
    "key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_what_has_the_form_of_a_secret_is_found_and_taken_out(text: str) -> None:
    value = {"rows": [{"text": f"see {text} here"}]}
    assert list(secrets_in(value)) == ["rows[0].text"]
    clean = scrubbed(value)
    assert list(secrets_in(clean)) == []
    assert MASK in clean["rows"][0]["text"]
    assert clean["rows"][0]["text"].startswith("see ")


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Set-Cookie",
        "cookie",
        "access_token",
        "refreshToken",
        "password",
        "token",
        "botToken",
        "webhook_secret",
        "secretKey",
        "jwt",
    ],
)
def test_what_has_the_name_of_a_secret_is_found_and_taken_out(name: str) -> None:
    assert list(secrets_in({"headers": {name: "short"}})) == [f"headers.{name}"]
    assert scrubbed({"headers": {name: ["a", "b"], "Accept": "x"}}) == {"headers": {name: MASK, "Accept": "x"}}
    assert list(secrets_in({name: None})) == []


def test_ordinary_texts_are_left_as_they_are() -> None:
    texts = ["Basic authentication is off", "bearer of good news", "sk-8 shoes", "at 10:30", "mailto:ada@example.com"]
    value = {"next_page_token": "abc", "password_set": True, "texts": texts, "href": "https://example.com/?key=1"}
    assert scrubbed(value) == value
    assert list(secrets_in(value)) == []


def test_a_file_that_holds_a_secret_is_not_loaded_and_the_error_does_not_repeat_it(tmp_path: Path) -> None:
    path = tmp_path / "acme.find.json"
    path.write_text(json.dumps({"answer": {"ok": True, "link": SECRETS["telegram"]}}))
    with pytest.raises(BadExchange, match=r"holds a secret at answer\.link: take it out") as caught:
        load(path)
    assert "AAF-" not in str(caught.value)
    for text in ("[]", "{", '{"answer": 1, "more": 2}', "{}"):
        path.write_text(text)
        with pytest.raises(BadExchange, match="is no exchange"):
            load(path)
    with pytest.raises(BadExchange, match="cannot be read"):
        load(tmp_path / "nothing.json")


def test_a_call_becomes_an_exchange_in_the_suites_form(tmp_path: Path) -> None:
    inputs = {"name": "Ada", "code": "4711"}
    made = recorded(find, inputs, [answer({"id": "7", "session": "s-1"}), answer({"id": "7", "cookie": "a=b"})])
    path = tmp_path / "exchanges" / "acme.find.json"
    save(made, path)
    assert json.loads(path.read_text()) == {
        "inputs": {"name": "Ada"},
        "before": [{"answer": {"id": "7", "session": MASK}}],
        "answer": {"id": "7", "cookie": MASK},
    }
    assert load(path).inputs_for(find) == {"name": "Ada"}
    save(made, path)
    other = tmp_path / "notes.txt"
    other.write_text("mine")
    with pytest.raises(CannotRecord, match="is there and is not replaced"):
        save(made, other)
    assert other.read_text() == "mine"


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([], "asked nobody"),
        ([answer({}, 401), answer({})], "Answer 1 of 2 has the status 401"),
        ([answer({}), answer({}, 302)], "Answer 2 of 2 has the status 302"),
        ([answer(b"<html>")], "Answer 1 is no JSON"),
    ],
)
def test_what_is_no_good_call_is_not_recorded(answers: list[Answer], says: str) -> None:
    with pytest.raises(CannotRecord, match=says):
        recorded(find, {"name": "Ada"}, answers)


def test_the_rows_of_the_contract_are_tried_at_each_request() -> None:
    good = Exchange(before=[Reply(answer={"id": "7"})], answer={"id": "7"})
    assert list(contract_problems(find, good)) == []
    assert list(contract_problems(find, Exchange(answer={"id": "7"}))) == ["its exchange fails: AssertionError"]
    careless = list(contract_problems(trust, Exchange(answer={"id": "7"})))
    assert "request 1 answered with 401 becomes a success, not auth" in careless
    assert "request 1 answered with {} becomes a success, not permanent" in careless
    assert list(contract_problems(trust, Exchange(answer={}))) == ["its output does not fit its output_schema: id"]
