"""Mail addresses as a person writes them, for services that take names and addresses as data.

    parsed("Lovelace, Ada" <ada@example.com>, bob@example.com)

Where a mail is built by ourselves its headers are parsed by the standard library and looked at again
(``integrations.mails``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BeforeValidator

from integrations.sdk.errors import InputError
from integrations.words import gettext as _

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]{1,255}")
_NAMED: Final = re.compile(r'(?P<name>"(?:[^"\\]|\\.)*"|[^<>]*?)\s*<\s*(?P<address>[^<>]*?)\s*>', re.S)
_BETWEEN: Final = frozenset(",;\n")


def _joined(value: object) -> object:
    """A list of addresses, as an earlier step may give it, is taken as well as a text."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value


Addresses = Annotated[str, BeforeValidator(_joined)]


@dataclass(frozen=True)
class Mailbox:
    """An address, and whose it is where that was given."""

    address: str
    name: str = ""

    def __str__(self) -> str:
        quoted = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{self.address}>' if self.name else self.address


def parsed(text: str, *, field: str, most: int) -> list[Mailbox]:
    """Return the addresses of a text, parted by commas, semicolons or lines, each once.

    Raises InputError naming the field for what is no address, and for more than ``most``.
    """
    found = list(dict.fromkeys(_mailbox(part, field) for part in _parts(text)))
    if len(found) > most:
        raise InputError(
            _("%(found)s addresses are too many: at most %(most)s are taken.") % {"found": len(found), "most": most},
            field=field,
        )
    return found


def one(text: str, *, field: str) -> Mailbox:
    """Return the only address of a text. Raises InputError naming the field."""
    found = parsed(text, field=field, most=1)
    if not found:
        raise InputError(_("Give a mail address."), field=field)
    return found[0]


def _parts(text: str) -> Iterator[str]:
    """Cut a text where a comma, semicolon or line break stands outside of quotes and angle brackets."""
    part, quoted, in_brackets, escaped = "", False, False, False
    for letter in text.replace("\r\n", "\n").replace("\r", "\n"):
        if letter == '"' and not escaped:
            quoted = not quoted
        elif not quoted:
            in_brackets = letter == "<" or (in_brackets and letter != ">")
        escaped = letter == "\\" and not escaped
        if letter in _BETWEEN and not quoted and not in_brackets:
            if part.strip():
                yield part.strip()
            part = ""
        else:
            part += letter
    if part.strip():
        yield part.strip()


def _mailbox(part: str, field: str) -> Mailbox:
    named = _NAMED.fullmatch(part)
    name, address = (named["name"], named["address"]) if named else ("", part)
    if _CONTROL.search(part) or "\n" in name:
        raise InputError(_("A mail address has a line break or control character."), field=field)
    if not _ADDRESS.fullmatch(address):
        raise InputError(_("%(address)r is not a mail address.") % {"address": address[:100]}, field=field)
    name = name.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    return Mailbox(address, name)
