"""An environment that runs one action in a test, without network, database or engine.

    result = run_action(send_message, {"channel": "#a", "text": "hi"}, auth={"token": "t"}, http=answer)

``http`` is a function from ``httpx.Request`` to ``httpx.Response``; a list of responses is answered in order. Every
request is recorded as it would go over the wire, credential included, in ``result.requests``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
from pydantic import BaseModel

from integrations.sdk.action import Action
from integrations.sdk.auth import Account, AuthContext, AuthView
from integrations.sdk.client import Answer, Flight, StepHttp, WireError
from integrations.sdk.context import Evaluator, LogLine, Report, RunContext, StepLog
from integrations.sdk.declaration import Declaration
from integrations.sdk.decoding import read_decoded
from integrations.sdk.options import Options, OptionsContext
from integrations.sdk.polling import Item, PollingTrigger
from integrations.sdk.provider import Provider
from integrations.sdk.state import MemoryStore, Store
from integrations.sdk.webhook import (
    Subscription,
    WebhookContext,
    WebhookReply,
    WebhookRequest,
    WebhookTrigger,
    subscribed,
)

if TYPE_CHECKING:
    from integrations.sdk.dialling import Dialler

Handler: TypeAlias = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(kw_only=True)
class FakeWire:
    """Asks a handler; a raised ``httpx.ConnectError`` is a request not sent, ``httpx.ReadError`` a lost answer."""

    handler: Handler
    requests: list[httpx.Request] = field(default_factory=list)

    async def exchange(self, request: httpx.Request, flight: Flight, max_bytes: int) -> Answer:
        self.requests.append(request)
        before = flight.sent
        try:
            answered = self.handler(request)
            # Whoever makes it wait for an answer has got it.
            flight.sent = flight.sent or inspect.isawaitable(answered)
            response = await answered if inspect.isawaitable(answered) else answered
        except httpx.TransportError as error:
            connected = not isinstance(error, _UNSENT)
            flight.sent = before or connected
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


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """What a test of a trigger looks at; ``cursor`` is for the next poll, as it was stored and read again."""

    items: Sequence[Item]
    cursor: Any
    more: bool
    requests: Sequence[httpx.Request]
    logs: Sequence[LogLine]


def answering(*responses: httpx.Response) -> Handler:
    """Return a handler that gives these answers in order; a further request is a failure of the test."""
    rest = iter(responses)

    def answer(request: httpx.Request) -> httpx.Response:
        response = next(rest, None)
        assert response is not None, f"an unexpected request: {request.method} {request.url}"
        return response

    return answer


def make_context(
    action: Declaration,
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
    dial: Dialler | None = None,
    store: Store | None = None,
    report: Report | None = None,
) -> tuple[RunContext[Any], FakeWire]:
    """Return the context in which an action or a trigger would run, and the wire that records its requests.

    ``inputs`` are the values themselves, of secret inputs too: only a step holds a credential's name there. ``auth`` is
    ``ctx.auth``; provider and type are filled in where left out. ``evaluator`` stands in for expressions
    over items: it is called with the input's name, the item and its index; ``dial`` for connections that are no HTTP.
    ``store`` is what ``ctx.state`` is kept in, a fresh one where it is left out; ``report`` hears ``ctx.progress``.
    Raises InputError and AuthError as the worker does before an action runs.
    """
    view = AuthView() if auth is None else AuthView(_completed(action, auth))
    action.check_auth(view)
    wire = FakeWire(handler=http if callable(http) else answering(*http))
    provider, root = action.provider, base_url or action.provider.root(settings or {})
    checked = inputs if isinstance(inputs, BaseModel) else action.validate_inputs(inputs)
    given = checked.model_dump(by_alias=True) if action.secret_inputs else {}
    client = StepHttp(
        wire=wire,
        base_url=root,
        authorize=provider.authorizer(view, settings),
        auth_hosts=provider.credential_hosts(root) or None,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        idempotency_key=idempotency_key,
        secrets=(*view.secrets(), *(str(given[name]) for name in action.secret_inputs if given.get(name))),
    )
    if isinstance(action, Action):
        client.idempotency_header = action.idempotency_header
    return RunContext(
        inputs=checked,
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
        settings=settings or {},
        dialler=dial,
        store=MemoryStore if store is None else lambda: store,
        report=report,
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


def run_poll(
    trigger: PollingTrigger,
    inputs: Mapping[str, Any] | BaseModel,
    *,
    cursor: Any = None,
    auth: Mapping[str, Any] | None = None,
    http: Handler | Iterable[httpx.Response] = (),
    **options: Any,
) -> PollResult:
    """Poll once and return what is new, the next cursor, the requests and the log. Raises what the trigger raises.

    ``cursor`` is what the poll before gave; ``options`` are those of ``make_context``.
    """
    ctx, wire = make_context(trigger, inputs, auth=auth, http=http, **options)
    found = asyncio.run(trigger.poll(ctx, cursor))
    kept = json.loads(json.dumps(found.cursor, allow_nan=False))
    return PollResult(items=found.items, cursor=kept, more=found.more, requests=wire.requests, logs=ctx.log.lines)


def run_webhook(
    trigger: WebhookTrigger,
    inputs: Mapping[str, Any],
    request: WebhookRequest,
    *,
    secret: str = "secret",  # noqa: S107  (of tests)
    state: Any = None,
) -> Sequence[Item] | WebhookReply:
    """Read a request as the web process does once it is verified: return what is new, or the answer to a handshake.

    Raises what the trigger raises.
    """
    ctx = WebhookContext(inputs=trigger.validate_inputs(inputs), secret=secret, state=state)
    reply = trigger.handshake(ctx, request) if trigger.handshake is not None else None
    return trigger.events(ctx, request) if reply is None else reply


def run_subscribe(
    trigger: WebhookTrigger,
    inputs: Mapping[str, Any] | BaseModel,
    *,
    address: str = "https://orchestrator.example.com/h/token",
    secret: str = "secret",  # noqa: S107  (of tests)
    known: Subscription | None = None,
    auth: Mapping[str, Any] | None = None,
    http: Handler | Iterable[httpx.Response] = (),
    **options: Any,
) -> tuple[Subscription, Sequence[httpx.Request]]:
    """Subscribe, or renew what is ``known``; return what the provider knows then, and the requests that were sent."""
    ctx, wire = make_context(trigger, inputs, auth=auth, http=http, **options)
    return asyncio.run(subscribed(trigger, ctx, address, secret, known)), wire.requests


def run_unsubscribe(
    trigger: WebhookTrigger,
    inputs: Mapping[str, Any] | BaseModel,
    subscription: Subscription,
    *,
    auth: Mapping[str, Any] | None = None,
    http: Handler | Iterable[httpx.Response] = (),
    **options: Any,
) -> Sequence[httpx.Request]:
    """Unsubscribe, and return the requests that were sent. Raises what the trigger raises."""
    ctx, wire = make_context(trigger, inputs, auth=auth, http=http, **options)
    assert trigger.unsubscribe is not None, f"{trigger.key} does not say how to unsubscribe"
    asyncio.run(trigger.unsubscribe(ctx, subscription))
    return wire.requests


def run_options(
    action: Action,
    field: str,
    *,
    query: str = "",
    cursor: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
    http: Handler | Iterable[httpx.Response] = (),
    base_url: str = "",
    settings: Mapping[str, Any] | None = None,
) -> tuple[Options, Sequence[httpx.Request]]:
    """List the choices of an action's field as the builder does; return them and the requests that were sent.

    ``inputs`` are what is filled in so far. Raises what the options function raises, and AuthError for a credential
    that the action does not take.
    """
    view = AuthView() if auth is None else AuthView(_completed(action, auth))
    action.check_auth(view)
    client, wire = _client(action.provider, view, http, base_url=base_url, settings=settings)
    context = OptionsContext(auth=view, http=client, inputs=dict(inputs or {}))

    async def run() -> Options:
        return await action.options[field](context, query, cursor)

    return asyncio.run(run()), wire.requests


def check_account(
    provider: Provider,
    auth: Mapping[str, Any],
    http: Handler | Iterable[httpx.Response],
    *,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Account, Sequence[httpx.Request]]:
    """Run the test of a credential and return the account it found and the requests it sent."""
    view = AuthView({"provider": provider.key, **auth})
    client, wire = _client(provider, view, http, settings=settings)
    test = provider.auth_test(str(view["type"]))
    assert test is not None, f"{provider.key} has no test of its credential"

    async def run() -> Account:
        return await test(AuthContext(auth=view, http=client, settings=settings or {}))

    return asyncio.run(run()), wire.requests


def _client(
    provider: Provider,
    view: AuthView,
    http: Handler | Iterable[httpx.Response],
    *,
    base_url: str = "",
    settings: Mapping[str, Any] | None = None,
) -> tuple[StepHttp, FakeWire]:
    """Return a client outside of any step, and the wire that records its requests."""
    wire = FakeWire(handler=http if callable(http) else answering(*http))
    root = base_url or provider.root(settings or {})
    return StepHttp(
        wire=wire,
        base_url=root,
        authorize=provider.authorizer(view, settings),
        auth_hosts=provider.credential_hosts(root),
        deadline=datetime.now(UTC) + timedelta(seconds=30),
        secrets=view.secrets(),
    ), wire


def _completed(action: Declaration, auth: Mapping[str, Any]) -> dict[str, Any]:
    return {"provider": action.provider.key, "type": action.auth_type, **auth}
