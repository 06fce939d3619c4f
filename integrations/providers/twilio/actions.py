"""What can be done with Twilio."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from integrations.providers.twilio import twilio
from integrations.providers.twilio.client import send
from integrations.sdk import InputError, RunContext, action, ui
from integrations.words import gettext as _

MAX_BODY: Final = 1600
_SID: Final = r"[0-9a-fA-F]{32}$"


class SendSmsInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str = Field(
        pattern=r"^\s*(\+[1-9][0-9]{1,14}|[0-9]{3,8}|[a-z]+:\S+)\s*$",
        title="To",
        description="The recipient's number with + and the country. For other channels: whatsapp:+49….",
        examples=["+4915112345678"],
    )
    body: str | None = Field(
        default=None,
        max_length=MAX_BODY,
        title="Message",
        description="At most 1,600 characters. More than 160 are charged as several messages.",
        examples=["Your order is on its way."],
        json_schema_extra=ui(format="textarea"),
    )
    from_: str | None = Field(
        default=None,
        alias="from",
        min_length=1,
        title="From",
        description="A number of the account, or a name where the country allows it.",
        examples=["+15005550006"],
    )
    messaging_service_sid: str | None = Field(
        default=None,
        pattern="^MG" + _SID,
        title="Or by the messaging service",
        description="Its SID (MG…), in place of a number: it chooses one.",
        examples=["MG0123456789abcdef0123456789abcdef"],
    )
    media_url: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=10,
        title="Pictures",
        description="Public addresses, ten at most. Only some countries and channels take them.",
        examples=[["https://example.com/parcel.png"]],
        json_schema_extra=ui(advanced=True),
    )
    status_callback: str | None = Field(
        default=None,
        min_length=1,
        title="Tell what became of it",
        description="An address that Twilio calls when the message is delivered or lost.",
        examples=["https://example.com/h/abc"],
        json_schema_extra=ui(format="uri", advanced=True),
    )
    account_sid: str | None = Field(
        default=None,
        pattern="^AC" + _SID,
        title="Account",
        description="Its SID (AC…), where the credential is an API key or the account is a subaccount.",
        examples=["AC0123456789abcdef0123456789abcdef"],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def a_sender_and_something_to_say(self) -> Self:
        if not self.from_ and not self.messaging_service_sid:
            raise ValueError(_("give a sender: a number (from) or a messaging service (messaging_service_sid)"))
        if not (self.body or "").strip() and not self.media_url:
            raise ValueError(_("give the message a text or a picture"))
        return self

    def form(self) -> dict[str, str | list[str]]:
        """Return the fields of the request."""
        given = {
            "To": self.to.strip(),
            "Body": self.body,
            "From": self.from_,
            "MessagingServiceSid": self.messaging_service_sid,
            "MediaUrl": self.media_url,
            "StatusCallback": self.status_callback,
        }
        return {name: value for name, value in given.items() if value}


class SendSmsOutput(BaseModel):
    model_config = ConfigDict(extra="allow")

    sid: str = Field(title="Message SID", description="Identifies the message at Twilio.")
    status: str = Field(title="Status", description="queued or accepted: it is on its way, and not delivered yet.")
    to: str = Field(title="To")


@action(
    provider=twilio,
    key="twilio.sendSms",
    name="Send text message",
    auth_type="basic",
    input_schema=SendSmsInputs,
    output_schema=SendSmsOutput,
    sample={
        "sid": "SM0123456789abcdef0123456789abcdef",
        "status": "queued",
        "to": "+4915112345678",
        "from": "+15005550006",
        "body": "Your order is on its way.",
        "num_segments": "1",
    },
    idempotent=False,
    effect="create",
    synonyms=("sms", "phone", "mobile", "notify", "whatsapp", "message", "mms"),
    summary=lambda output: f"{output['status']}, to {output['to']}",
)
async def send_sms(ctx: RunContext[SendSmsInputs]) -> dict[str, Any]:
    """Send a text message to a phone."""
    sid = ctx.inputs.account_sid or str(ctx.auth["username"])
    if sid.startswith("SK"):
        raise InputError(
            _("The credential is an API key, which does not say whose account it is."),
            field="account_sid",
            hint=_("Give the account's SID (AC…) in the step."),
        )
    response = await send(ctx.http, sid, ctx.inputs.form())
    answer = response.json_object()
    if not isinstance(answer.get("sid"), str) or not isinstance(answer.get("status"), str):
        raise response.unexpected()
    ctx.log(f"Accepted as {answer['sid']}")
    return {**answer, "to": str(answer.get("to") or ctx.inputs.to)}
