"""What is written in Slack and starts workflows: events of an app, which a person sets up at Slack.

Source: docs.slack.dev, the pages on the Events API, on its request URLs and on verifying requests. Slack waits three
seconds for an answer, and sends what was not taken three times more, within an hour, under the same event_id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from integrations.providers.slack import slack
from integrations.sdk import InputError, Item, WebhookContext, WebhookReply, WebhookRequest, ui, webhook
from integrations.words import gettext as _

# A message of one of these is one that somebody wrote; others tell that one was changed, that somebody joined and such.
WRITTEN: Final = frozenset({None, "file_share", "thread_broadcast", "me_message"})
BY_BOTS: Final = "bot_message"
_CHANNEL: Final = r"^[CDG][A-Z0-9]{2,30}$"


class NewMessageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channels: list[Annotated[str, StringConstraints(pattern=_CHANNEL)]] = Field(
        default=[],
        max_length=200,
        title="Channels",
        description="Ids such as C012AB3CD, from the end of a channel's details. All that the app is in if left empty.",
        examples=[["C012AB3CD"]],
    )
    replies: bool = Field(
        default=True, title="Replies in threads too", examples=[True], json_schema_extra=ui(advanced=True)
    )
    bots: bool = Field(
        default=False,
        title="Messages of other bots too",
        description="Those of the app itself never start anything.",
        examples=[False],
        json_schema_extra=ui(advanced=True),
    )


class NewMessageOutput(BaseModel):
    event_id: str = Field(title="Event id")
    team: str | None = Field(title="Workspace")
    channel: str = Field(title="Channel id")
    channel_type: str | None = Field(title="Kind of channel", description="channel, group, im or mpim.")
    user: str | None = Field(title="Who wrote it", description="Slack's id; null for a bot without one.")
    text: str = Field(title="Text")
    ts: str = Field(title="Time stamp", description="Identifies the message in its channel; reply to it by this.")
    thread_ts: str | None = Field(title="Thread", description="The time stamp of the message that this one answers.")
    event: dict[str, JsonValue] = Field(title="Event", description="All that Slack tells of it.")


def answer_challenge(ctx: WebhookContext[NewMessageInputs], request: WebhookRequest) -> WebhookReply | None:
    """Answer the request by which Slack tries an address that is entered."""
    sent = request.json()
    if not isinstance(sent, dict) or sent.get("type") != "url_verification":
        return None
    return WebhookReply(body={"challenge": sent.get("challenge")})


_SAMPLE: Final[dict[str, JsonValue]] = {
    "type": "message",
    "channel": "C012AB3CD",
    "channel_type": "channel",
    "user": "U061F7AUR",
    "text": "The export is empty again",
    "ts": "1772443800.000100",
    "event_ts": "1772443800.000100",
}


@webhook(
    provider=slack,
    key="slack.newMessage",
    name="New message",
    auth_type="api_key",
    accepted_auth=("api_key",),
    input_schema=NewMessageInputs,
    output_schema=NewMessageOutput,
    sample={
        "event_id": "Ev0PV52K25",
        "team": "T1H9RESGL",
        "channel": "C012AB3CD",
        "channel_type": "channel",
        "user": "U061F7AUR",
        "text": "The export is empty again",
        "ts": "1772443800.000100",
        "thread_ts": None,
        "event": _SAMPLE,
    },
    verify="slack",
    handshake=answer_challenge,
    help=(
        "In your Slack app's settings (api.slack.com/apps) under Event Subscriptions: switch events on, enter this "
        "address as the Request URL, subscribe to the bot events message.channels, message.groups or message.im, save, "
        "and install the app again. Then invite it to its channels: /invite @your-app."
    ),
    synonyms=("chat", "channel", "message", "post", "mention", "webhook"),
)
def new_message(ctx: WebhookContext[NewMessageInputs], request: WebhookRequest) -> list[Item]:
    """Starts when somebody writes in a channel that the Slack app is in."""
    sent: Any = request.json()
    if not isinstance(sent, dict) or not isinstance(sent.get("type"), str):
        raise InputError(_("This is no event of Slack's: it has no type."))
    event = sent.get("event")
    if sent["type"] != "event_callback" or not isinstance(event, dict) or event.get("type") != "message":
        return []
    number, channel, stamp = sent.get("event_id"), event.get("channel"), event.get("ts")
    if not all(isinstance(each, str) and each for each in (number, channel, stamp)):
        raise InputError(_("This message of Slack's has no id, no channel or no time stamp."))
    if not _is_wanted(ctx.inputs, sent, event):
        return []
    data = {
        "event_id": number,
        "team": event.get("team") or sent.get("team_id"),
        "channel": channel,
        "channel_type": event.get("channel_type"),
        "user": event.get("user"),
        "text": event.get("text") or "",
        "ts": stamp,
        "thread_ts": event.get("thread_ts"),
        "event": event,
    }
    return [Item(str(number), data)]


def _is_wanted(inputs: NewMessageInputs, sent: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    is_by_bot = bool(event.get("bot_id")) or event.get("subtype") == BY_BOTS
    if event.get("subtype") not in WRITTEN and not is_by_bot:
        return False
    if is_by_bot and (not inputs.bots or event.get("subtype") not in {*WRITTEN, BY_BOTS}):
        return False
    # A reply's thread_ts is another message's; that of a message with replies is its own.
    is_reply = event.get("thread_ts") not in (None, event.get("ts"))
    if (is_reply and not inputs.replies) or _is_own(sent, event):
        return False
    return not inputs.channels or event.get("channel") in inputs.channels


def _is_own(sent: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether the app wrote it itself: answered, its own messages would start it for ever."""
    profile, rows = event.get("bot_profile"), sent.get("authorizations")
    apps = {event.get("app_id"), profile.get("app_id") if isinstance(profile, dict) else None} - {None}
    users = {row.get("user_id") for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()
    return sent.get("api_app_id") in apps or (bool(event.get("bot_id")) and event.get("user") in users - {None})
