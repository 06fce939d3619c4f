"""How a server for outgoing mail is spoken to. Everything here blocks.

Source: RFC 5321, sections 4.2 and 4.5. A code of 4xx may pass, one of 5xx will not. From when the message itself is on
its way until the server has said what it makes of it, nobody knows whether it is delivered.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from integrations.providers.email.server import (
    DEFAULT_PORT,
    SMTP_HINT,
    OtherProtocol,
    dialled,
    encoded,
    explained,
    literal,
    refused,
    security,
    trusted,
)
from integrations.sdk import InputError, IntegrationError, OutcomeUnknown, Permanent, Transient
from integrations.sdk.dialling import Dial
from integrations.sdk.redaction import MASK
from integrations.words import gettext as _
from integrations.words import gettext_noop as noop

IMAP_PORTS: Final = (143, 993)
TLS_PORT: Final = 465
# Of all that a server says in one conversation.
MAX_SAID: Final = 1_000_000
_MOST_TOLD: Final = 300
_GREETED, _DONE, _GO_ON = 220, 250, 354
_AUTH_CODES: Final = frozenset({530, 534, 535, 538})
_LOOK: Final = noop("Look whether it arrived before you run it again. A second try has the same Message-ID.")


def outgoing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return host, port and security of a credential's server for outgoing mail. Raises InputError for one without."""
    host, port = settings.get("smtp_host"), settings.get("smtp_port")
    if not host and not port:
        if int(settings.get("port") or DEFAULT_PORT) in IMAP_PORTS:
            raise InputError(
                _("The credential names a server for incoming mail alone."),
                hint=_("Enter the server for outgoing mail in the credential's form."),
            )
        return {name: settings[name] for name in ("host", "port", "security") if name in settings}
    port = int(port or DEFAULT_PORT)
    usual = "tls" if port == TLS_PORT else "starttls"
    return {
        "host": host or settings.get("host"),
        "port": port,
        "security": settings.get("smtp_security") or usual,
    }


class _Replies:
    """What a server says, line by line, as far as it may say anything."""

    def __init__(self, connected: socket.socket) -> None:
        self._file, self._left = connected.makefile("rb"), MAX_SAID

    def readline(self, size: int) -> bytes:
        found = self._file.readline(size)
        self._left -= len(found)
        if self._left < 0:
            raise smtplib.SMTPServerDisconnected("the server says more than it may")
        return found

    def close(self) -> None:
        self._file.close()


class _Smtp(smtplib.SMTP):
    """smtplib over a connection that is there already."""

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        super().__init__(local_hostname="localhost")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._connected

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Replies(self.sock)
        return super().getreply()


@contextmanager
def signed_in(
    dial: Dial,
    place: Mapping[str, Any],
    auth: Mapping[str, Any],
    *,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> Iterator[smtplib.SMTP]:
    """Sign in to a server for outgoing mail for the length of a ``with`` block; ``tls`` is whom to trust instead.

    Raises AuthError, Transient and Permanent, OtherProtocol for a server of another kind.
    """
    with explained(place, SMTP_HINT), dialled(dial, place, seconds=seconds, tls=tls) as connected:
        server = _Smtp(connected)
        try:
            _begin(server, place, tls or trusted())
            _sign_in(server, str(auth["username"]), str(auth["password"]))
            yield server
        except smtplib.SMTPServerDisconnected as error:
            raise Transient(
                _("%(host)s ended the conversation: %(error)s") % {"host": place.get("host"), "error": error},
                hint=_(SMTP_HINT),
            ) from None
        except smtplib.SMTPResponseException as error:
            raise said(error.smtp_code, error.smtp_error) from None
        except smtplib.SMTPException as error:
            raise Permanent(
                _("The mail server did not take the sign-in: %(name)s.") % {"name": type(error).__name__}
            ) from None
        finally:
            with suppress(OSError):
                server.close()


def _begin(server: smtplib.SMTP, place: Mapping[str, Any], tls: ssl.SSLContext) -> None:
    code, text = server.connect("smtp", 1)
    if code != _GREETED:
        raise OtherProtocol(_("This is no server for outgoing mail: %(said)s") % {"said": _told(text)})
    # The name that a certificate is to be of.
    server._host = str(place.get("host"))  # type: ignore[attr-defined]
    if security(place) != "starttls":
        return
    hint = _("No password was sent. Set the credential's security to tls, with port 465.")
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("starttls"):
        raise Permanent(_("This mail server offers no STARTTLS."), hint=hint)
    try:
        code, _text = server.starttls(context=tls)
    except smtplib.SMTPResponseException:
        code = 0
    if code != _GREETED:
        raise Permanent(_("This mail server offers STARTTLS and does not go on with it."), hint=hint)


def _sign_in(server: smtplib.SMTP, user: str, password: str) -> None:
    server.ehlo_or_helo_if_needed()
    if not user and not password:
        return
    if not server.has_extn("auth"):
        raise Permanent(
            _("This mail server takes no sign-in on this port."), hint=_("Is it the port for sending, 587 or 465?")
        )
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        server.login(literal(user), literal(password))
        return
    # By hand: the library writes ASCII alone.
    given = encoded(f"\0{user}\0{password}".encode())
    code, text = server.docmd("AUTH", f"PLAIN {given}")
    if code not in (235, 503):
        # Some repeat what they did not understand, and the password is in there.
        raise smtplib.SMTPAuthenticationError(code, text.replace(given.encode(), MASK.encode()))


def sent(server: smtplib.SMTP, message: bytes, *, sender: str, recipients: Sequence[str]) -> str:
    """Hand a message over, to all recipients or to none; return what the server said. Raises IntegrationError."""
    limit = server.esmtp_features.get("size", "")
    if limit.isascii() and limit.isdigit() and 0 < int(limit[:15]) < len(message):
        told = {"size": f"{len(message):,}", "limit": f"{int(limit[:15]):,}"}
        raise InputError(_("The mail has %(size)s bytes, and the server takes %(limit)s.") % told, field="text")
    code, text = server.mail(sender)
    if code != _DONE:
        raise said(code, text, _("The mail server refused the sender %(who)s: %(said)s") % _who([sender], text))
    refusals = [(who, *server.rcpt(who)) for who in recipients]
    refusals = [(who, code, text) for who, code, text in refusals if not 250 <= code < 260]
    if refusals:
        _who_is_refused(refusals)
    code, text = server.docmd("DATA")
    if code != _GO_ON:
        raise said(code, text)
    try:
        server.send(_dotted(message))
        code, text = server.getreply()
    except (OSError, ValueError):
        code, text = 0, b""
    if code == _DONE:
        return _told(text)
    if 400 <= code < 600:
        raise said(code, text)
    raise OutcomeUnknown(
        _("The connection broke before the mail server had said whether it took the mail."), hint=_(_LOOK)
    )


def _dotted(message: bytes) -> bytes:
    """Return a message as DATA takes it: lines end alike, none is the end by itself."""
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n").split(b"\n")
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"


def _who_is_refused(refusals: Sequence[tuple[str, int, bytes]]) -> None:
    """Raise the error for refused recipients: nothing goes to the others either, or they would get it twice."""
    worst = max(refusals, key=lambda each: each[1])
    names = _who([who for who, _code, _text in refusals], worst[2])
    message = _("The mail server refused %(who)s, and nothing was sent to anybody: %(said)s") % names
    raise said(worst[1], worst[2], message)


def _who(names: Sequence[str], text: bytes) -> dict[str, str]:
    return {"who": ", ".join(names)[:_MOST_TOLD], "said": _told(text)}


def said(code: int, text: str | bytes, message: str = "") -> IntegrationError:
    """Return the error for a server's code; ``message`` says what was refused, where that is known."""
    if code in _AUTH_CODES:
        return refused(f"{code} {_told(text)}")
    told = message or _("The mail server refused it: %(said)s") % {"said": f"{code} {_told(text)}"}
    if 400 <= code < 500:
        return Transient(told, hint=_("The server may take it later; nothing in the step need be changed."))
    return Permanent(told, hint=_("The server would say the same again: change what it names."))


def _told(text: str | bytes) -> str:
    found = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return " ".join(found.split())[:_MOST_TOLD]
