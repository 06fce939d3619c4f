"""What can be done with WhatsApp."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from integrations.providers.whatsapp import whatsapp
from integrations.providers.whatsapp.client import send
from integrations.sdk import RunContext, action, ui
from integrations.words import gettext as _

MAX_TEXT: Final = 4096
_BETWEEN_DIGITS: Final = re.compile(r"[\s().\u00a0-]")


def _number(value: object) -> object:
    """A number is taken as people write it, or as a number of JSON."""
    if isinstance(value, bool):
        return value
    return _BETWEEN_DIGITS.sub("", str(value)) if isinstance(value, str | int) else value


def _texts(value: object) -> object:
    """Numbers among the values, as expressions give them, are written out."""
    if not isinstance(value, list):
        return value
    return [json.dumps(each) if isinstance(each, int | float) else each for each in value]


class SendMessageInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    phone_number_id: Annotated[str, BeforeValidator(_number)] = Field(
        pattern=r"^[0-9]{5,32}$",
        title="Sender",
        description="The id of the business's phone number, in WhatsApp Manager; not the number itself.",
        examples=["106540352242922"],
    )
    to: Annotated[str, BeforeValidator(_number)] = Field(
        pattern=r"^\+?[1-9][0-9]{6,14}$",
        title="To",
        description="The recipient's number with the country, as in +49….",
        examples=["+4915112345678"],
    )
    text: str | None = Field(
        default=None,
        max_length=MAX_TEXT,
        title="Text",
        description="For who has written within the last 24 hours; else send a template.",
        examples=["Your order is on its way."],
        json_schema_extra=ui(format="textarea"),
    )
    template: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_]{1,512}$",
        title="Or a template",
        description="The name of an approved one, in place of a text.",
        examples=["order_shipped"],
    )
    language: str = Field(
        default="en_US",
        pattern=r"^[a-z]{2,3}(_[A-Za-z]{2,4})?$",
        title="Language",
        description="Of the template.",
        examples=["en_US", "de"],
        json_schema_extra=ui(show_if="template"),
    )
    parameters: Annotated[list[str], BeforeValidator(_texts)] | None = Field(
        default=None,
        title="Values",
        description="Of the places in the template's text, in their order.",
        examples=[["Ada", "ORDER-77"]],
        json_schema_extra=ui(show_if="template"),
    )
    components: list[dict[str, JsonValue]] | None = Field(
        default=None,
        title="Further parts of the template",
        description="Header, buttons and named values, as Meta describes them.",
        examples=[[{"type": "header", "parameters": [{"type": "text", "text": "Ada"}]}]],
        json_schema_extra=ui(format="code", advanced=True),
    )
    preview_url: bool = Field(
        default=False,
        title="Show what a link leads to",
        examples=[True],
        json_schema_extra=ui(show_if="text", advanced=True),
    )
    reply_to: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        title="Reply to",
        description="The id of a message that this one answers.",
        examples=["wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA="],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def a_text_or_a_template(self) -> Self:
        if bool((self.text or "").strip()) == bool(self.template):
            raise ValueError(_("give either a text or a template, and not both"))
        if not self.template and (self.parameters or self.components):
            raise ValueError(_("parameters and components are those of a template: give its name, too"))
        return self

    def message(self) -> dict[str, Any]:
        """Return the body of the request."""
        body: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": self.to}
        if self.reply_to:
            body["context"] = {"message_id": self.reply_to}
        if not self.template:
            return {**body, "type": "text", "text": {"body": self.text, "preview_url": self.preview_url}}
        template: dict[str, Any] = {"name": self.template, "language": {"code": self.language}}
        values = [{"type": "text", "text": value} for value in self.parameters or ()]
        parts = [*([{"type": "body", "parameters": values}] if values else []), *(self.components or ())]
        return {**body, "type": "template", "template": {**template, **({"components": parts} if parts else {})}}


class SendMessageOutput(BaseModel):
    message_id: str = Field(title="Message id")
    wa_id: str = Field(title="Recipient's WhatsApp id", description="Mostly the number, in digits alone.")
    status: str = Field(
        title="Status", description="accepted, or held_for_quality_assessment: it is not delivered yet."
    )


@action(
    provider=whatsapp,
    key="whatsapp.sendMessage",
    name="Send message",
    auth_type="bearer_token",
    input_schema=SendMessageInputs,
    output_schema=SendMessageOutput,
    sample={
        "message_id": "wamid.HBgNNDkxNTExMjM0NTY3OBUCABEYEjVCRjg0RDYyQUYyNjY2MDY5OEYA",
        "wa_id": "4915112345678",
        "status": "accepted",
    },
    idempotent=False,
    effect="create",
    synonyms=("chat", "phone", "mobile", "notify", "text", "template", "meta"),
    summary=lambda output: f"{output['status']}, to {output['wa_id']}",
)
async def send_message(ctx: RunContext[SendMessageInputs]) -> dict[str, Any]:
    """Send a text or an approved template to a phone."""
    response = await send(ctx.http, ctx.inputs.phone_number_id, ctx.inputs.message())
    answer = response.json_object()
    messages, contacts = answer.get("messages"), answer.get("contacts")
    message = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):
        raise response.unexpected()
    contact = contacts[0] if isinstance(contacts, list) and contacts and isinstance(contacts[0], dict) else {}
    ctx.log(f"Accepted as {message['id']}")
    return {
        "message_id": message["id"],
        "wa_id": str(contact.get("wa_id") or ctx.inputs.to.lstrip("+")),
        "status": str(message.get("message_status") or "accepted"),
    }
