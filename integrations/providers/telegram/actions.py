"""What can be done in Telegram."""

from __future__ import annotations

import html
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.telegram import telegram
from integrations.providers.telegram.client import call, upload
from integrations.sdk import FileValue, RateLimit, RunContext, action, ui
from integrations.sdk.client import Response
from integrations.sdk.files import FORMAT, file_if_one
from integrations.words import gettext as _

# In UTF-16 units, as Telegram counts: most emoji are two.
MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_PHOTO_BYTES: Final = 10 * 1024 * 1024
_TAG: Final = re.compile(r"<[^<>]*>")
Markup = Literal["HTML", "MarkdownV2", "Markdown"]


def _text(value: object) -> object:
    """An id that an earlier step gives as a number is taken as well."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def units(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def too_long(text: str, markup: str | None, most: int) -> bool:
    """Whether a text is surely too long. Markup does not count, and what is left of Markdown only Telegram knows."""
    if markup == "HTML":
        text = html.unescape(_TAG.sub("", text))
    return markup in (None, "HTML") and units(text) > most


# About one message a second in a chat; short bursts are let through.
CHAT_LIMIT: Final = RateLimit(requests=1, burst=20)


class _Sent(BaseModel):
    """What a message and a photo have in common."""

    model_config = ConfigDict(extra="forbid")

    chat_id: Annotated[str, BeforeValidator(_text)] = Field(
        pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})$",
        title="Chat",
        description="The id of a chat with the bot, or the @name of a channel or group.",
        examples=["123456789", "@acme_news"],
    )
    parse_mode: Markup | None = Field(
        default=None,
        title="Markup",
        description="How bold text, links and the like are written. Plain text if left out.",
        examples=["HTML"],
        json_schema_extra=ui(advanced=True, words={"MarkdownV2": "Markdown", "Markdown": "Markdown, the old kind"}),
    )
    disable_notification: bool | None = Field(
        default=None, title="Without a sound", examples=[True], json_schema_extra=ui(advanced=True)
    )
    protect_content: bool | None = Field(
        default=None, title="Not to be forwarded or saved", examples=[True], json_schema_extra=ui(advanced=True)
    )
    message_thread_id: int | None = Field(
        default=None,
        title="Topic",
        description="The id of a topic of a group that has topics.",
        examples=[42],
        json_schema_extra=ui(advanced=True),
    )
    reply_to: int | None = Field(
        default=None,
        ge=1,
        title="Reply to",
        description="The id of the message to reply to, in the same chat.",
        examples=[17],
        json_schema_extra=ui(advanced=True),
    )
    reply_markup: dict[str, JsonValue] | None = Field(
        default=None,
        title="Buttons",
        description="A keyboard, as Telegram describes it under InlineKeyboardMarkup.",
        examples=[{"inline_keyboard": [[{"text": "Open", "url": "https://example.com"}]]}],
        json_schema_extra=ui(format="json", advanced=True),
    )

    def shared(self, *own: str) -> dict[str, Any]:
        """Return the fields of the request that go out as they are, ``own`` among them."""
        body = self.model_dump(exclude_none=True, exclude={"reply_to", *own}, mode="json")
        return body | ({"reply_parameters": {"message_id": self.reply_to}} if self.reply_to is not None else {})


class SendMessageInputs(_Sent):
    text: str = Field(
        min_length=1,
        title="Message",
        description="At most 4,096 characters; an emoji counts as two.",
        examples=["New lead: Ada Lovelace"],
        json_schema_extra=ui(format="textarea"),
    )
    disable_link_preview: bool = Field(
        default=False, title="No previews of links", examples=[True], json_schema_extra=ui(advanced=True)
    )

    @model_validator(mode="after")
    def of_a_length_that_telegram_takes(self) -> Self:
        if too_long(self.text, self.parse_mode, MAX_TEXT):
            raise ValueError(_("the text is longer than the 4,096 characters that Telegram takes: shorten or split it"))
        return self

    def payload(self) -> dict[str, Any]:
        body = self.shared("disable_link_preview")
        return body | ({"link_preview_options": {"is_disabled": True}} if self.disable_link_preview else {})


class SendPhotoInputs(_Sent):
    photo: Annotated[FileValue | Annotated[str, Field(min_length=1)], BeforeValidator(file_if_one)] = Field(
        title="Photo",
        description="A file of an earlier step (at most 10 MB), the public address of a picture (at most 5 MB), or the "
        "file id of one that was sent before.",
        examples=["https://example.com/chart.png"],
        json_schema_extra=ui(format=FORMAT),
    )
    caption: str | None = Field(
        default=None,
        title="Caption",
        description="At most 1,024 characters; an emoji counts as two.",
        examples=["Sales this week"],
        json_schema_extra=ui(format="textarea"),
    )
    show_caption_above_media: bool | None = Field(
        default=None, title="Caption above the photo", examples=[True], json_schema_extra=ui(advanced=True)
    )
    has_spoiler: bool | None = Field(
        default=None, title="Hidden until it is pressed", examples=[True], json_schema_extra=ui(advanced=True)
    )

    @model_validator(mode="after")
    def of_a_length_that_telegram_takes(self) -> Self:
        if self.caption and too_long(self.caption, self.parse_mode, MAX_CAPTION):
            raise ValueError(_("the caption is longer than the 1,024 characters that Telegram takes: shorten it"))
        return self


class Chat(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: int = Field(title="Chat id")
    type: str = Field(default="", title="Kind", description="private, group, supergroup or channel.")


class SentOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    message_id: int = Field(title="Message id", description="Identifies the message in its chat.")
    date: int = Field(title="Sent at", description="In seconds since 1970, UTC.")
    chat: Chat = Field(title="Chat")


_SAMPLE_CHAT: Final[dict[str, JsonValue]] = {"id": 123456789, "type": "private", "first_name": "Ada", "username": "ada"}


@action(
    provider=telegram,
    key="telegram.sendMessage",
    name="Send message",
    auth_type="api_key",
    input_schema=SendMessageInputs,
    rate_limit=CHAT_LIMIT,
    rate_limit_key=lambda inputs: inputs.chat_id,
    output_schema=SentOutput,
    sample={"message_id": 17, "date": 1772443800, "chat": _SAMPLE_CHAT, "text": "New lead: Ada Lovelace"},
    idempotent=False,
    effect="create",
    synonyms=("post", "notify", "chat", "channel", "group", "bot", "tell"),
    summary=lambda output: f"message {output['message_id']}",
)
async def send_message(ctx: RunContext[SendMessageInputs]) -> dict[str, Any]:
    """Send a message to a person, a group or a channel, as a bot."""
    return _sent(ctx, await call(ctx.http, "sendMessage", ctx.inputs.payload()))


@action(
    provider=telegram,
    key="telegram.sendPhoto",
    name="Send photo",
    auth_type="api_key",
    input_schema=SendPhotoInputs,
    rate_limit=CHAT_LIMIT,
    rate_limit_key=lambda inputs: inputs.chat_id,
    output_schema=SentOutput,
    sample={
        "message_id": 18,
        "date": 1772443800,
        "chat": _SAMPLE_CHAT,
        "photo": [
            {"file_id": "AgACAgQAAxk", "file_unique_id": "AQADr64", "width": 320, "height": 200, "file_size": 8123}
        ],
        "caption": "Sales this week",
    },
    idempotent=False,
    effect="create",
    synonyms=("picture", "image", "post", "notify", "chat", "channel", "group", "bot"),
    summary=lambda output: f"message {output['message_id']}",
)
async def send_photo(ctx: RunContext[SendPhotoInputs]) -> dict[str, Any]:
    """Send a photo to a person, a group or a channel, as a bot."""
    photo = ctx.inputs.photo
    if isinstance(photo, str):
        return _sent(ctx, await call(ctx.http, "sendPhoto", ctx.inputs.shared()))
    content = (photo.name, photo.data(most=MAX_PHOTO_BYTES, field="photo"), photo.type)
    return _sent(ctx, await upload(ctx.http, "sendPhoto", ctx.inputs.shared("photo"), {"photo": content}))


def _sent(ctx: RunContext[Any], response: Response) -> dict[str, Any]:
    message = response.json_object()["result"]
    if not isinstance(message, dict) or not _is_message(message):
        raise response.unexpected()
    ctx.log(f"Sent as {message['message_id']}")
    return message


def _is_message(message: dict[str, Any]) -> bool:
    chat = message.get("chat")
    numbers = (message.get("message_id"), message.get("date"), chat.get("id") if isinstance(chat, dict) else None)
    return all(isinstance(number, int) for number in numbers)
