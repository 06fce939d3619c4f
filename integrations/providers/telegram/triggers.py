"""What is written to a Telegram bot and starts workflows: the bot's webhook, set and taken away as its workflow is.

Source: core.telegram.org/bots/api, Getting updates. A bot has one webhook. What it brings is signed by nobody: the
secret that was told with it comes along in a header. What is not taken is sent again for a while, under the same
update_id. Who sets a webhook anew gets what was written meanwhile, for a day.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from integrations.providers.telegram import telegram
from integrations.providers.telegram.actions import Chat
from integrations.providers.telegram.client import ask, bot_of, call
from integrations.sdk import (
    InputError,
    Item,
    NotFound,
    Permanent,
    RunContext,
    Subscription,
    WebhookContext,
    WebhookRequest,
    ui,
    webhook,
)
from integrations.words import gettext as _

HEADER: Final = "x-telegram-bot-api-secret-token"
KINDS: Final = ("message", "channel_post", "edited_message", "edited_channel_post")
_MARK: Final = 16


class MessageReceivedInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    chats: list[Annotated[str, StringConstraints(pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$")]] = Field(
        default=[],
        max_length=200,
        title="Chats",
        description="Their ids, or the @names of groups, channels and people. All if left empty.",
        examples=[["123456789", "@acme_news"]],
    )
    channels: bool = Field(
        default=False,
        title="What is posted in channels too",
        description="In those that the bot is an administrator of.",
        examples=[False],
        json_schema_extra=ui(advanced=True),
    )
    edited: bool = Field(
        default=False, title="Messages that are edited too", examples=[False], json_schema_extra=ui(advanced=True)
    )

    @property
    def kinds(self) -> list[str]:
        """Return the updates that are asked for."""
        found = ["message", *(["channel_post"] if self.channels else [])]
        return [*found, *(f"edited_{kind}" for kind in found if self.edited)]


class Sender(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int = Field(title="Id")
    is_bot: bool = Field(default=False, title="Is a bot")
    first_name: str = Field(default="", title="First name")


class MessageReceivedOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    update_id: int = Field(title="Update id")
    kind: str = Field(title="Kind", description="message, channel_post, edited_message or edited_channel_post.")
    message_id: int = Field(title="Message id", description="Identifies the message in its chat; reply to it by this.")
    date: int = Field(title="Sent at", description="In seconds since 1970, UTC.")
    chat: Chat = Field(title="Chat")
    sender: Sender | None = Field(default=None, alias="from", title="From", description="Null in channels.")
    text: str = Field(title="Text", description="Of a photo or a file its caption; empty where there is none.")


async def subscribe(ctx: RunContext[MessageReceivedInputs], address: str, secret: str) -> Subscription:
    """Have the bot call the address. Raises Permanent where it calls another one: that one would hear nothing more."""
    number, name = await bot_of(ctx.http)
    known = await _known(ctx)
    if known and not _is_at(known, address):
        raise _taken(name, known)
    # Each subscription's own, so that the end of an old one does not take a new one's away. Telegram says which bot.
    mark = hashlib.sha256(secret.encode()).hexdigest()[:_MARK]
    url = f"{address}?bot={number}&of={mark}"
    wanted = {"url": url, "secret_token": secret, "allowed_updates": ctx.inputs.kinds}
    await call(ctx.http, "setWebhook", wanted)
    return Subscription(id=str(number), state={"bot": name, "url": url})


async def renew(ctx: RunContext[MessageReceivedInputs], subscription: Subscription) -> Subscription:
    """Look whether the bot still calls the address. Raises NotFound where it calls none, Permanent for another."""
    known = await _known(ctx)
    if known == _url(subscription):
        return subscription
    if known and not _is_at(known, subscription.address):
        raise _taken(_name(subscription), known)
    raise NotFound(_("The bot calls nobody any more."))


async def unsubscribe(ctx: RunContext[MessageReceivedInputs], subscription: Subscription) -> None:
    """Take the webhook away, unless it is another's by now."""
    known = await _known(ctx)
    url = _url(subscription)
    if known and (known == url if url else _is_at(known, subscription.address)):
        await call(ctx.http, "deleteWebhook", {})


async def _known(ctx: RunContext[MessageReceivedInputs]) -> str:
    """Return the address that the bot calls, empty where it calls none."""
    response = await ask(ctx.http, "getWebhookInfo")
    told = response.json_object()["result"]
    if not isinstance(told, dict) or not isinstance(told.get("url"), str):
        raise response.unexpected()
    return str(told["url"])


def _is_at(url: str, address: str) -> bool:
    return url.partition("?")[0] == address


def _url(subscription: Subscription) -> str:
    return str(subscription.state.get("url") or "") if isinstance(subscription.state, dict) else ""


def _name(subscription: Subscription) -> str:
    return str(subscription.state.get("bot") or "") if isinstance(subscription.state, dict) else ""


def _taken(name: str, known: str) -> Permanent:
    # Its host alone: the rest of an address may be a secret.
    host = urlsplit(known).hostname or "?"
    return Permanent(
        _("The bot %(name)s calls another address already, at %(host)s, and a bot has one webhook.")
        % {"name": name, "host": host},
        hint=_("Switch off what uses it, perhaps another workflow, or make another bot with @BotFather."),
    )


def is_telegrams(ctx: WebhookContext[Any], request: WebhookRequest) -> bool:
    """Whether a request has the secret that was told with the webhook."""
    given = request.headers.get(HEADER, "")
    return bool(ctx.secret) and hmac.compare_digest(given.encode(), ctx.secret.encode())


def update_of(request: WebhookRequest) -> str | None:
    """Return what tells an update from all others: bots number theirs for themselves."""
    sent = request.json()
    number = sent.get("update_id") if isinstance(sent, dict) else None
    return f"{request.query.get('bot', '')}:{number}" if isinstance(number, int) else None


@webhook(
    provider=telegram,
    key="telegram.messageReceived",
    name="Message received",
    auth_type="api_key",
    input_schema=MessageReceivedInputs,
    output_schema=MessageReceivedOutput,
    sample={
        "update_id": 10000,
        "kind": "message",
        "message_id": 17,
        "date": 1772443800,
        "chat": {"id": 123456789, "type": "private", "first_name": "Ada", "username": "ada"},
        "from": {"id": 123456789, "is_bot": False, "first_name": "Ada", "username": "ada"},
        "text": "Where is my order?",
    },
    verify=is_telegrams,
    delivery=update_of,
    subscribe=subscribe,
    renew=renew,
    unsubscribe=unsubscribe,
    synonyms=("chat", "bot", "message", "group", "channel", "write", "webhook"),
)
def message_received(ctx: WebhookContext[MessageReceivedInputs], request: WebhookRequest) -> list[Item]:
    """Starts when somebody writes to the bot, or in a group that it is in."""
    sent: Any = request.json()
    delivery = update_of(request)
    if not isinstance(sent, dict) or delivery is None:
        raise InputError(_("This is no update of Telegram's: it has no id."))
    kind = next((kind for kind in KINDS if kind in sent), None)
    # What was asked for before may still come for a while.
    if kind not in ctx.inputs.kinds:
        return []
    message = sent[kind]
    chat = message.get("chat") if isinstance(message, dict) else None
    if not isinstance(chat, dict) or not all(isinstance(message.get(name), int) for name in ("message_id", "date")):
        raise InputError(_("This update of Telegram's holds no message."))
    if not _is_wanted(ctx.inputs.chats, chat):
        return []
    text = message.get("text") or message.get("caption") or ""
    return [Item(delivery, {**message, "update_id": sent["update_id"], "kind": kind, "text": text})]


def _is_wanted(chats: list[str], chat: dict[str, Any]) -> bool:
    names = {str(chat.get("id")), f"@{chat.get('username') or ''}".lower()}
    return not chats or any(each.lower() in names for each in chats)
