"""What an action makes of each kind of answer, tried with its exchange: the rows that every action keeps to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from pydantic import ValidationError

from integrations.sdk.action import Action
from integrations.sdk.errors import IntegrationError
from integrations.sdk.exchange import Exchange
from integrations.sdk.testing import run_action

# Long enough to be found again, and of characters that every header carries.
CANARY: Final = "canary-f00d-0123456789"
_SECRETS: Final[Mapping[str, Mapping[str, str]]] = {
    "oauth2": {"access_token": CANARY},
    "api_key": {"api_key": CANARY},
    "bearer_token": {"token": CANARY},
    "basic": {"username": "ada", "password": CANARY},
}


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One kind of bad answer, and the kind of error that it must become."""

    told: str
    kind: str
    answer: Callable[[], httpx.Response]
    of_content: bool = True


_ROWS: Final = (
    _Row(told="401", kind="auth", answer=lambda: httpx.Response(401, json={"error": {"message": CANARY}})),
    _Row(told="429", kind="rate_limited", answer=lambda: httpx.Response(429, json={}, headers={"Retry-After": "17"})),
    _Row(told="500", kind="transient", answer=lambda: httpx.Response(500, content=b"")),
    _Row(told="503", kind="transient", answer=lambda: httpx.Response(503, content=b"<html>Bad gateway</html>")),
    _Row(told="HTML", kind="permanent", answer=lambda: httpx.Response(200, content=b"<html>"), of_content=False),
    _Row(told="{}", kind="permanent", answer=lambda: httpx.Response(200, content=b"{}"), of_content=False),
    _Row(told="[]", kind="permanent", answer=lambda: httpx.Response(200, content=b"[]"), of_content=False),
)


def replay_problem(action: Action, exchange: Exchange) -> str:
    """Return what is wrong with the exchange as a good call of the action; empty where all is well."""
    try:
        output = _run(action, exchange, exchange.answers())
    except IntegrationError as error:
        return f"its exchange fails: {error.message}"
    except (AssertionError, Exception) as error:
        return f"its exchange fails: {type(error).__name__}"
    if json.loads(json.dumps(output)) != output:
        return "its output is no JSON"
    if action.output_schema is not None:
        try:
            action.output_schema.model_validate(output)
        except ValidationError as error:
            where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
            return f"its output does not fit its output_schema: {where}"
    return ""


def contract_problems(action: Action, exchange: Exchange) -> Iterator[str]:
    """Yield each row that an action does not keep to: what was answered, and what it became."""
    problem = replay_problem(action, exchange)
    if problem:
        yield problem
        return
    for at, reply in enumerate(exchange.in_order()):
        # Where a list is the answer, an empty one says that nothing was found.
        fits = ("[]",) if isinstance(reply.answer, list) else ()
        for row in _ROWS:
            if row.told in fits or (row.kind == "permanent" and (action.any_provider or exchange.is_content(at))):
                continue
            became = _became(action, exchange, row, at)
            if became != row.kind:
                yield f"request {at + 1} answered with {row.told} becomes {became or 'a success'}, not {row.kind}"


def _became(action: Action, exchange: Exchange, row: _Row, at: int) -> str:
    try:
        _run(action, exchange, [*exchange.answers()[:at], row.answer()])
    except IntegrationError as error:
        told = f"{error.message} {error.hint} {error.detail}"
        return f"{error.kind} with the secret in its text" if CANARY in told else error.kind
    except Exception as error:
        return type(error).__name__
    return ""


def _run(action: Action, exchange: Exchange, answers: list[httpx.Response]) -> Any:
    kind = next((kind for kind in _SECRETS if kind in action.accepted_auth), None)
    auth = None if kind is None else {"type": kind, **_SECRETS[kind]}
    return run_action(action, exchange.inputs_for(action), auth=auth, http=answers, settings=exchange.settings).output
