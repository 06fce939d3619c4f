"""An environment that runs one action in a test, without network, database or engine.

    result = run_action(send_message, {"channel": "#a", "text": "hi"}, auth={"token": "t"}, http=answer)

``http`` is a function from ``httpx.Request`` to ``httpx.Response``; a list of responses is answered in order. Every
request is recorded as it would go over the wire, credential included, in ``result.requests``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import httpx
from pydantic import BaseModel

from integrations.sdk.action import Action
from integrations.sdk.auth import Account, AuthContext, AuthView
from integrations.sdk.client import Answer, Flight, StepHttp, WireError
from integrations.sdk.context import Evaluator, LogLine, RunContext, StepLog
from integrations.sdk.decoding import read_decoded
from integrations.sdk.provider import Provider

Handler: TypeAlias = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(kw_only=True)
class FakeWire:
    """Asks a handler; a raised ``httpx.ConnectError`` is a request not sent, ``httpx.ReadError`` a lost answer."""

    handler: Handler
    requests: list[httpx.Request] = field(default_factory=list)

    async def exchange(self, request: httpx.Request, flight: Flight, max_bytes: int) -> Answer:
        self.requests.append(request)
        try:
            answered = self.handler(request)
            response = await answered if inspect.isawaitable(answered) else answered
        except httpx.TransportError as error:
            connected = not isinstance(error, _UNSENT)
            flight.sent = flight.sent or connected
            raise WireError(type(error).__name__, connected=connected) from None
        flight.sent = True
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = await read_decoded(response.stream, response.headers.get("content-encoding", ""), max_bytes)
        return Answer(response.status_code, response.headers.raw, body, response.reason_phrase)


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """What a test looks at: the output, the requests that were sent, and the log."""

    output: Any
    requests: Sequence[httpx.Request]
    logs: Sequence[LogLine]

    @property
    def request(self) -> httpx.Request:
        """Return the only request."""
        (request,) = self.requests
        return request


def answering(*responses: httpx.Response) -> Handler:
    """Return a handler that gives these answers in order; a further request is a failure of the test."""
    rest = iter(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        response = next(rest, None)
        assert response is not None, f"an unexpected request: {request.method} {request.url}"
        return response

    return answer


def make_context(
    action: Action,
    inputs: Mapping[str, Any] | BaseModel,
    *,
    auth: Mapping[str, Any] | None = None,
    http: Handler | Iterable[httpx.Response] = (),
    base_url: str = "",
    settings: Mapping[str, Any] | None = None,
    seconds: float = 30,
    attempt: int = 1,
    idempotency_key: str = "test-key",
    evaluator: Evaluator | None = None,
) -> tuple[RunContext[Any], FakeWire]:
    """Return the context in which ``action`` would run, and the wire that records its requests.

    ``auth`` is ``ctx.auth``; provider and type are filled in where left out. ``evaluator`` stands in for expressions
    over items: it is called with the input's name, the item and its index. Raises InputError and AuthError as the
    worker does before an action runs.
    """
    view = AuthView() if auth is None else AuthView(_completed(action, auth))
    action.check_auth(view)
    wire = FakeWire(handler=http if callable(http) else answering(*http))
    provider, root = action.provider, base_url or action.provider.base_url
    client = StepHttp(
        wire=wire,
        base_url=root,
        authorize=provider.authorizer(view, settings),
        auth_hosts=provider.credential_hosts(root) or None,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        idempotency_key=idempotency_key,
        secrets=view.secrets(),
    )
    return RunContext(
        inputs=inputs if isinstance(inputs, BaseModel) else action.validate_inputs(inputs),
        auth=view,
        client=lambda: client,
        log=StepLog(),
        tenant_id="tenant",
        run_id="run",
        step_key="step",
        attempt=attempt,
        idempotency_key=idempotency_key,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        evaluator=evaluator,
    ), wire


def run_action(
    action: Action,
    inputs: Mapping[str, Any] | BaseModel,
    *,
    auth: Mapping[str, Any] | None = None,
    http: Handler | Iterable[httpx.Response] = (),
    **options: Any,
) -> ActionResult:
    """Run one action to its end and return its output, its requests and its log. Raises what the action raises.

    ``options`` are those of ``make_context``.
    """
    ctx, wire = make_context(action, inputs, auth=auth, http=http, **options)
    output = asyncio.run(action.run(ctx))
    return ActionResult(output=output, requests=wire.requests, logs=ctx.log.lines)


def check_account(
    provider: Provider, auth: Mapping[str, Any], http: Handler | Iterable[httpx.Response]
) -> tuple[Account, Sequence[httpx.Request]]:
    """Run the test of a credential and return the account it found and the requests it sent."""
    view = AuthView({"provider": provider.key, **auth})
    wire = FakeWire(handler=http if callable(http) else answering(*http))
    client = StepHttp(
        wire=wire,
        base_url=provider.base_url,
        authorize=provider.authorizer(view),
        auth_hosts=provider.credential_hosts(),
        deadline=datetime.now(UTC) + timedelta(seconds=30),
        secrets=view.secrets(),
    )
    test = provider.auth_test(str(view["type"]))
    assert test is not None, f"{provider.key} has no test of its credential"

    async def run() -> Account:
        return await test(AuthContext(auth=view, http=client))

    return asyncio.run(run()), wire.requests


def _completed(action: Action, auth: Mapping[str, Any]) -> dict[str, Any]:
    return {"provider": action.provider.key, "type": action.auth_type, **auth}
