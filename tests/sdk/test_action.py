"""Declaring actions, and running one in a test."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any

import httpx
import pytest
from pydantic import BaseModel, Field

from integrations.sdk import (
    Action,
    ApiKey,
    AuthError,
    Basic,
    BearerToken,
    DeclarationError,
    InputError,
    NoAuth,
    NotFound,
    OAuth2,
    OutcomeUnknown,
    Provider,
    RateLimit,
    Retry,
    RunContext,
    Transient,
    action,
    ui,
)
from integrations.sdk.context import MAX_LOG_LINES, StepLog
from integrations.sdk.sensitive import MASK, masked
from integrations.sdk.state import MemoryStore
from integrations.sdk.testing import make_context, run_action

weather = Provider(key="weather", name="Weather", base_url="https://api.weather.test/v1", auth=[ApiKey(), Basic()])


class ForecastInputs(BaseModel):
    city: str = Field(min_length=1, json_schema_extra=ui(format="textarea", advanced=True, secret=True, show_if="x"))


class Forecast(BaseModel):
    high: int = Field(serialization_alias="highest")


def declare(**changes: Any) -> Action:
    options: dict[str, Any] = {
        "provider": weather,
        "key": "weather.getForecast",
        "name": "Get forecast",
        "auth_type": "api_key",
        "input_schema": ForecastInputs,
        **changes,
    }

    async def forecast(ctx: RunContext[ForecastInputs]) -> dict[str, Any]:
        """Get tomorrow's
        forecast.

        More about it.
        """
        response = await ctx.http.get("forecast", params={"q": ctx.inputs.city})
        return {"answer": response.raise_for_status().json()}

    return action(**options)(forecast)


def test_an_action_knows_what_its_declaration_says() -> None:
    declared = declare(synonyms=["rain"], idempotent=True)
    assert declared.description == "Get tomorrow's forecast."
    assert declared.accepted_auth == {"api_key", "bearer_token"}
    assert declared.auth_required
    assert declared.idempotent
    assert declared.synonyms == ("rain",)
    assert declared.origin.startswith("tests.sdk.test_action:")
    field = declared.input_json_schema()["properties"]["city"]
    assert field["format"] == "textarea"
    assert field["x-advanced"] is field["x-secret"] is True
    assert field["x-show-if"] == "x"
    assert declared.output_json_schema() is None


SECRET: Any = ui(secret=True)


class Inner(BaseModel):
    code: str = Field(json_schema_extra=SECRET)


class Deep(BaseModel):
    ways: list[dict[str, Inner | None]] = []


class Listed(BaseModel):
    codes: list[str] = Field(json_schema_extra=SECRET)


class Counted(BaseModel):
    code: int | None = Field(None, json_schema_extra=SECRET)


class Texts(BaseModel):
    code: Annotated[str, Field(min_length=4)] | None = Field(None, alias="doorCode", json_schema_extra=SECRET)
    other: Annotated[str, Field(json_schema_extra=SECRET)]
    plain: str = ""


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (Deep, "Inner.code is marked as a secret inside the input 'ways'"),
        (Listed, "'codes' is marked as a secret, and only a text"),
        (Counted, "'code' is marked as a secret, and only a text"),
    ],
)
def test_only_a_text_that_is_an_input_of_its_own_can_be_a_secret(schema: type[BaseModel], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        declare(input_schema=schema)


def test_an_action_knows_its_secret_inputs_by_the_names_that_a_step_has() -> None:
    assert declare(input_schema=Texts).secret_inputs == ("doorCode", "other")
    assert declare(input_schema=SpellInputs).secret_inputs == ()


def test_a_test_gives_a_secret_input_as_it_is_and_no_error_repeats_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, text=f"no such code: {request.url.params['code']}")

    @action(provider=weather, key="weather.ask", name="Ask", auth_type="none", input_schema=Texts)
    async def ask(ctx: RunContext[Texts]) -> Any:
        """Ask."""
        (await ctx.http.get("codes", params={"code": ctx.inputs.other})).raise_for_status()

    with pytest.raises(AuthError) as caught:
        run_action(ask, {"other": "canary-4711"}, http=answer)
    assert "canary-4711" not in repr((str(caught.value), vars(caught.value)))


@pytest.mark.parametrize(
    ("auth_type", "accepted"),
    [
        ("oauth2", {"oauth2", "bearer_token"}),
        ("api_key", {"api_key", "bearer_token"}),
        ("bearer_token", {"bearer_token"}),
        ("basic", {"basic"}),
        ("none", set()),
    ],
)
def test_a_hand_made_token_is_taken_in_place_of_a_sign_in_or_a_key(auth_type: str, accepted: set[str]) -> None:
    anything = Provider(key="weather", name="Weather")
    declared = declare(provider=anything, auth_type=auth_type)
    assert declared.accepted_auth == accepted
    assert declared.auth_required is (auth_type != "none")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "weather.GetForecast"}, "camelCase"),
        ({"key": "weather.get_forecast"}, "camelCase"),
        ({"key": "weather"}, "camelCase"),
        ({"key": "weather.a.b"}, "camelCase"),
        ({"key": "wether.getForecast"}, "'weather'"),
        ({"name": " "}, "no name"),
        ({"auth_type": "apikey"}, "must be one of oauth2, api_key"),
        ({"auth_type": "oauth2"}, "does not list"),
        ({"input_schema": dict}, "pydantic model"),
        ({"output_schema": ForecastInputs(city="x")}, "pydantic model"),
        ({"provider": "weather"}, "must be a Provider"),
        ({"per_item": ["town"]}, "'town', which is no input"),
        ({"verbatim": ["town"]}, "'town', which is no input"),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_naming_the_place(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DeclarationError, match=says) as caught:
        declare(**changes)
    assert "tests.sdk.test_action:" in str(caught.value)


class SpellInputs(BaseModel):
    names: list[str]
    as_: str = Field(alias="as")


@action(
    provider=weather, key="weather.spell", name="Spell", auth_type="none", input_schema=SpellInputs, per_item=["as"]
)
async def spell(ctx: RunContext[SpellInputs]) -> list[Any]:
    """Spell names."""
    return [ctx.evaluate("as", name, index) for index, name in enumerate(ctx.inputs.names)]


def test_an_input_over_items_arrives_as_written_and_is_evaluated_for_each() -> None:
    assert spell.per_item == ("as",)
    assert declare().per_item == ()
    asked: list[tuple[str, Any, int]] = []

    def evaluate(name: str, item: Any, index: int) -> str:
        asked.append((name, item, index))
        return f"{index}: {item}"

    result = run_action(spell, {"names": ["Ada", "Alan"], "as": "{{ item }}"}, evaluator=evaluate)
    assert result.output == ["0: Ada", "1: Alan"]
    assert asked == [("as", "Ada", 0), ("as", "Alan", 1)]


def test_without_an_evaluator_an_expression_over_items_is_an_input_error() -> None:
    with pytest.raises(InputError, match="as is an expression over items") as caught:
        run_action(spell, {"names": ["Ada"], "as": "{{ item }}"})
    assert caught.value.field == "as"


@pytest.mark.parametrize("key", ["Weather", "weather-api", "weatherApi", "9weather", "weather__api", ""])
def test_a_provider_key_is_snake_case(key: str) -> None:
    with pytest.raises(DeclarationError, match="snake_case"):
        Provider(key=key, name="Weather")


@pytest.mark.parametrize(
    "changes", [{"base_url": "ftp://x"}, {"tile": "pink"}, {"auth": [ApiKey(), ApiKey()]}, {"quality": "x"}]
)
def test_a_provider_that_cannot_be_right_is_refused_naming_the_place(changes: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"tests\.sdk\.test_action:"):
        Provider(key="weather", name="Weather", **changes)


@pytest.mark.parametrize(
    ("kind", "auth", "header", "value"),
    [
        (OAuth2(), {"access_token": "s3cret"}, "Authorization", "Bearer s3cret"),
        (BearerToken(), {"token": "s3cret"}, "Authorization", "Bearer s3cret"),
        (BearerToken(prefix="Bot"), {"token": "s3cret"}, "Authorization", "Bot s3cret"),
        (ApiKey(), {"api_key": "s3cret"}, "X-API-Key", "s3cret"),
        (ApiKey(header="Authorization", prefix="Key"), {"api_key": "s3cret"}, "Authorization", "Key s3cret"),
        (Basic(), {"username": "ü", "password": "s3cret"}, "Authorization", "Basic w7w6czNjcmV0"),
    ],
)
def test_each_kind_of_credential_is_put_on_a_request(kind: Any, auth: dict[str, str], header: str, value: str) -> None:
    request = httpx.Request("GET", "https://x.test/?a=1")
    kind.apply(request, auth, {})
    assert request.headers[header] == value
    assert str(request.url) == "https://x.test/?a=1"
    assert "s3cret" not in repr(kind)


def test_a_key_may_go_into_the_query_and_its_place_may_come_from_the_credential() -> None:
    request = httpx.Request("GET", "https://x.test/?a=1")
    ApiKey(query="key").apply(request, {"api_key": "s/3"}, {})
    assert str(request.url) == "https://x.test/?a=1&key=s%2F3"
    ApiKey(configurable=True).apply(request, {"api_key": "s"}, {"header": "X-Mine"})
    assert request.headers["X-Mine"] == "s"
    ApiKey().apply(request, {"api_key": "s"}, {"header": "X-Other"})
    assert "X-Other" not in request.headers


@pytest.mark.parametrize("kind", [ApiKey(path=":token"), BearerToken(path=":token")])
@pytest.mark.parametrize(
    ("secret", "path"),
    [
        ("42:AA-b_c", "/r/bot42:AA-b_c/send"),
        ("a/../b?c#d", "/r/bota%2F..%2Fb%3Fc%23d/send"),
        ("ü", "/r/bot%C3%BC/send"),
    ],
)
def test_a_credential_may_go_into_the_path_and_stays_one_segment_of_it(kind: Any, secret: str, path: str) -> None:
    request = httpx.Request("GET", "https://x.test/r/bot:token/send?a=:token")
    kind.apply(request, {"api_key": secret, "token": secret}, {})
    assert request.url.raw_path == f"{path}?a=:token".encode()
    assert request.url.host == "x.test"
    assert "authorization" not in request.headers
    assert "x-api-key" not in request.headers


def test_a_credential_in_the_path_is_in_no_error_and_in_no_address_that_is_shown() -> None:
    telling = Provider(key="telling", name="Telling", base_url="https://x.test", auth=[ApiKey(path=":token")])

    class Nothing(BaseModel):
        pass

    @action(provider=telling, key="telling.ask", name="Ask", auth_type="api_key", input_schema=Nothing)
    async def ask(ctx: RunContext[Nothing]) -> str:
        """Ask."""
        response = await ctx.http.get("bot:token/me")
        if response.is_success:
            return str(response.request.url)
        raise response.error(f"It said {response.text}")

    auth = {"api_key": "42:AA/b-canary"}
    assert run_action(ask, {}, auth=auth, http=[httpx.Response(200)]).output == "https://x.test/bot:token/me"
    for told in ("/bot42:AA%2Fb-canary/me", "42:AA%2Fb-canary", "42:AA/b-canary", "42%3AAA%2Fb-canary"):
        with pytest.raises(NotFound) as caught:
            run_action(ask, {}, auth=auth, http=[httpx.Response(404, text=f"no {told} here")])
        assert "canary" not in repr((caught.value, vars(caught.value)))
        assert "••••" in caught.value.message


def test_every_kind_can_be_made_without_arguments_and_says_what_to_fill_in() -> None:
    fields = {kind.type: [field.name for field in kind.fields] for kind in (ApiKey(), BearerToken(), Basic(), NoAuth())}
    assert fields == {
        "api_key": ["api_key"],
        "bearer_token": ["token"],
        "basic": ["username", "password"],
        "none": [],
    }
    # Nothing at all, where the operator has an app to sign in to.
    assert [field.name for field in OAuth2().fields if field.required] == []
    assert [field.name for field in OAuth2().fields if field.secret] == [
        "client_secret",
        "access_token",
        "refresh_token",
    ]
    assert all(kind.title for kind in (ApiKey(), BearerToken(), Basic(), NoAuth(), OAuth2()))


def test_an_action_runs_with_its_root_its_credential_and_a_recorded_request() -> None:
    result = run_action(
        declare(), {"city": "Rome"}, auth={"api_key": "s3cret"}, http=[httpx.Response(200, json={"high": 30})]
    )
    assert result.output == {"answer": {"high": 30}}
    assert str(result.request.url) == "https://api.weather.test/v1/forecast?q=Rome"
    assert result.request.headers["X-API-Key"] == "s3cret"


def test_a_plain_function_runs_in_a_thread_and_a_model_comes_out_as_json() -> None:
    threads: list[str] = []

    @action(
        provider=weather,
        key="weather.plain",
        name="Plain",
        auth_type="none",
        input_schema=ForecastInputs,
        output_schema=Forecast,
    )
    def plain(ctx: RunContext[ForecastInputs]) -> Forecast:
        threads.append(threading.current_thread().name)
        ctx.log("one")
        ctx.log.warning("two")
        return Forecast(high=len(ctx.inputs.city))

    result = run_action(plain, {"city": "Rome"})
    assert result.output == {"highest": 4}
    assert threads != [threading.main_thread().name]
    assert [(line.level, line.text) for line in result.logs] == [("info", "one"), ("warning", "two")]


def test_wrong_inputs_are_named_without_their_values() -> None:
    with pytest.raises(InputError) as caught:
        run_action(declare(), {"city": ["s3cret"]}, auth={"api_key": "k"})
    assert caught.value.field == "city"
    assert "city" in caught.value.message
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    "auth",
    [
        None,
        {"type": "basic", "username": "u", "password": "p"},
        {"type": "oauth2", "access_token": "t"},
        {"provider": "openai", "api_key": "k"},
    ],
)
def test_a_wrong_credential_names_what_is_needed(auth: dict[str, str] | None) -> None:
    with pytest.raises(AuthError, match="Weather requires an API key or a bearer token"):
        run_action(declare(), {"city": "Rome"}, auth=auth)


def test_a_bearer_token_serves_an_action_with_a_key() -> None:
    result = run_action(
        declare(), {"city": "R"}, auth={"type": "bearer_token", "token": "t0k"}, http=[httpx.Response(200, json=1)]
    )
    assert result.request.headers["Authorization"] == "Bearer t0k"


def test_the_credential_is_read_only_and_shows_nothing() -> None:
    ctx, _ = make_context(declare(), {"city": "Rome"}, auth={"api_key": "s3cret"})
    assert ctx.auth["api_key"] == ctx.auth.bearer == "s3cret"
    assert ctx.auth.get("token") is None
    assert dict(ctx.auth) == {"provider": "weather", "type": "api_key", "api_key": "s3cret"}
    with pytest.raises(TypeError):
        ctx.auth["api_key"] = "x"  # type: ignore[index]
    with pytest.raises(AttributeError):
        ctx.attempt = 2  # type: ignore[misc]
    assert "s3cret" not in repr((ctx, ctx.auth, ctx.http, ctx.log)) + str(ctx.auth)


@pytest.mark.parametrize(
    ("raised", "expected"), [(httpx.ConnectError("x"), Transient), (httpx.ReadTimeout("x"), OutcomeUnknown)]
)
def test_a_test_can_break_the_connection_before_or_after_the_request(raised: Exception, expected: type) -> None:
    @action(provider=weather, key="weather.post", name="Post", auth_type="none", input_schema=ForecastInputs)
    async def post(ctx: RunContext[ForecastInputs]) -> None:
        await ctx.http.post("x")

    def break_off(request: httpx.Request) -> httpx.Response:
        raise raised

    with pytest.raises(expected):
        run_action(post, {"city": "Rome"}, http=break_off)


def test_a_log_keeps_the_first_lines_and_says_that_it_left_out_the_rest() -> None:
    seen: list[str] = []
    log = StepLog(sink=lambda line: seen.append(line.text))
    for number in range(MAX_LOG_LINES + 50):
        log(number)
    log.error("x" * 100_000)
    assert len(log.lines) == len(seen) == MAX_LOG_LINES + 1
    assert log.lines[-1].level == "warning"
    assert "left out" in log.lines[-1].text
    short = StepLog()
    short("y" * 100_000)
    assert len(short.lines[0].text) < 5000


def test_whether_a_call_may_be_sent_again_can_depend_on_its_inputs() -> None:
    asks = declare(idempotent=lambda inputs: inputs.city == "Rome")
    assert asks.idempotent is False
    assert asks.repeatable(ForecastInputs(city="Rome"))
    assert not asks.repeatable(ForecastInputs(city="Oslo"))
    assert declare(idempotent=True).repeatable(ForecastInputs(city="Oslo"))
    assert declare(pure=True).repeatable(ForecastInputs(city="Oslo"))
    assert not declare().repeatable(ForecastInputs(city="Oslo"))


def test_whether_a_call_only_reads_can_depend_on_its_inputs() -> None:
    asks = declare(effect="update", reads_when=lambda inputs: inputs.city == "Rome")
    assert asks.reads(ForecastInputs(city="Rome"))
    assert not asks.reads(ForecastInputs(city="Oslo"))
    assert declare(effect="search").reads(ForecastInputs(city="Oslo"))
    assert not declare(effect="create").reads(ForecastInputs(city="Oslo"))


def test_an_action_is_called_as_its_function_would_be() -> None:
    ctx, _ = make_context(declare(), {"city": "Rome"}, auth={"api_key": "k"}, http=[httpx.Response(200, json=1)])
    assert asyncio.run(declare()(ctx)) == {"answer": 1}


SIGN_IN = Provider(
    key="weather", name="Weather", auth=[OAuth2(scopes=("read", "write")), BearerToken()], base_url="https://w.test"
)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scopes": ("admin",), "provider": SIGN_IN, "auth_type": "oauth2"}, "does not ask for"),
        ({"sensitive": ("a..b",)}, "no path"),
        ({"sensitive": ("[]",)}, "no path"),
        ({"idempotency_header": "X: y\r\n"}, "no header's name"),
    ],
)
def test_scopes_sensitive_paths_and_headers_that_cannot_be_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(DeclarationError, match=why):
        declare(**changes)
    for wrong in ({"max_attempts": 0}, {"max_attempts": 21}, {"delay": -1.0}):
        with pytest.raises(DeclarationError):
            Retry(**wrong)  # type: ignore[arg-type]
    for limit in ({"requests": 0}, {"requests": 1, "seconds": 0.0}, {"requests": 1, "burst": -1}):
        with pytest.raises(DeclarationError):
            RateLimit(**limit)  # type: ignore[arg-type]


def test_an_action_has_the_scopes_and_the_limit_that_it_or_its_provider_declares() -> None:
    limit = RateLimit(requests=2)
    limited = Provider(key="weather", name="Weather", auth=[ApiKey()], base_url="https://w.test", rate_limit=limit)
    assert declare(provider=limited).rate_limit is limit
    own = RateLimit(requests=1)
    assert declare(provider=limited, rate_limit=own).rate_limit is own
    assert declare(provider=SIGN_IN, auth_type="oauth2", scopes=("admin|write",)).scopes == ("admin|write",)


def test_the_idempotency_key_goes_where_the_action_says() -> None:
    async def post(ctx: RunContext[ForecastInputs]) -> None:
        """Post."""
        await ctx.http.post("/x")

    def headers(**more: Any) -> httpx.Headers:
        declared = action(
            provider=weather, key="weather.post", name="Post", auth_type="none", input_schema=ForecastInputs, **more
        )(post)
        return run_action(declared, {"city": "Oslo"}, http=[httpx.Response(200)]).request.headers

    assert headers()["Idempotency-Key"] == "test-key"
    assert headers(idempotency_header="X-Request-Id")["X-Request-Id"] == "test-key"
    assert "idempotency-key" not in headers(idempotency_header="X-Request-Id")
    assert "idempotency-key" not in headers(idempotency_header="")


def test_what_a_step_keeps_and_tells_can_be_looked_at_in_a_test() -> None:
    told: list[Any] = []

    async def counts(ctx: RunContext[ForecastInputs]) -> Any:
        """Count."""
        ctx.progress(1, 2, "half")
        await ctx.state.workflow.set("n", 1)
        return await ctx.state.workflow.update("n", lambda n: n + 1)  # type: ignore[operator]

    declared = action(
        provider=weather, key="weather.count", name="Count", auth_type="none", input_schema=ForecastInputs
    )(counts)
    store = MemoryStore()
    result = run_action(declared, {"city": "Oslo"}, store=store, report=lambda *progress: told.append(progress))
    assert (result.output, told) == (2, [(1, 2, "half")])
    assert asyncio.run(store.read("workflow", "n")).value == 2
    assert run_action(declared, {"city": "Oslo"}).output == 2


def test_sensitive_parts_are_masked_wherever_they_are() -> None:
    value = {"keys": [{"id": 1, "secret": "s3cret-one"}, {"id": 2}], "a": {"b": ["x", {"c": "deep"}]}, "n": None}
    shown, texts = masked(value, ["keys[].secret", "a.b", "n", "nobody.here", "keys.x"])
    assert shown == {"keys": [{"id": 1, "secret": MASK}, {"id": 2}], "a": {"b": MASK}, "n": None}
    assert texts == ["s3cret-one", "x", "deep"]
    assert value["keys"][0]["secret"] == "s3cret-one"  # type: ignore[index]
    assert masked({"pins": ({"pin": 493021}, {"pin": True})}, ["pins[].pin"]) == (
        {"pins": [{"pin": MASK}, {"pin": MASK}]},
        ["493021"],
    )
