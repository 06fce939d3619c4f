"""What can be done with SendGrid."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from integrations.addresses import Mailbox, one, parsed
from integrations.mail_fields import Bcc, Cc, From, Html, ReplyTo, Subject, Text, To, check_one_line
from integrations.providers.sendgrid import sendgrid
from integrations.providers.sendgrid.client import send
from integrations.sdk import InputError, RunContext, action, ui
from integrations.words import gettext as _

# Of one mail, with all of its fields.
MAX_RECIPIENTS: Final = 1000


def _names(value: object) -> object:
    """Several names in a text are parted by commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


class SendEmailInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: To = Field(min_length=1, description="One or more addresses, separated by commas. Each sees the others.")
    from_: From = Field(min_length=3, description="A sender that is verified in SendGrid.")
    subject: Subject[str | None] = Field(default=None, min_length=1, max_length=998)
    text: Text[str | None] = Field(default=None, min_length=1)
    html: Html[str | None] = Field(default=None, min_length=1)
    cc: Cc = ""
    bcc: Bcc = ""
    reply_to: ReplyTo[str | None] = None
    template_id: str | None = Field(
        default=None,
        pattern=r"^d-[0-9a-f]{32}$",
        title="Template",
        description="The id of a dynamic one, in place of a message.",
        examples=["d-0123456789abcdef0123456789abcdef"],
        json_schema_extra=ui(advanced=True),
    )
    template_data: dict[str, JsonValue] | None = Field(
        default=None,
        title="Values of the template",
        examples=[{"name": "Ada", "order": {"number": 77}}],
        json_schema_extra=ui(format="json", show_if="template_id", advanced=True),
    )
    categories: Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], BeforeValidator(_names)] = Field(
        default=[],
        max_length=10,
        title="Categories",
        description="By which SendGrid counts, ten at most.",
        examples=[["orders"]],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def something_to_say(self) -> Self:
        if not self.template_id and not ((self.text or self.html) and self.subject):
            raise ValueError(_("give a subject and a message (text or html), or a template"))
        if self.template_id and (self.text or self.html):
            raise ValueError(_("a template stands in place of the message: give one of them"))
        if self.template_data and not self.template_id:
            raise ValueError(_("template_data is of a template: give its template_id, too"))
        check_one_line(self.subject or "")
        return self

    def people(self) -> dict[str, list[Mailbox]]:
        """Return the recipients by field; SendGrid wants each address once. Raises InputError."""
        found: dict[str, list[Mailbox]] = {}
        seen: set[str] = set()
        for field, text in (("to", self.to), ("cc", self.cc), ("bcc", self.bcc)):
            found[field] = []
            for each in parsed(text, field=field, most=MAX_RECIPIENTS):
                found[field] += [each] if each.address.lower() not in seen else []
                seen.add(each.address.lower())
        if not found["to"]:
            raise InputError(_("Give at least one address."), field="to")
        if sum(map(len, found.values())) > MAX_RECIPIENTS:
            raise InputError(_("A mail takes at most %(most)s addresses.") % {"most": MAX_RECIPIENTS}, field="to")
        return found

    def mail(self, people: dict[str, list[Mailbox]]) -> dict[str, Any]:
        """Return the body of the request. Raises InputError naming the field with a wrong address."""
        envelope: dict[str, Any] = {
            field: [_person(each) for each in found] for field, found in people.items() if found
        }
        if self.template_data:
            envelope["dynamic_template_data"] = self.template_data
        kinds = (("text/plain", self.text), ("text/html", self.html))
        content = [{"type": kind, "value": value} for kind, value in kinds if value]
        optional = {
            "subject": self.subject,
            # The plain text first, as SendGrid insists.
            "content": content,
            "reply_to": _person(one(self.reply_to, field="reply_to")) if self.reply_to else None,
            "template_id": self.template_id,
            "categories": self.categories,
        }
        return {
            "personalizations": [envelope],
            "from": _person(one(self.from_, field="from")),
            **{name: value for name, value in optional.items() if value},
        }


def _person(mailbox: Mailbox) -> dict[str, str]:
    return {"email": mailbox.address, **({"name": mailbox.name} if mailbox.name else {})}


class SendEmailOutput(BaseModel):
    accepted: bool = Field(title="Accepted", description="SendGrid has taken it; it is not delivered yet.")
    message_id: str = Field(title="Message id", description="Names the mail in SendGrid's activity.")
    recipients: list[str] = Field(title="Recipients", description="All addresses that it goes to.")


@action(
    provider=sendgrid,
    key="sendgrid.sendEmail",
    name="Send email",
    auth_type="api_key",
    input_schema=SendEmailInputs,
    output_schema=SendEmailOutput,
    sample={"accepted": True, "message_id": "14c5d75ce93.dfd.64b469", "recipients": ["ada@example.com"]},
    idempotent=False,
    effect="create",
    synonyms=("mail", "message", "notify", "newsletter", "template", "twilio"),
    summary=lambda output: f"to {', '.join(output['recipients'][:3])}",
)
async def send_email(ctx: RunContext[SendEmailInputs]) -> dict[str, Any]:
    """Send a mail, with a message or by a template."""
    people = ctx.inputs.people()
    response = await send(ctx.http, ctx.inputs.mail(people))
    recipients = [each.address for found in people.values() for each in found]
    ctx.log(f"Accepted for {len(recipients)} recipients")
    return {"accepted": True, "message_id": response.headers.get("x-message-id", ""), "recipients": recipients}
