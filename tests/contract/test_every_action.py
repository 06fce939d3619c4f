"""What every registered action keeps to, whoever wrote it. An action declared without HTTP is exempt from the rest."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest

from integrations.registry import base_url_for, registry
from integrations.sdk import Action, IntegrationError, Permanent
from integrations.sdk.exchange import Reply
from integrations.sdk.testing import ActionResult, make_context, run_action, run_options
from tests.contract.recorded import EXCHANGES

CANARY = "cánary+f00d/Ω=secret"
SECRETS = {
    "oauth2": {"access_token": CANARY, "refresh_token": f"{CANARY}-refresh"},
    "api_key": {"api_key": CANARY},
    "bearer_token": {"token": CANARY},
    "basic": {"username": "ada", "password": CANARY},
}
ACTIONS = registry.actions()
OVER_HTTP = [action for action in ACTIONS if action.http]

every_action = pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.key)
every_http_action = pytest.mark.parametrize("action", OVER_HTTP, ids=lambda action: action.key)

# One that takes any provider's credential takes any server's answers, too, and goes where its author sends it.
every_providers_action = pytest.mark.parametrize(
    "action", [action for action in OVER_HTTP if not action.any_provider], ids=lambda action: action.key
)

# Each of an action's requests, by the number of those before it, which are answered well.
REQUESTS = [
    pytest.param(action, at, id=f"{action.key}-{at}")
    for action in OVER_HTTP
    for at in range(len(EXCHANGES[action.key].before) + 1 if action.key in EXCHANGES else 1)
]
every_request = pytest.mark.parametrize(("action", "at"), REQUESTS)
every_providers_request = pytest.mark.parametrize(
    ("action", "at"),
    [
        param
        for param in REQUESTS
        if not param.values[0].any_provider
        and param.values[0].key in EXCHANGES
        and not EXCHANGES[param.values[0].key].is_content(param.values[1])
    ],
)


def inputs_for(action: Action) -> dict[str, Any]:
    """Return the exchange's inputs, and for each further required field its first example."""
    schema = action.input_json_schema()
    made = {name: schema["properties"][name]["examples"][0] for name in schema.get("required", ())}
    return {**made, **EXCHANGES[action.key].inputs}


def auth_for(action: Action, kind: str) -> dict[str, str]:
    # Header values are ASCII, so what goes into one is the canary's ASCII form.
    values = {name: value.encode("ascii", "ignore").decode() for name, value in SECRETS[kind].items()}
    return {"provider": action.provider.key, "type": kind, **values}


def kinds_of(action: Action) -> list[str]:
    return [kind for kind in SECRETS if kind in action.accepted_auth]


def run(action: Action, response: httpx.Response | Any, kind: str = "", at: int = 0) -> ActionResult:
    """Run an action; its request number ``at`` gets this answer, those before it good ones."""
    auth = auth_for(action, kind or kinds_of(action)[0]) if kinds_of(action) else None
    before = iter(EXCHANGES[action.key].answers()[:at]) if at else iter(())

    def answer(request: httpx.Request) -> httpx.Response:
        good = next(before, None)
        if good is not None:
            return good
        answered: httpx.Response = response(request) if callable(response) else next(rest)
        return answered

    rest = iter([response])
    return run_action(action, inputs_for(action), auth=auth, http=answer, settings=EXCHANGES[action.key].settings)


def run_well(action: Action, kind: str = "") -> ActionResult:
    auth = auth_for(action, kind or kinds_of(action)[0]) if kinds_of(action) else None
    exchange = EXCHANGES[action.key]
    return run_action(action, inputs_for(action), auth=auth, http=exchange.answers(), settings=exchange.settings)


def in_turn(action: Action, result: ActionResult) -> Iterator[tuple[httpx.Request, Reply]]:
    """Return each request that was sent with the answer that it got."""
    return zip(result.requests, EXCHANGES[action.key].in_order(), strict=True)


def failure(action: Action, response: httpx.Response | Any, kind: str = "", at: int = 0) -> IntegrationError:
    with pytest.raises(IntegrationError) as caught:
        run(action, response, kind, at)
    return caught.value


every_list_of_choices = pytest.mark.parametrize(
    ("action", "field"),
    [(action, name) for action in ACTIONS for name in action.options],
    ids=lambda value: getattr(value, "key", value),
)


@every_action
def test_its_sample_fits_its_output_schema(action: Action) -> None:
    schema = action.output_json_schema()
    if schema is not None:
        jsonschema.Draft202012Validator(schema).validate(action.sample)


@every_action
def test_its_examples_fit_its_input_schema(action: Action) -> None:
    schema = action.input_json_schema()
    for name, field in schema.get("properties", {}).items():
        whole = {**field, "$defs": schema.get("$defs", {})}
        for example in field.get("examples", ()):
            assert not list(jsonschema.Draft202012Validator(whole).iter_errors(example)), (
                f"{action.key} {name}: {example}"
            )


@every_http_action
def test_a_good_answer_gives_an_output_of_the_samples_shape(action: Action) -> None:
    assert action.key in EXCHANGES, f"{action.key} has no good exchange in tests/contract/exchanges/"
    for kind in kinds_of(action) or [""]:
        result = run_well(action, kind)
        output = result.output
        assert [str(sent.url) for sent, good in in_turn(action, result) if not good.is_to(sent)] == []
        assert json.loads(json.dumps(output)) == output
        assert isinstance(action.sample, dict)
        assert set(action.sample) <= set(output)
        if action.output_json_schema():
            jsonschema.Draft202012Validator(action.output_json_schema()).validate(output)


@every_request
def test_a_rejected_credential_is_an_auth_error(action: Action, at: int) -> None:
    error = failure(action, httpx.Response(401, json={"error": {"message": "no"}}), at=at)
    assert error.kind == "auth"
    assert not error.retryable


@every_request
def test_too_many_requests_are_tried_again_after_the_pause_that_was_asked_for(action: Action, at: int) -> None:
    error = failure(action, httpx.Response(429, json={}, headers={"Retry-After": "17"}), at=at)
    assert (error.kind, error.retryable) == ("rate_limited", True)
    assert getattr(error, "retry_after", None) == 17


@every_request
@pytest.mark.parametrize("status", [500, 502, 503, 529])
@pytest.mark.parametrize("body", [b"{}", b"<html>Bad gateway</html>", b""])
def test_a_fault_of_the_other_side_is_transient(action: Action, at: int, status: int, body: bytes) -> None:
    error = failure(action, httpx.Response(status, content=body), at=at)
    assert (error.kind, error.retryable) == ("transient", True)


@every_providers_request
@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"[]", b"{}", b'"text"', b"\xff\xfe", b'{"ok": tru'])
def test_a_malformed_answer_is_a_classified_error(action: Action, at: int, body: bytes) -> None:
    if body == b"[]" and isinstance(EXCHANGES[action.key].in_order()[at].answer, list):
        pytest.skip("an empty list is a good answer where a list is one")
    assert type(failure(action, httpx.Response(200, content=body), at=at)) is Permanent


@every_http_action
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_a_refusal_is_a_classified_error_with_a_message(action: Action, status: int) -> None:
    error = failure(action, httpx.Response(status, json={"error": {"message": "because"}}))
    assert error.kind in {"auth", "permanent", "transient", "input"}
    assert error.message


@every_http_action
def test_a_lost_answer_is_retried_only_where_that_is_safe(action: Action) -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone")

    inputs = action.validate_inputs(inputs_for(action))
    last = len(EXCHANGES[action.key].before)
    assert failure(action, lose, at=last).kind == ("transient" if action.repeatable(inputs) else "outcome_unknown")


def spellings() -> Iterator[str]:
    for value in (CANARY, CANARY.encode("ascii", "ignore").decode()):
        yield from (value, quote(value, safe=""), json.dumps(value)[1:-1])
        yield base64.b64encode(value.encode()).decode().rstrip("=")
    yield base64.b64encode(f"ada:{CANARY.encode('ascii', 'ignore').decode()}".encode()).decode().rstrip("=")


def assert_clean(*things: object) -> None:
    text = " ".join(repr(thing) + str(thing) for thing in things)
    assert not [spelling for spelling in spellings() if spelling in text]


def echo(status: int) -> Any:
    """Answer with everything that came, as a careless server does in its errors."""

    def answer(request: httpx.Request) -> httpx.Response:
        told = f"bad request: {request.url} {request.headers.multi_items()}"
        body = {"ok": False, "error": told, "message": told, "needed": told}
        if status != 200:
            body["error"] = {"message": told, "code": told, "type": told, "errors": [{"reason": told}]}  # type: ignore[assignment]
        return httpx.Response(status, json=body, headers={"X-Echo": told})

    return answer


@every_http_action
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 429, 500])
def test_no_error_log_or_representation_holds_the_secret(action: Action, status: int) -> None:
    for kind in kinds_of(action):
        settings = EXCHANGES[action.key].settings
        ctx, _ = make_context(
            action, inputs_for(action), auth=auth_for(action, kind), http=echo(status), settings=settings
        )
        assert_clean(ctx, ctx.auth, ctx.http, ctx.log, action, action.provider)
        try:
            run(action, echo(status), kind)
        except IntegrationError as error:
            assert_clean(error, error.message, error.hint, error.detail, vars(error), error.__cause__)
        assert_clean(*(line.text for line in ctx.log.lines))


@every_providers_action
def test_the_credential_goes_to_the_providers_hosts_alone(action: Action) -> None:
    root = base_url_for(action.provider, {}, EXCHANGES[action.key].settings)
    hosts = {httpx.URL(origin).host for origin in action.provider.credential_hosts(root)}
    result = run_well(action)
    assert {request.url.host for request in result.requests} <= hosts
    assert {request.url.scheme for request in result.requests} == {"https"}


@every_list_of_choices
@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (httpx.Response(401, json={"error": CANARY}), "auth"),
        (httpx.Response(429, json={"error": CANARY}), "rate_limited"),
        (httpx.Response(503, content=b"<html>"), "transient"),
        (httpx.Response(200, content=b"<html>"), "permanent"),
        (httpx.Response(200, json=[{"error": CANARY}]), "permanent"),
        (httpx.Response(200, json={"ok": True}), "permanent"),
    ],
    ids=["401", "429", "503", "not JSON", "a list", "nothing in it"],
)
def test_a_list_of_choices_that_fails_says_what_to_do_and_no_secret(
    action: Action, field: str, response: httpx.Response, kind: str
) -> None:
    for accepted in kinds_of(action):
        auth = auth_for(action, accepted)
        with pytest.raises(IntegrationError) as caught:
            run_options(
                action,
                field,
                inputs=inputs_for(action),
                auth=auth,
                http=[response],
                settings=EXCHANGES[action.key].settings,
            )
        error = caught.value
        assert error.kind == kind
        told = f"{error.message} {error.hint} {error.detail}"
        assert not any(value in told for name, value in auth.items() if name not in ("provider", "type", "username"))
