"""What can be done by e-mail."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from integrations.addresses import Addresses
from integrations.mail_fields import BESIDE_TEXT, Bcc, Cc, From, Html, ReplyTo, Subject, Text, To
from integrations.mails import Mail, encoded, parse_addresses
from integrations.providers.email import email
from integrations.providers.email.smtp import outgoing, sent, signed_in
from integrations.sdk import InputError, RunContext, action, ui
from integrations.words import gettext as _

MAX_TEXT: Final = 2_000_000
_DIGITS: Final = 32


class SendInputs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: To = Field(min_length=1)
    subject: Subject[str] = Field(max_length=2000)
    html: Html[str] = Field(default="", max_length=MAX_TEXT, description=BESIDE_TEXT)
    text: Text[str] = Field(default="", validate_default=True, max_length=MAX_TEXT)
    cc: Cc = ""
    bcc: Bcc = Field(default="", description="They get it, and nobody sees that they do.")
    reply_to: ReplyTo[Addresses] = ""
    from_: From = Field(
        default="",
        description="An address that the mail server lets this account send from; its user name if left out.",
        json_schema_extra=ui(advanced=True),
    )

    @field_validator("text")
    @classmethod
    def says_something(cls, value: str, info: ValidationInfo) -> str:
        if not value and not info.data.get("html"):
            raise PydanticCustomError("empty", "{said}", {"said": _("The mail has neither a text nor HTML.")})
        return value


class SendOutput(BaseModel):
    message_id: str = Field(title="Message id", description="Its Message-ID header.")
    recipients: list[str] = Field(title="Recipients", description="All addresses that the server took it for.")
    response: str = Field(title="Answer", description="What the mail server said when it took it.")


@action(
    provider=email,
    key="email.send",
    name="Send email",
    auth_type="basic",
    input_schema=SendInputs,
    output_schema=SendOutput,
    sample={
        "message_id": "<3f2a9c0b7d1e4f5a8b6c2d1e0f9a8b7c@example.com>",
        "recipients": ["ada@example.com"],
        "response": "2.0.0 Ok: queued as 4F2A9C0B7D",
    },
    idempotent=False,
    effect="create",
    http=False,
    synonyms=("smtp", "mail", "e-mail", "message", "notify", "write"),
    summary=lambda output: f"to {len(output['recipients'])}",
)
def send(ctx: RunContext[SendInputs]) -> dict[str, Any]:
    """Send a mail by the mail server of a credential, or the operator's, by SMTP: to all its recipients or to none."""
    inputs, place = ctx.inputs, outgoing(ctx.settings)
    operators = str(ctx.settings.get("sender") or "")
    sender = _sender(inputs.from_ or operators, str(ctx.auth.get("username") or ""))
    if operators and sender.lower() != _sender(operators, "").lower():
        raise InputError(
            _("Without a credential mail goes out by the operator's server, and that sends from %(sender)s alone.")
            % {"sender": _sender(operators, "")},
            hint=_("Leave out the sender, or choose a credential of your own mail server."),
            field="from",
        )
    message_id = _message_id(ctx.idempotency_key, sender)
    # A blind copy is in no header, or it would not be blind.
    mail = Mail(
        to=inputs.to,
        subject=inputs.subject,
        text=inputs.text,
        html=inputs.html,
        cc=inputs.cc,
        sender=inputs.from_ or operators or sender,
        reply_to=inputs.reply_to,
        message_id=message_id,
        date=ctx.now,
    )
    message = encoded(mail)
    recipients = _recipients(inputs)
    with signed_in(ctx.dial, place, ctx.auth, seconds=ctx.remaining()) as server:
        response = sent(server, message, sender=sender, recipients=recipients)
    ctx.log(f"Sent to {len(recipients)} as {message_id}")
    return {"message_id": message_id, "recipients": recipients, "response": response}


def _sender(given: str, user: str) -> str:
    """Return the one address that a mail is from. Raises InputError."""
    if not given and "@" not in user:
        raise InputError(
            _("The credential's user name is no address, so the step has to say who the mail is from."), field="from"
        )
    found = parse_addresses(given or user, field="from")
    if len(found) > 1:
        raise InputError(_("A mail is from one address."), field="from")
    return str(found[0].addr_spec)


def _message_id(idempotency_key: str, sender: str) -> str:
    """Return what is the same whenever the step is tried again, so that a second copy can be told for one."""
    digest = hashlib.sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"<{digest}@{sender.rpartition('@')[2]}>"


def _recipients(inputs: SendInputs) -> list[str]:
    """Return every address once, in their order."""
    fields = (("to", inputs.to), ("cc", inputs.cc), ("bcc", inputs.bcc))
    found = [address for name, value in fields if value.strip() for address in parse_addresses(value, field=name)]
    return list(dict.fromkeys(str(address.addr_spec) for address in found))
