"""What can be done in Outlook."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from integrations.addresses import Addresses, Mailbox, parsed
from integrations.mail_fields import Bcc, Cc, ReplyTo, Subject, To, check_one_line
from integrations.providers.microsoft_outlook import microsoft_outlook
from integrations.providers.microsoft_outlook.client import send
from integrations.sdk import InputError, RunContext, action, ui
from integrations.words import gettext as _

# Of one message, as Exchange takes them.
MAX_RECIPIENTS: Final = 500
# Of one request, in bytes, with what stands around the text.
MAX_BODY: Final = 3_000_000


class SendEmailInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: To = ""
    subject: Annotated[Subject[str], AfterValidator(check_one_line)] = Field(max_length=255)
    body: str = Field(
        title="Message", examples=["Hello Ada,\n\nit left today."], json_schema_extra=ui(format="textarea")
    )
    content_type: Literal["text", "html"] = Field(
        default="text",
        title="Written as",
        examples=["html"],
        json_schema_extra=ui(words={"text": "Plain text", "html": "HTML"}),
    )
    cc: Cc = ""
    bcc: Bcc = ""
    reply_to: ReplyTo[Addresses] = ""
    importance: Literal["low", "normal", "high"] = Field(
        default="normal",
        title="Importance",
        examples=["high"],
        json_schema_extra=ui(advanced=True, words={"low": "Low", "normal": "Normal", "high": "High"}),
    )
    save_to_sent: bool = Field(
        default=True,
        title="Keep a copy",
        description="Among the sent items.",
        examples=[False],
        json_schema_extra=ui(advanced=True),
    )

    @field_validator("body")
    @classmethod
    def of_a_length_that_is_taken(cls, body: str) -> str:
        try:
            length = len(body.encode())
        except UnicodeError:
            raise ValueError(_("the text has characters that are no characters (lone surrogates)")) from None
        if length > MAX_BODY:
            raise ValueError(
                _("the text has %(length)s bytes, Microsoft takes at most %(most)s")
                % {"length": f"{length:,}", "most": f"{MAX_BODY:,}"}
            )
        return body

    def message(self) -> dict[str, Any]:
        """Return Graph's message. Raises InputError naming the field with a wrong address."""
        given = {"toRecipients": ("to", self.to), "ccRecipients": ("cc", self.cc), "bccRecipients": ("bcc", self.bcc)}
        people = {name: parsed(text, field=field, most=MAX_RECIPIENTS) for name, (field, text) in given.items()}
        count = sum(map(len, people.values()))
        if not count:
            raise InputError(_("Give at least one address."), field="to")
        if count > MAX_RECIPIENTS:
            raise InputError(
                _("%(found)s addresses are too many: at most %(most)s are taken.")
                % {"found": count, "most": MAX_RECIPIENTS},
                field="to",
            )
        answers = parsed(self.reply_to, field="reply_to", most=MAX_RECIPIENTS)
        return {
            "subject": self.subject,
            "body": {"contentType": self.content_type, "content": self.body},
            "importance": self.importance,
            **{name: [_recipient(each) for each in found] for name, found in people.items() if found},
            **({"replyTo": [_recipient(each) for each in answers]} if answers else {}),
        }


def _recipient(mailbox: Mailbox) -> dict[str, Any]:
    name = {"name": mailbox.name} if mailbox.name else {}
    return {"emailAddress": {"address": mailbox.address, **name}}


class SendEmailOutput(BaseModel):
    accepted: bool = Field(title="Accepted", description="Microsoft has taken it; it is not delivered yet.")
    recipients: list[str] = Field(title="Recipients", description="All addresses that it goes to.")
    request_id: str = Field(default="", title="Request id", description="What Microsoft's support asks for.")


@action(
    provider=microsoft_outlook,
    key="microsoft_outlook.sendEmail",
    name="Send email",
    auth_type="oauth2",
    input_schema=SendEmailInputs,
    output_schema=SendEmailOutput,
    sample={
        "accepted": True,
        "recipients": ["ada@example.com"],
        "request_id": "0b1f2a3c-4d5e-6f70-8192-a3b4c5d6e7f8",
    },
    idempotent=False,
    effect="create",
    synonyms=("mail", "message", "office", "exchange", "notify", "write", "microsoft 365"),
    summary=lambda output: f"to {', '.join(output['recipients'][:3])}",
)
async def send_email(ctx: RunContext[SendEmailInputs]) -> dict[str, Any]:
    """Send a mail from the connected account."""
    message = ctx.inputs.message()
    response = await send(ctx.http, message, keep=ctx.inputs.save_to_sent)
    groups = (message.get(name, ()) for name in ("toRecipients", "ccRecipients", "bccRecipients"))
    recipients = list(dict.fromkeys(each["emailAddress"]["address"] for group in groups for each in group))
    ctx.log(f"Accepted for {len(recipients)} recipients")
    return {"accepted": True, "recipients": recipients, "request_id": response.headers.get("request-id", "")}
