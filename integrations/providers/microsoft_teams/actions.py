"""What can be done in Teams."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from integrations.microsoft import checked
from integrations.providers.microsoft_teams import microsoft_teams
from integrations.providers.microsoft_teams.client import CHANNEL_SCOPE, CHAT_SCOPE, ERRORS, channel_path, chat_path
from integrations.providers.microsoft_teams.options import channels, teams
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

# Of one message, with what stands around the text.
MAX_BYTES: Final = 100_000
_TEAM: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_THREAD: Final = r"^19:[^\s/?#]{1,250}$"


class SendMessageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    team_id: str | None = Field(
        default=None,
        pattern=_TEAM,
        title="Team",
        description="Its id.",
        examples=["fbe2bf47-16c8-47cf-b4a5-4b9b187c508b"],
    )
    channel_id: str | None = Field(
        default=None,
        pattern=_THREAD,
        title="Channel",
        description="Its id, which begins with 19:.",
        examples=["19:4a95f7d8db4c4e7fae857bcebe0623e6@thread.tacv2"],
    )
    chat_id: str | None = Field(
        default=None,
        pattern=_THREAD,
        title="Or a chat",
        description="Its id, in place of a team's channel.",
        examples=["19:2da4c29f6d7041eca70b638b43d45437@thread.v2"],
        json_schema_extra=ui(advanced=True),
    )
    text: str = Field(
        min_length=1, title="Message", examples=["New lead: Ada Lovelace"], json_schema_extra=ui(format="textarea")
    )
    content_type: Literal["text", "html"] = Field(
        default="text",
        title="Written as",
        examples=["html"],
        json_schema_extra=ui(words={"text": "Plain text", "html": "HTML"}),
    )
    subject: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        title="Subject",
        description="Above a message in a channel.",
        examples=["Sales"],
        json_schema_extra=ui(advanced=True),
    )
    importance: Literal["normal", "high", "urgent"] = Field(
        default="normal",
        title="Importance",
        examples=["high"],
        json_schema_extra=ui(advanced=True, words={"normal": "Normal", "high": "High", "urgent": "Urgent"}),
    )

    @field_validator("text")
    @classmethod
    def of_a_length_that_is_taken(cls, text: str) -> str:
        try:
            length = len(text.encode())
        except UnicodeError:
            raise ValueError(_("the text has characters that are no characters (lone surrogates)")) from None
        if length > MAX_BYTES:
            raise ValueError(
                _("the text has %(length)s bytes, Teams takes at most %(most)s")
                % {"length": f"{length:,}", "most": f"{MAX_BYTES:,}"}
            )
        return text

    @model_validator(mode="after")
    def one_place(self) -> Self:
        if bool(self.team_id) != bool(self.channel_id):
            raise ValueError(_("a channel is given by its team_id and its channel_id"))
        if bool(self.channel_id) == bool(self.chat_id):
            raise ValueError(_("give either a channel or a chat, and not both"))
        return self

    def message(self) -> dict[str, Any]:
        """Return Graph's message."""
        subject = {"subject": self.subject} if self.subject else {}
        body = {"contentType": self.content_type, "content": self.text}
        return {"body": body, "importance": self.importance, **subject}


class SendMessageOutput(BaseModel):
    id: str = Field(title="Message id")
    web_url: str = Field(title="Address", description="Where a person reads it; empty for one in a chat.")
    created_at: str = Field(title="Sent at")


@action(
    provider=microsoft_teams,
    key="microsoft_teams.sendMessage",
    name="Send message",
    auth_type="oauth2",
    input_schema=SendMessageInputs,
    output_schema=SendMessageOutput,
    sample={
        "id": "1616990032035",
        "web_url": "https://teams.microsoft.com/l/message/19%3A4a95f7d8db4c4e7fae857bcebe0623e6%40thread.tacv2/1616990032035",
        "created_at": "2026-03-02T09:30:00.035Z",
    },
    idempotent=False,
    effect="create",
    options={"team_id": teams, "channel_id": channels},
    synonyms=("chat", "notify", "post", "channel", "office", "microsoft 365"),
    summary=lambda output: f"message {output['id']}",
)
async def send_message(ctx: RunContext[SendMessageInputs]) -> dict[str, Any]:
    """Send a message to a channel or a chat, in the name of the connected account."""
    inputs = ctx.inputs
    if inputs.chat_id:
        path, scope = chat_path(inputs.chat_id), CHAT_SCOPE
    else:
        path, scope = channel_path(inputs.team_id or "", inputs.channel_id or ""), CHANNEL_SCOPE
    response = checked(await ctx.http.post(path, json=inputs.message()), ERRORS, scope)
    sent = response.json_object()
    if not isinstance(sent.get("id"), str):
        raise response.unexpected()
    ctx.log(f"Sent {sent['id']}")
    times = sent.get("createdDateTime")
    return {"id": sent["id"], "web_url": str(sent.get("webUrl") or ""), "created_at": str(times or "")}
