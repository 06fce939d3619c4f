"""What can be done with Resend."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from integrations.addresses import Addresses, one, parsed
from integrations.mail_fields import Bcc, Cc, From, Html, ReplyTo, Subject, Text, To, check_one_line
from integrations.providers.resend import resend
from integrations.providers.resend.client import send
from integrations.sdk import InputError, RunContext, action, ui
from integrations.words import gettext as _

MAX_RECIPIENTS: Final = 50
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")


def _tags(tags: dict[str, str]) -> dict[str, str]:
    for name, value in tags.items():
        for each in (name, value):
            if not _TAG.fullmatch(each):
                raise ValueError(
                    _("%(given)s has something else than 1 to 256 letters, digits, _ and -")
                    % {"given": repr(each[:60])}
                )
    return tags


class SendEmailInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: To = Field(min_length=1, description="One or more addresses, separated by commas, 50 at most.")
    from_: From = Field(min_length=3, description="An address of a domain that is verified in Resend.")
    subject: Subject[str] = Field(min_length=1, max_length=998)
    text: Text[str | None] = Field(default=None, min_length=1)
    html: Html[str | None] = Field(default=None, min_length=1)
    cc: Cc = ""
    bcc: Bcc = ""
    reply_to: ReplyTo[Addresses] = ""
    scheduled_at: str | None = Field(
        default=None,
        min_length=4,
        max_length=100,
        title="Send later",
        description="A time with its offset.",
        examples=["2026-05-04T09:30:00+02:00"],
        json_schema_extra=ui(format="date-time", advanced=True),
    )
    tags: Annotated[dict[str, str], AfterValidator(_tags)] | None = Field(
        default=None,
        max_length=75,
        title="Tags",
        description="Names and values by which Resend tells mails apart.",
        examples=[{"kind": "order"}],
        json_schema_extra=ui(advanced=True),
    )

    @model_validator(mode="after")
    def something_to_say(self) -> Self:
        if not (self.text or self.html):
            raise ValueError(_("give the mail a text or an html"))
        check_one_line(self.subject)
        return self

    def mail(self) -> dict[str, Any]:
        """Return the body of the request. Raises InputError naming the field with a wrong address."""
        fields = (("to", self.to), ("cc", self.cc), ("bcc", self.bcc), ("reply_to", self.reply_to))
        people = {
            field: [str(each) for each in parsed(text, field=field, most=MAX_RECIPIENTS)] for field, text in fields
        }
        if not people["to"]:
            raise InputError(_("Give at least one address."), field="to")
        optional = {
            **people,
            "text": self.text,
            "html": self.html,
            "scheduled_at": self.scheduled_at,
            "tags": [{"name": name, "value": value} for name, value in (self.tags or {}).items()],
        }
        return {
            "from": str(one(self.from_, field="from")),
            "subject": self.subject,
            **{name: value for name, value in optional.items() if value},
        }


class SendEmailOutput(BaseModel):
    id: str = Field(title="Mail id", description="Names the mail in Resend.")


@action(
    provider=resend,
    key="resend.sendEmail",
    name="Send email",
    auth_type="api_key",
    input_schema=SendEmailInputs,
    output_schema=SendEmailOutput,
    sample={"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"},
    idempotent=True,
    effect="create",
    synonyms=("mail", "message", "notify", "newsletter"),
    summary=lambda output: f"mail {output['id']}",
)
async def send_email(ctx: RunContext[SendEmailInputs]) -> dict[str, Any]:
    """Send a mail, once however often it is tried."""
    response = await send(ctx.http, ctx.inputs.mail())
    answer = response.json_object()
    if not isinstance(answer.get("id"), str):
        raise response.unexpected()
    ctx.log(f"Accepted as {answer['id']}")
    return {"id": answer["id"]}
