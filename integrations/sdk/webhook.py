"""Triggers that the other side calls: one decorated function each, and what makes the provider call it.

    @webhook(
        provider=acme, key="acme.newOrder", name="New order", auth_type="api_key", input_schema=NewOrderInputs,
        verify=Hmac(header="X-Acme-Signature"), delivery="X-Acme-Delivery",
        subscribe=subscribe, unsubscribe=unsubscribe,
    )
    def new_order(ctx: WebhookContext[NewOrderInputs], request: WebhookRequest) -> list[Item]:
        order = request.json()
        return [Item(order["id"], order)] if order["kind"] in ctx.inputs.kinds else []

    async def subscribe(ctx: RunContext[NewOrderInputs], address: str, secret: str) -> Subscription:
        made = (await ctx.http.post("hooks", json={"url": address, "secret": secret})).raise_for_status().json()
        return Subscription(id=str(made["id"]))

    async def unsubscribe(ctx: RunContext[NewOrderInputs], subscription: Subscription) -> None:
        (await ctx.http.delete(f"hooks/{subscription.id}")).raise_for_status()

The decorated function, ``verify``, ``handshake`` and ``delivery`` are plain functions that only look at a request: they
run while its sender waits, within two seconds, and reach neither network nor database. ``subscribe``, ``renew`` and
``unsubscribe`` are async and run in a worker, with the trigger's credential, and again after a failure.
"""

from __future__ import annotations

import inspect
import json as jsonlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar, Unpack
from urllib.parse import parse_qs

from pydantic import BaseModel

from integrations.sdk.context import InputsT, RunContext
from integrations.sdk.declaration import About, Declaration, argument_problem, declare, parts_of, secret_problem
from integrations.sdk.errors import InputError
from integrations.sdk.polling import MAX_ID, Item
from integrations.sdk.provider import Provider
from integrations.sdk.types import AuthType, JSONValue
from integrations.words import gettext as _

# Events that one request may bring; a provider that sends more is refused.
MAX_EVENTS: Final = 100
METHODS: Final = ("GET", "POST", "PUT", "PATCH")
# Signatures whose form is fixed; ``none`` for a provider that signs nothing, so that its address alone is the secret.
PRESETS: Final = ("standard_webhooks", "github", "stripe", "slack", "none")

ModelT = TypeVar("ModelT", bound=BaseModel)
Preset: TypeAlias = Literal["standard_webhooks", "github", "stripe", "slack", "none"]


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """A request to a trigger's address; names of ``headers`` are in lower case, ``body`` is what came, byte by byte."""

    method: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, JSONValue] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as JSON. Raises InputError for one that is none."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            raise InputError(_("The body is no JSON.")) from None

    def form(self) -> dict[str, str]:
        """Return the fields of a form's body, of each the first value. Raises InputError for far too many."""
        try:
            found = parse_qs(self.text, keep_blank_values=True, max_num_fields=2_000)
        except ValueError:
            raise InputError(_("The body has more fields than are taken.")) from None
        return {name: values[0] for name, values in found.items()}


@dataclass(frozen=True, kw_only=True)
class WebhookContext(Generic[InputsT]):
    """The trigger that a request is for: its checked ``inputs``, the ``secret`` that its sender shares, and the
    ``state`` that its subscription has.
    """

    inputs: InputsT
    secret: str = field(default="", repr=False)
    state: JSONValue = None


@dataclass(frozen=True, kw_only=True)
class WebhookReply:
    """The answer to a handshake: a text, or JSON. Nothing that a browser runs is sent."""

    body: JSONValue = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Hmac:
    """A signature over the body: where it stands, and how it is written. With ``timestamp_header`` over
    ``timestamp.body``, and refused ``tolerance`` seconds later.
    """

    header: str
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    timestamp_header: str | None = None
    tolerance: int = 300


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """What the provider knows of a trigger: ``id`` is its own, ``state`` JSON that holds no secret.

    ``expires_at`` is aware; ``renew`` is called before it. ``secret`` is for a provider that gives one of its own: it
    is sealed, and given back to nobody but those who check requests. Where ``id`` is empty nobody knows whether the
    provider was told, since whoever told it died: look for ``address`` at the provider.
    """

    id: str = ""
    state: JSONValue = None
    expires_at: datetime | None = None
    secret: str = field(default="", repr=False)
    address: str = field(default="", repr=False)


Events: TypeAlias = Item | BaseModel | Mapping[str, Any] | Iterable[Item | BaseModel | Mapping[str, Any]] | None
Parse: TypeAlias = Callable[[WebhookContext[ModelT], WebhookRequest], Events]
VerifyFunction: TypeAlias = Callable[[WebhookContext[Any], WebhookRequest], bool]
Handshake: TypeAlias = Callable[[WebhookContext[Any], WebhookRequest], WebhookReply | None]
Delivery: TypeAlias = str | Callable[[WebhookRequest], str | None]
Subscribe: TypeAlias = Callable[[RunContext[Any], str, str], Coroutine[Any, Any, Subscription]]
Renew: TypeAlias = Callable[[RunContext[Any], Subscription], Coroutine[Any, Any, Subscription]]
Unsubscribe: TypeAlias = Callable[[RunContext[Any], Subscription], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class WebhookTrigger(Declaration):
    """A declared trigger. ``trigger.events(ctx, request)`` gives what a request says is new.

    ``verify`` is who may send: a preset's name, an Hmac or a function, which gives False for a request to refuse.
    ``handshake`` answers a provider that first asks whether somebody is there, and gives None for any other request;
    with ``handshake_first`` it is asked before ``verify``. ``delivery`` names the header, or is a function, by which a
    request that is sent again is told; a preset's own where it is left out. Without ``subscribe`` a person enters
    address and secret at the provider, as ``help`` says; where a credential is required, the secret is the provider's
    own and in there.
    """

    verify: Preset | Hmac | VerifyFunction
    methods: tuple[str, ...]
    handshake: Handshake | None
    handshake_first: bool
    delivery: Delivery | None
    subscribe: Subscribe | None
    renew: Renew | None
    unsubscribe: Unsubscribe | None
    help: str

    @property
    def has_their_secret(self) -> bool:
        """Whether its credential holds what the provider signs with, which nobody chooses here."""
        return self.subscribe is None and self.auth_required

    def events(self, ctx: WebhookContext[Any], request: WebhookRequest) -> list[Item]:
        """Return what is new, its data as JSON; an empty id where the function gave none.

        Raises what the function raises, TypeError for another result.
        """
        found = self.function(ctx, request)
        listed = [] if found is None else [found] if isinstance(found, Item | BaseModel | Mapping) else list(found)
        return [self._item(each) for each in listed]

    def _item(self, found: Any) -> Item:
        identity, data = (found.id, found.data) if isinstance(found, Item) else ("", found)
        if isinstance(found, Item) and (not isinstance(identity, str) or not 0 < len(identity) <= MAX_ID):
            raise TypeError(f"an item's id is a text of 1 to {MAX_ID:,} characters")
        if isinstance(data, BaseModel):
            data = data.model_dump(mode="json", by_alias=True)
        if not isinstance(found, Item) and not isinstance(data, Mapping):
            raise TypeError(f"{self.key} gave something else than Items and objects")
        return Item(identity, dict(data) if isinstance(data, Mapping) else data)

    def delivery_of(self, request: WebhookRequest) -> str | None:
        """Return what the sender calls a request, where the declaration says how; None where it does not."""
        if self.delivery is None:
            return None
        found = request.headers.get(self.delivery.lower()) if isinstance(self.delivery, str) else self.delivery(request)
        return found or None


async def subscribed(
    trigger: WebhookTrigger, ctx: RunContext[Any], address: str, secret: str, known: Subscription | None = None
) -> Subscription:
    """Subscribe, or renew what is ``known``. Raises what the functions raise, TypeError for another result."""
    if known is not None and trigger.renew is not None:
        made = await trigger.renew(ctx, known)
    elif trigger.subscribe is not None:
        made = await trigger.subscribe(ctx, address, secret)
    else:
        raise TypeError(f"{trigger.key} subscribes to nothing")
    if not isinstance(made, Subscription) or not isinstance(made.id, str) or not made.id:
        raise TypeError(f"{trigger.key} gave something else than a Subscription with an id")
    if made.expires_at is not None and made.expires_at.tzinfo is None:
        raise TypeError(f"{trigger.key} gave an expires_at without a time zone")
    return replace(made, address=address)


def webhook(
    *,
    provider: Provider,
    key: str,
    name: str,
    auth_type: AuthType,
    input_schema: type[ModelT],
    verify: Preset | Hmac | VerifyFunction,
    methods: Sequence[str] = ("POST",),
    handshake: Handshake | None = None,
    handshake_first: bool = False,
    delivery: Delivery | None = None,
    subscribe: Subscribe | None = None,
    renew: Renew | None = None,
    unsubscribe: Unsubscribe | None = None,
    help: str = "",  # noqa: A002  (what a person reads)
    **about: Unpack[About],
) -> Callable[[Parse[ModelT]], WebhookTrigger]:
    """Declare the decorated function a trigger; its docstring's first paragraph becomes the description.

    ``output_schema`` and ``sample`` are of one event. Raises DeclarationError, naming the place, when the declaration
    cannot be right.
    """

    def decorate(function: Parse[ModelT]) -> WebhookTrigger:
        looked = {"function": function, "handshake": handshake, "verify": verify, "delivery": delivery}
        told = {"subscribe": subscribe, "renew": renew, "unsubscribe": unsubscribe}
        parts = parts_of(
            "trigger",
            function,
            about,
            provider=provider,
            key=key,
            name=name,
            auth_type=auth_type,
            input_schema=input_schema,
            problems=lambda: _problems(key, input_schema, verify, methods, looked, told),
        )
        declared = WebhookTrigger(
            **parts,
            verify=verify,
            methods=tuple(methods),
            handshake=handshake,
            handshake_first=handshake_first,
            delivery=delivery,
            subscribe=subscribe,
            renew=renew,
            unsubscribe=unsubscribe,
            help=help,
        )
        declare(function, declared)
        return declared

    return decorate


_ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "function": ("ctx", "request"),
        "handshake": ("ctx", "request"),
        "verify": ("ctx", "request"),
        "delivery": ("request",),
        "subscribe": ("ctx", "address", "secret"),
        "renew": ("ctx", "subscription"),
        "unsubscribe": ("ctx", "subscription"),
    }
)


def _problems(
    key: str,
    input_schema: type[BaseModel],
    verify: object,
    methods: Sequence[str],
    looked: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Iterator[str]:
    yield from secret_problem(key, input_schema)
    if not callable(verify) and not isinstance(verify, Hmac) and verify not in PRESETS:
        yield f"verify of {key!r} must be one of {', '.join(PRESETS)}, an Hmac or a function"
    if not methods or any(method not in METHODS for method in methods):
        yield f"methods of {key!r} must be some of {', '.join(METHODS)}"
    for name, function in (*looked.items(), *told.items()):
        if not callable(function):
            continue
        yield from argument_problem(f"{name} of {key!r}", function, _ARGUMENTS[name])
        if (name in told) != inspect.iscoroutinefunction(function):
            yield f"{name} of {key!r} must be {'an async' if name in told else 'a plain'} function"
    if told["unsubscribe"] is None and told["subscribe"] is not None:
        yield f"{key!r} subscribes, so it must also say how to unsubscribe"
    if told["subscribe"] is None and (told["renew"] or told["unsubscribe"]):
        yield f"{key!r} says how to renew or unsubscribe what it never subscribes to"
