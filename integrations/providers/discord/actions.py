"""What can be done in Discord."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.discord import discord
from integrations.providers.discord.client import post_message
from integrations.providers.discord.options import channels
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

MAX_CONTENT: Final = 2000
MAX_EMBEDS: Final = 10
_NONCE: Final = 25
_SUPPRESS_EMBEDS: Final = 1 << 2
_SILENT: Final = 1 << 12
_MENTIONS: Final = {"everyone": ["users", "roles", "everyone"], "people": ["users"], "nobody": []}


def _text(value: object) -> object:
    """An id that an earlier step gives as a number is taken as well."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Snowflake = Annotated[str, BeforeValidator(_text)]


class SendMessageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel_id: Snowflake = Field(
        pattern=r"^[0-9]{1,20}$",
        title="Channel",
        description="The id of a channel or a thread. In Discord, with developer mode on: Copy channel ID.",
        examples=["1034567890123456789"],
    )
    content: str | None = Field(
        default=None,
        max_length=MAX_CONTENT,
        title="Message",
        description="At most 2,000 characters. Discord's own markdown works.",
        examples=["New lead: Ada Lovelace"],
        json_schema_extra=ui(format="textarea"),
    )
    embeds: list[dict[str, JsonValue]] | None = Field(
        default=None,
        max_length=MAX_EMBEDS,
        title="Embeds",
        description="At most ten cards with a title, a description, fields and a colour.",
        examples=[[{"title": "New lead", "description": "Ada Lovelace", "color": 3447003}]],
        json_schema_extra=ui(format="code", advanced=True),
    )
    mentions: Literal["everyone", "people", "nobody"] = Field(
        default="people",
        title="Who may be notified",
        description="By the names in the message.",
        examples=["people"],
        json_schema_extra=ui(
            advanced=True, words={"everyone": "Everyone, roles too", "people": "People alone", "nobody": "Nobody"}
        ),
    )
    reply_to: Snowflake | None = Field(
        default=None,
        pattern=r"^[0-9]{1,20}$",
        title="Reply to",
        description="The id of the message to reply to, in the same channel.",
        examples=["1034567890123456790"],
        json_schema_extra=ui(advanced=True),
    )
    silent: bool = Field(
        default=False,
        title="Without a sound",
        description="Nobody gets a notification on their device.",
        examples=[False],
        json_schema_extra=ui(advanced=True),
    )
    suppress_embeds: bool = Field(
        default=False, title="No previews of links", examples=[False], json_schema_extra=ui(advanced=True)
    )
    tts: bool = Field(default=False, title="Read aloud", examples=[False], json_schema_extra=ui(advanced=True))

    @model_validator(mode="after")
    def something_to_say(self) -> Self:
        if not (self.content or "").strip() and not self.embeds:
            raise ValueError(_("give the message a text or an embed"))
        return self

    def payload(self, nonce: str) -> dict[str, Any]:
        """Return the body of the request. Discord gives the first message back if one comes again soon."""
        body = self.model_dump(exclude_none=True, include={"content", "embeds"}, mode="json")
        body |= {"allowed_mentions": {"parse": _MENTIONS[self.mentions]}, "nonce": nonce, "enforce_nonce": True}
        if self.reply_to:
            body["message_reference"] = {"message_id": self.reply_to}
        flags = (_SILENT if self.silent else 0) | (_SUPPRESS_EMBEDS if self.suppress_embeds else 0)
        return body | ({"flags": flags} if flags else {}) | ({"tts": True} if self.tts else {})


class SendMessageOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Message id", description="Identifies the message; use it to reply to it.")
    channel_id: str = Field(title="Channel id")
    content: str = Field(title="Message")
    timestamp: str = Field(title="Sent at")


@action(
    provider=discord,
    key="discord.sendMessage",
    name="Send message",
    auth_type="api_key",
    input_schema=SendMessageInputs,
    output_schema=SendMessageOutput,
    sample={
        "id": "1034567890123456790",
        "channel_id": "1034567890123456789",
        "content": "New lead: Ada Lovelace",
        "timestamp": "2026-03-02T09:30:00.123000+00:00",
        "author": {"id": "1034567890123456788", "username": "lead-bot", "bot": True},
    },
    # The nonce is remembered for some minutes only, and a workflow may be tried again much later.
    idempotent=False,
    effect="create",
    options={"channel_id": channels},
    synonyms=("post", "notify", "chat", "channel", "server", "bot", "tell"),
    summary=lambda output: f"to {output['channel_id']}",
)
async def send_message(ctx: RunContext[SendMessageInputs]) -> dict[str, Any]:
    """Post a message to a channel, as a bot."""
    nonce = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:_NONCE]
    response = await post_message(ctx.http, ctx.inputs.channel_id, ctx.inputs.payload(nonce))
    answer = response.json_object()
    if not isinstance(answer.get("id"), str) or not isinstance(answer.get("channel_id"), str):
        raise response.unexpected()
    ctx.log(f"Sent as {answer['id']}")
    return {**answer, "content": str(answer.get("content") or ""), "timestamp": str(answer.get("timestamp") or "")}
