"""How a mailbox is read: IMAP. Everything here blocks.

A server is a stranger's: what it may send is counted, and the connection ends at the deadline whatever it does.
"""

from __future__ import annotations

import binascii
import imaplib
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from integrations.providers.email.server import dialled, explained, literal, refused, security, trusted
from integrations.sdk import InputError, Permanent
from integrations.sdk.dialling import Dial
from integrations.words import gettext as _

# Of one answer, and of all answers to one poll.
MAX_LITERAL: Final = 16 * 1024 * 1024
MAX_LINE: Final = 1_000_000
MAX_RECEIVED: Final = 64 * 1024 * 1024
MAX_NUMBER: Final = 2**32 - 1
_NUMBER: Final = re.compile(rb"\d+")
# The library makes a number of it, which Python refuses of one that is thousands of digits long.
_LITERAL: Final = re.compile(rb"\{\d{12,}\+?\}\r?\n?\Z")
_SIZE: Final = re.compile(rb"RFC822\.SIZE (\d+)", re.IGNORECASE)
_UID: Final = re.compile(rb"\bUID (\d+)", re.IGNORECASE)


class _Connection(imaplib.IMAP4):
    """imaplib over a connection that is there already, with bounds on what it reads."""

    def __init__(self, connected: socket.socket, host: str) -> None:
        self._connected = connected
        self._received = 0
        super().__init__(host)

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        # The host is what a certificate is to be of.
        self.host, self.port = host, port
        self.sock = self._connected
        self.file = self.sock.makefile("rb")

    def read(self, size: int) -> bytes:
        self._received += size
        if size > MAX_LITERAL or self._received > MAX_RECEIVED:
            raise self.abort(f"the server sends {size:,} bytes, which is too much")
        return bytes(self.file.read(size))  # type: ignore[arg-type]

    def readline(self) -> bytes:
        found = bytes(self.file.readline(MAX_LINE + 1))  # type: ignore[arg-type]
        self._received += len(found)
        if len(found) > MAX_LINE or self._received > MAX_RECEIVED:
            raise self.error(_("the server sends more than it may"))
        if _LITERAL.search(found):
            raise self.abort("the server announces more bytes than it may send")
        return found


def _number(text: bytes) -> int:
    """Return a number as IMAP has them, of 32 bits. Raises ``IMAP4.error`` for a larger one."""
    digits = text.lstrip(b"0")
    if len(digits) > len(str(MAX_NUMBER)) or int(digits or b"0") > MAX_NUMBER:
        raise imaplib.IMAP4.error(
            _("it sends a number of %(size)s digits, which is none of a mailbox") % {"size": f"{len(text):,}"}
        )
    return int(digits or b"0")


class Mailbox:
    """A mailbox that is open. ``validity`` changes when its messages are numbered anew."""

    def __init__(self, connection: imaplib.IMAP4, name: str) -> None:
        self._connection, self._name = connection, name
        self.validity = self._told("UIDVALIDITY")
        self._next = self._told("UIDNEXT")

    def _told(self, what: str) -> int:
        _, found = self._connection.response(what)
        number = _NUMBER.search(found[-1] or b"") if found else None
        return _number(number[0]) if number else 0

    @property
    def last(self) -> int:
        """The number of the newest message there was when it was opened."""
        return self._next - 1 if self._next else max(self.numbers_after(0), default=0)

    def numbers_after(self, number: int) -> list[int]:
        """Return the numbers of the messages after one, in their order."""
        found = self._asked("SEARCH", "UID", f"{number + 1}:*")
        numbers = {_number(each) for line in found if isinstance(line, bytes) for each in _NUMBER.findall(line)}
        # The last message is always among them, whatever was asked for.
        return sorted(each for each in numbers if each > number)

    def sizes(self, numbers: Sequence[int]) -> dict[int, int]:
        """Return how many bytes these messages have; those that are gone by now are missing."""
        if not numbers:
            return {}
        sizes = {}
        for line in self._asked("FETCH", ",".join(map(str, numbers)), "(UID RFC822.SIZE)"):
            text = line[0] if isinstance(line, tuple) else line or b""
            number, size = _UID.search(text), _SIZE.search(text)
            if number and size:
                sizes[_number(number[1])] = _number(size[1])
        return sizes

    def message(self, number: int, *, most: int) -> bytes | None:
        """Return a message as it was sent, its first ``most`` bytes; None where it is gone. It stays unread."""
        found = self._asked("FETCH", str(number), f"(UID BODY.PEEK[]<0.{most}>)")
        return next((part[1] for part in found if isinstance(part, tuple) and len(part) > 1), None)

    def mark_seen(self, numbers: Sequence[int]) -> None:
        self._asked("STORE", ",".join(map(str, numbers)), "+FLAGS.SILENT", "(\\Seen)")

    def _asked(self, command: str, *arguments: str) -> list[Any]:
        kind, found = self._connection.uid(command, *arguments)
        if kind != "OK":
            raise Permanent(
                _("The mail server refused %(command)s in %(name)s: %(said)s")
                % {"command": command, "name": self._name, "said": _said(found)}
            )
        return list(found)


@contextmanager
def opened(
    dial: Dial,
    settings: Mapping[str, Any],
    auth: Mapping[str, Any],
    *,
    name: str,
    writes: bool,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Mailbox]:
    """Sign in and open a mailbox for the length of a ``with`` block; ``tls`` is whom to trust instead of the usual.

    Raises AuthError, InputError for a mailbox that is not there, Transient and Permanent.
    """
    with explained(settings), dialled(dial, settings, seconds=seconds, tls=tls) as connected:
        connection = _Connection(connected, str(settings.get("host")))
        try:
            if security(settings) == "starttls":
                _start_tls(connection, tls or trusted())
            _sign_in(connection, auth)
            kind, said = connection.select(mailbox_name(name), readonly=not writes)
            if kind != "OK":
                raise InputError(
                    _("There is no mailbox %(name)r: %(said)s") % {"name": name, "said": _said(said)},
                    field="mailbox",
                    hint=_("The usual one is INBOX."),
                )
            yield Mailbox(connection, name)
        finally:
            with suppress(imaplib.IMAP4.error, OSError, ValueError):
                connection.logout()
            with suppress(imaplib.IMAP4.error, OSError):
                connection.shutdown()


def _start_tls(connection: imaplib.IMAP4, tls: ssl.SSLContext) -> None:
    """Go on under TLS, before a password is sent. Raises Permanent where the server does not."""
    hint = _("No password was sent. Set the credential's security to tls, with port 993.")
    if "STARTTLS" not in connection.capabilities:
        raise Permanent(_("This mail server offers no STARTTLS."), hint=hint)
    try:
        connection.starttls(tls)
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error:
        raise Permanent(_("This mail server offers STARTTLS and does not go on with it."), hint=hint) from None


def _sign_in(connection: imaplib.IMAP4, auth: Mapping[str, Any]) -> None:
    user, password = str(auth["username"]), str(auth["password"])
    try:
        if "AUTH=PLAIN" in connection.capabilities:
            connection.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        else:
            connection.login(literal(user), literal(password))
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        raise refused(str(error)) from None


def _said(found: Sequence[Any]) -> str:
    texts = [each.decode("utf-8", "replace") for each in found if isinstance(each, bytes)]
    return " ".join(texts)[:300]


def mailbox_name(name: str) -> str:
    """Return a mailbox's name as IMAP writes it: in quotes, what is not ASCII in its own UTF-7 (RFC 3501, 5.1.3)."""
    parts: list[str] = []
    beyond = ""
    for sign in (*name, ""):
        if sign and not " " <= sign <= "~":
            beyond += sign
            continue
        if beyond:
            encoded = binascii.b2a_base64(beyond.encode("utf-16-be", "surrogatepass"), newline=False)
            parts.append(f"&{encoded.decode().rstrip('=').replace('/', ',')}-")
            beyond = ""
        parts.append("&-" if sign == "&" else f"\\{sign}" if sign in ('"', "\\") and sign else sign)
    return f'"{"".join(parts)}"'
