"""What can be done in Slack."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from integrations.providers.slack import slack
from integrations.providers.slack.client import CHANNELS_A_PAGE, ask, call, channels_of
from integrations.providers.slack.options import channels
from integrations.sdk import RateLimit, RunContext, action, collected, ui

SAMPLE_TS = "1503435956.000247"


class SendMessageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: str = Field(
        min_length=1,
        title="Channel",
        description="A channel's name or id, or a person's id.",
        examples=["#sales", "C1H9RESGL"],
    )
    text: str = Field(
        min_length=1,
        title="Message",
        description="Slack's own markup works. With blocks, this is the text of the notification.",
        examples=["New lead: Ada Lovelace"],
        json_schema_extra=ui(format="textarea"),
    )
    blocks: list[dict[str, JsonValue]] | None = Field(
        default=None,
        title="Blocks",
        description="A layout made in Slack's Block Kit Builder, as a list.",
        examples=[[{"type": "section", "text": {"type": "mrkdwn", "text": "*New lead*"}}]],
        json_schema_extra=ui(format="code", advanced=True),
    )
    attachments: list[dict[str, JsonValue]] | None = Field(
        default=None,
        title="Attachments",
        description="Older than blocks; kept for messages that already use them.",
        examples=[[{"color": "#36a64f", "text": "All good"}]],
        json_schema_extra=ui(format="code", advanced=True),
    )
    thread_ts: str | None = Field(
        default=None,
        title="Reply to",
        description="The time stamp (ts) of the message to reply to.",
        examples=[SAMPLE_TS],
        json_schema_extra=ui(advanced=True),
    )
    reply_broadcast: bool | None = Field(
        default=None,
        title="Show the reply in the channel too",
        examples=[False],
        json_schema_extra=ui(advanced=True, show_if="thread_ts"),
    )
    unfurl_links: bool | None = Field(
        default=None, title="Preview links", examples=[False], json_schema_extra=ui(advanced=True)
    )
    unfurl_media: bool | None = Field(
        default=None, title="Preview media", examples=[True], json_schema_extra=ui(advanced=True)
    )
    mrkdwn: bool | None = Field(
        default=None,
        title="Use Slack's markup",
        description="On unless switched off.",
        examples=[True],
        json_schema_extra=ui(advanced=True),
    )
    parse: Literal["none", "full"] | None = Field(
        default=None,
        title="Find links and names",
        description="Plain names and addresses become links.",
        examples=["none"],
        json_schema_extra=ui(advanced=True, words={"none": "None", "full": "All"}),
    )
    link_names: bool | None = Field(
        default=None, title="Link names", examples=[True], json_schema_extra=ui(advanced=True)
    )
    username: str | None = Field(
        default=None,
        title="Sender's name",
        description="Needs the scope chat:write.customize.",
        examples=["Deploy bot"],
        json_schema_extra=ui(advanced=True),
    )
    icon_emoji: str | None = Field(
        default=None, title="Sender's emoji", examples=[":rocket:"], json_schema_extra=ui(advanced=True)
    )
    icon_url: str | None = Field(
        default=None,
        title="Sender's picture",
        examples=["https://example.com/bot.png"],
        json_schema_extra=ui(format="uri", advanced=True),
    )


class SendMessageOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    ok: bool = Field(title="Sent")
    channel: str = Field(title="Channel id")
    ts: str = Field(title="Time stamp", description="Identifies the message; use it to reply in its thread.")
    message: dict[str, JsonValue] = Field(title="Message", description="The message as Slack stored it.")


@action(
    provider=slack,
    key="slack.sendMessage",
    scopes=("chat:write|chat:write:bot|chat:write:user",),
    name="Send message",
    auth_type="oauth2",
    input_schema=SendMessageInputs,
    # About one a second in a channel; short bursts are let through.
    rate_limit=RateLimit(requests=1, burst=30),
    rate_limit_key=lambda inputs: inputs.channel,
    output_schema=SendMessageOutput,
    sample={
        "ok": True,
        "channel": "C1H9RESGL",
        "ts": SAMPLE_TS,
        "message": {"type": "message", "text": "New lead: Ada Lovelace", "bot_id": "B19LU7CSY", "ts": SAMPLE_TS},
    },
    idempotent=False,
    effect="create",
    options={"channel": channels},
    synonyms=("post", "notify", "chat", "channel", "direct message", "tell"),
    summary=lambda output: f"to {output['channel']}",
)
async def send_message(ctx: RunContext[SendMessageInputs]) -> dict[str, Any]:
    """Post a message to a channel or a person."""
    response = await call(ctx.http, "chat.postMessage", ctx.inputs.model_dump(exclude_none=True))
    answer = response.json_object()
    if not isinstance(answer.get("channel"), str) or not isinstance(answer.get("ts"), str):
        raise response.unexpected()
    ctx.log(f"Sent to {answer['channel']}")
    return {**answer, "message": answer.get("message") or {}}


class ListChannelsInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kinds: Literal["public", "private", "both"] = Field(
        default="both",
        title="Which",
        description="Of the private ones those that the app is a member of.",
        examples=["public"],
        json_schema_extra=ui(words={"public": "Public", "private": "Private", "both": "Both"}),
    )
    include_archived: bool = Field(default=False, title="Archived ones too", examples=[False])
    limit: int = Field(default=200, ge=1, le=2000, title="At most", description="How many channels.", examples=[200])
    cursor: str | None = Field(
        default=None,
        min_length=1,
        title="Go on from",
        description="The next_cursor of an earlier list with the same inputs.",
        examples=["dGVhbTpDMDYxRkE1UEI="],
        json_schema_extra=ui(advanced=True),
    )

    def query(self, size: int, cursor: str | None) -> dict[str, str]:
        """Return the parameters of one page of at most ``size`` channels."""
        types = {"both": "public_channel,private_channel"}.get(self.kinds, f"{self.kinds}_channel")
        query = {"types": types, "exclude_archived": str(not self.include_archived).lower(), "limit": str(size)}
        return query | ({"cursor": cursor} if cursor else {})


class ListChannelsOutput(BaseModel):
    channels: list[dict[str, JsonValue]] = Field(title="Channels", description="As Slack describes them.")
    next_cursor: str | None = Field(default=None, title="Where to go on", description="Null where there are no more.")


@action(
    provider=slack,
    key="slack.listChannels",
    scopes=("channels:read|groups:read",),
    name="List channels",
    auth_type="oauth2",
    input_schema=ListChannelsInputs,
    output_schema=ListChannelsOutput,
    sample={
        "channels": [{"id": "C012AB3CD", "name": "general", "is_private": False, "is_archived": False}],
        "next_cursor": None,
    },
    idempotent=True,
    effect="search",
    synonyms=("find", "conversations", "rooms", "groups", "get"),
    summary=lambda output: f"{len(output['channels'])} channels",
)
async def list_channels(ctx: RunContext[ListChannelsInputs]) -> dict[str, Any]:
    """List the channels that the app can see, page by page until there are as many as asked for."""

    async def page(cursor: str | None, room: int) -> tuple[list[dict[str, Any]], str | None]:
        query = ctx.inputs.query(min(CHANNELS_A_PAGE, room), cursor)
        return channels_of(await ask(ctx.http, "conversations.list", query))

    # A page may have fewer than asked for, even none.
    found, following = await collected(page, most=ctx.inputs.limit, cursor=ctx.inputs.cursor)
    return {"channels": found, "next_cursor": following}
