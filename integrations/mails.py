"""Building a mail that says what its fields say, and nothing else.

Python 3.11's ``EmailMessage`` decodes RFC 2047 words in a header before it writes it, so that the printable subject
``=?utf-8?q?hi=0ABcc=3A_evil=40x.com?=`` becomes a real Bcc header. So every header is looked at both as given and
decoded, and the finished bytes are parsed again and compared with what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.utils import format_datetime
from typing import Any, Final

from integrations.sdk import InputError
from integrations.words import gettext as _

_POLICY: Final = policy.SMTP.clone(cte_type="7bit")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BYTE: Final = re.compile(rb"[\x00-\x1f\x7f]")
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]+@[^\s@<>()\[\],;:\\\"\x00-\x1f\x7f]+")
_MESSAGE_ID: Final = re.compile(r"<[\x21-\x3b\x3d\x3f-\x7e]+@[\x21-\x3b\x3d\x3f-\x7e]+>")
_MOST_RECIPIENTS: Final = 500
# What the email package raises on text that nobody meant for it: not all of it is its own.
_CANNOT_BE_READ: Final = (HeaderParseError, ValueError, LookupError, AttributeError, TypeError)


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail in words: addresses as a person writes them, comma-separated.

    ``text`` may be empty where there is ``html``. ``names`` are those of an action's inputs that are called otherwise.
    """

    to: str
    subject: str
    text: str = ""
    html: str = ""
    cc: str = ""
    bcc: str = ""
    sender: str = ""
    reply_to: str = ""
    in_reply_to: str = ""
    message_id: str = ""
    date: datetime
    names: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> str:
        """Return what the action calls an input."""
        return self.names.get(name, name)

    @property
    def has_text(self) -> bool:
        return bool(self.text) or not self.html


def encoded(mail: Mail) -> bytes:
    """Return the mail as it is sent, in ASCII. Raises InputError naming the wrong field."""
    message, addresses = _build(mail)
    try:
        data = message.as_bytes(policy=_POLICY)
        _verify(data, message, addresses, mail)
    except _CANNOT_BE_READ:
        raise InputError(_("The mail has characters that cannot be sent.")) from None
    return data


def _build(mail: Mail) -> tuple[EmailMessage, dict[str, list[str]]]:
    """Return the message, and for each address header the addresses that are meant."""
    given = {
        "From": ("from", mail.sender),
        "To": ("to", mail.to),
        "Cc": ("cc", mail.cc),
        "Bcc": ("bcc", mail.bcc),
        "Reply-To": (mail.named("reply_to"), mail.reply_to),
    }
    message = EmailMessage(policy=_POLICY)
    meant: dict[str, list[str]] = {}
    for header, (name, value) in given.items():
        if value.strip():
            found = parse_addresses(value, field=name)
            meant[header] = [address.addr_spec for address in found]
            message[header] = found
    message["Subject"] = _safe_text(mail.subject, field="subject")
    message["Date"] = format_datetime(mail.date)
    if mail.message_id:
        message["Message-ID"] = mail.message_id
    if mail.in_reply_to:
        if not _MESSAGE_ID.fullmatch(mail.in_reply_to):
            raise InputError(_("A Message-ID looks like <id@host>."), field=mail.named("in_reply_to"))
        message["In-Reply-To"] = message["References"] = mail.in_reply_to
    _set_bodies(message, mail)
    return message, meant


def _set_bodies(message: EmailMessage, mail: Mail) -> None:
    try:
        if mail.has_text:
            message.set_content(mail.text)
        if mail.html and mail.has_text:
            message.add_alternative(mail.html, subtype="html")
        elif mail.html:
            message.set_content(mail.html, subtype="html")
    except UnicodeError:
        raise InputError(
            _("The text has characters that are no characters (lone surrogates)."), field=mail.named("text")
        ) from None


def parse_addresses(value: str, *, field: str) -> list[Address]:
    """Parse ``Ann Lee <ann@example.com>, bob@example.com``. Raises InputError naming the field."""
    _safe_text(value, field=field)
    try:
        header: Any = policy.default.header_factory("to", value.strip().rstrip(","))
    except _CANNOT_BE_READ:
        raise InputError(
            _("%(value)r is not a list of mail addresses.") % {"value": value[:100]}, field=field
        ) from None
    if not header.addresses:
        raise InputError(_("%(value)r holds no mail address.") % {"value": value[:100]}, field=field)
    if len(header.addresses) > _MOST_RECIPIENTS:
        raise InputError(
            _("A mail takes at most %(most)s addresses in one field.") % {"most": _MOST_RECIPIENTS},
            field=field,
        )
    return [_address(found, field=field) for found in header.addresses]


def _address(found: Any, *, field: str) -> Address:
    name, address = str(found.display_name or ""), str(found.addr_spec)
    if _CONTROL.search(name):
        raise InputError(_("The name beside a mail address has a line break or control character."), field=field)
    if not _ADDRESS.fullmatch(address):
        raise InputError(_("%(address)r is not a mail address.") % {"address": address[:100]}, field=field)
    local, _at, domain = address.rpartition("@")
    try:
        local.encode("ascii")
        return Address(display_name=name, username=local, domain=domain.encode("idna").decode("ascii"))
    except _CANNOT_BE_READ:
        raise InputError(
            _("%(address)r is not a mail address that can be written to.") % {"address": address[:100]}, field=field
        ) from None


def _safe_text(value: str, *, field: str) -> str:
    """Return ``value`` if neither it nor what its encoded words stand for holds a control character.

    Both of the library's decoders are asked, for they differ in what they take for an encoded word.
    """
    as_text = _CONTROL.search(value) or _CONTROL.search(_decoded(value, field=field))
    if as_text or any(_CONTROL_BYTE.search(part) for part in _decoded_bytes(value)):
        raise InputError(_("There is a line break or control character in it, plain or encoded."), field=field)
    return value


def _decoded_bytes(value: str) -> list[bytes]:
    try:
        parts = decode_header(value)
    except HeaderParseError:
        return []
    return [part for part, _ in parts if isinstance(part, bytes)]


def _decoded(value: str, *, field: str) -> str:
    """Return ``value`` as ``EmailMessage`` and its parser read it."""
    try:
        return str(policy.default.header_factory("subject", value))
    except _CANNOT_BE_READ:
        raise InputError(_("It has encoded words that cannot be read."), field=field) from None


def _verify(data: bytes, message: EmailMessage, addresses: dict[str, list[str]], mail: Mail) -> None:
    """Parse the bytes as a receiver would. Raises InputError if any header or body differs from what was meant."""
    parsed = BytesParser(policy=policy.default).parsebytes(data)
    same_headers = sorted(map(str.lower, parsed.keys())) == sorted(map(str.lower, message.keys()))
    same_addresses = all(_addresses_of(parsed, header) == meant for header, meant in addresses.items())
    if not same_headers or not same_addresses:
        raise InputError(
            _("The mail's headers would not arrive as they were given."), hint=_("Remove unusual characters.")
        )
    if _words(str(parsed["Subject"])) != _words(_decoded(mail.subject, field="subject")):
        raise InputError(_("The subject would not arrive as it was given."), field="subject")
    kind, meant = ("plain", mail.text) if mail.has_text else ("html", mail.html)
    body = parsed.get_body((kind,))
    if body is None or _lines(body.get_content()) != _lines(meant):
        raise InputError(_("The text would not arrive as it was given."), field=mail.named("text"))


def _addresses_of(parsed: MIMEPart, header: str) -> Sequence[str]:
    value: Any = parsed[header]
    return [address.addr_spec for address in value.addresses]


def _words(text: str) -> list[str]:
    return text.split()


def _lines(text: str) -> list[str]:
    return text.rstrip("\r\n").splitlines()
