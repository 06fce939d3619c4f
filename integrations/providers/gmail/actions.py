"""What can be done in Gmail."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from integrations.addresses import Addresses
from integrations.mail_fields import BESIDE_TEXT, Bcc, Cc, From, Html, ReplyTo, Subject, Text, To
from integrations.mails import Mail, encoded
from integrations.providers.gmail import gmail
from integrations.providers.gmail.client import (
    CHANGING,
    MODIFY_SCOPE,
    READING,
    SENDING,
    SERVICE,
    find,
    label_path,
    message,
    send,
)
from integrations.providers.gmail.options import labels
from integrations.providers.gmail.reading import SAMPLE, Received, read
from integrations.sdk import RunContext, action, ui
from integrations.sdk.client import Response

_NAMES: Final[Mapping[str, str]] = {"text": "bodyText", "reply_to": "replyTo", "in_reply_to": "inReplyTo"}


class SendEmailInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: To = Field(min_length=1)
    subject: Subject[str] = Field(max_length=2000)
    body_text: Text[str] = Field(alias="bodyText")
    cc: Cc = ""
    bcc: Bcc = ""
    body_html: Html[str] = Field(default="", alias="bodyHtml", description=BESIDE_TEXT)
    reply_to: ReplyTo[Addresses] = Field(default="", alias="replyTo")
    from_: From = Field(
        default="",
        description="One of the account's own addresses; its main address if left out.",
        json_schema_extra=ui(advanced=True),
    )
    thread_id: str = Field(
        default="",
        alias="threadId",
        title="Thread id",
        description="Answers in a thread; needs the message to reply to and the same subject.",
        examples=["18c2f0a1b2c3d4e5"],
        json_schema_extra=ui(advanced=True),
    )
    in_reply_to: str = Field(
        default="",
        alias="inReplyTo",
        title="Message to reply to",
        description="Its Message-ID header.",
        examples=["<CAF1234@mail.gmail.com>"],
        json_schema_extra=ui(advanced=True, show_if="threadId"),
    )


class SendEmailOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(title="Message id")
    thread_id: str = Field(alias="threadId", title="Thread id")
    label_ids: list[str] = Field(default_factory=list, alias="labelIds", title="Labels")


@action(
    provider=gmail,
    key="gmail.sendEmail",
    scopes=(SENDING,),
    name="Send email",
    auth_type="oauth2",
    input_schema=SendEmailInputs,
    output_schema=SendEmailOutput,
    sample={"id": "18c2f0a1b2c3d4e5", "threadId": "18c2f0a1b2c3d4e5", "labelIds": ["SENT"]},
    idempotent=False,
    effect="create",
    synonyms=("mail", "message", "google", "notify", "write"),
    summary=lambda output: f"message {output['id']}",
)
async def send_email(ctx: RunContext[SendEmailInputs]) -> dict[str, Any]:
    """Send a mail from the connected account."""
    inputs = ctx.inputs
    mail = Mail(
        to=inputs.to,
        subject=inputs.subject,
        text=inputs.body_text,
        html=inputs.body_html,
        cc=inputs.cc,
        bcc=inputs.bcc,
        sender=inputs.from_,
        reply_to=inputs.reply_to,
        in_reply_to=inputs.in_reply_to,
        date=ctx.now,
        names=_NAMES,
    )
    # Base64url without padding.
    raw = base64.urlsafe_b64encode(encoded(mail)).decode("ascii").rstrip("=")
    resource = {"raw": raw} | ({"threadId": inputs.thread_id} if inputs.thread_id else {})
    answer = _identified(await send(ctx.http, resource))
    ctx.log(f"Sent as {answer['id']}")
    return answer


class SearchMessagesInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: str = Field(
        default="",
        max_length=2000,
        title="Search",
        description="As in Gmail's search box; everything outside spam and trash if left out.",
        examples=["from:ada@example.com has:attachment newer_than:7d"],
    )
    label: str = Field(default="", title="Label", description="Only messages with it.", examples=["INBOX", "Label_12"])
    limit: int = Field(default=20, ge=1, le=100, title="At most", description="The newest first.", examples=[20])
    body: bool = Field(
        default=False,
        title="With text",
        description="Bring the text and the list of attachments along.",
        examples=[False],
    )


class SearchMessagesOutput(BaseModel):
    messages: list[Received] = Field(title="Messages")
    more: bool = Field(title="More", description="Whether there are further messages.")


@action(
    provider=gmail,
    key="gmail.searchMessages",
    scopes=(READING,),
    name="Search messages",
    auth_type="oauth2",
    input_schema=SearchMessagesInputs,
    output_schema=SearchMessagesOutput,
    sample={"messages": [SAMPLE], "more": False},
    idempotent=True,
    effect="search",
    timeout=120,
    options={"label": labels},
    synonyms=("mail", "find", "inbox", "google", "read", "list"),
    summary=lambda output: f"{len(output['messages'])} messages",
)
async def search_messages(ctx: RunContext[SearchMessagesInputs]) -> dict[str, Any]:
    """Find messages with the words of Gmail's own search."""
    inputs = ctx.inputs
    chosen = [inputs.label] if inputs.label else []
    ids, following = await find(ctx.http, query=inputs.query, labels=chosen, most=inputs.limit)
    found = [await message(ctx.http, each, body=inputs.body) for each in ids[: inputs.limit]]
    return {
        "messages": [read(each).model_dump(mode="json", by_alias=True) for each in found if each is not None],
        "more": following is not None or len(ids) > inputs.limit,
    }


class AddLabelInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    message_id: str = Field(
        alias="messageId",
        min_length=1,
        title="Message id",
        description="Gmail's own id, as the search and the trigger give it.",
        examples=["18c2f0a1b2c3d4e5"],
    )
    label: str = Field(
        min_length=1,
        title="Label",
        description="Its id: choose it from the list.",
        examples=["Label_12", "STARRED"],
    )


@action(
    provider=gmail,
    key="gmail.addLabel",
    scopes=(CHANGING,),
    name="Add label",
    auth_type="oauth2",
    input_schema=AddLabelInputs,
    output_schema=SendEmailOutput,
    sample={"id": "18c2f0a1b2c3d4e5", "threadId": "18c2f0a1b2c3d4e5", "labelIds": ["INBOX", "Label_12"]},
    # A label that is there already stays.
    idempotent=True,
    effect="update",
    options={"label": labels},
    synonyms=("mail", "tag", "star", "google", "sort", "organise"),
    summary=lambda output: f"message {output['id']}",
)
async def add_label(ctx: RunContext[AddLabelInputs]) -> dict[str, Any]:
    """Put a label on a message; one that it has already changes nothing."""
    response = await ctx.http.post(
        label_path(ctx.inputs.message_id), json={"addLabelIds": [ctx.inputs.label]}, idempotent=True
    )
    return _identified(SERVICE.checked(response, MODIFY_SCOPE))


def _identified(response: Response) -> dict[str, Any]:
    answer = response.json_object()
    if not isinstance(answer.get("id"), str) or not isinstance(answer.get("threadId"), str):
        raise response.unexpected()
    return answer
