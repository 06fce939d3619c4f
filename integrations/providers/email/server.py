"""How any mail server is connected to. Everything here blocks.

A server is a stranger's: the connection ends at the deadline whatever it does.
"""

from __future__ import annotations

import base64
import imaplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

import httpx

from integrations.sdk import AuthError, InputError, Permanent, Transient
from integrations.sdk.dialling import Dial
from integrations.words import gettext as _
from integrations.words import gettext_noop

DEFAULT_PORT: Final = 587
IMAP_HINT: Final = gettext_noop("Is the server's name right, and is it the one for IMAP (port 993 with tls)?")
SMTP_HINT: Final = gettext_noop("Is the server's name right, and is it the one for outgoing mail (port 587 or 465)?")
_CERTIFICATE: Final = gettext_noop(
    "Enter the name that the certificate is for, or ask who runs the server for one that is valid."
)


class OtherProtocol(Permanent):
    """What answers is no server of this kind; it may be one of another."""


@cache
def trusted() -> ssl.SSLContext:
    """Return whom to trust: the authorities that are commonly known."""
    return httpx.create_ssl_context(trust_env=False)


def literal(text: str) -> str:
    """Return a user name or password as it may be written. Raises AuthError for letters beyond ASCII."""
    if not text.isascii():
        raise AuthError(_("This mail server takes no user names and passwords with letters beyond ASCII."))
    return text


def refused(said: str) -> AuthError:
    """Return the error of a sign-in that was refused, with what the server said."""
    return AuthError(
        _("The mail server refused the sign-in: %(said)s") % {"said": said[:300]},
        hint=_("Check user name and password. Many providers want a password made for one app."),
    )


@contextmanager
def dialled(
    dial: Dial, settings: Mapping[str, Any], *, seconds: float, tls: ssl.SSLContext | None = None
) -> Iterator[socket.socket]:
    """Connect to the credential's server, with TLS where it says so; the connection ends after ``seconds``."""
    host = str(settings.get("host") or "")
    if not host:
        raise InputError(
            _("The credential names no mail server."), hint=_("Enter the server in the credential's form.")
        )
    connected = dial(host, int(settings.get("port") or DEFAULT_PORT))
    # Another name of the same connection: TLS takes the first one over.
    spare = connected.dup()
    timer = threading.Timer(max(0.1, seconds), _cut, (spare,))
    timer.daemon = True
    timer.start()
    try:
        if security(settings) == "tls":
            connected = (tls or trusted()).wrap_socket(connected, server_hostname=host)
        yield connected
    finally:
        timer.cancel()
        connected.close()
        spare.close()


def _cut(connected: socket.socket) -> None:
    # Whoever reads from it stops at once.
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def security(settings: Mapping[str, Any]) -> str:
    """Return how a connection is secured: tls, starttls or none."""
    return str(settings.get("security") or "starttls")


@contextmanager
def explained(settings: Mapping[str, Any], hint: str = IMAP_HINT) -> Iterator[None]:
    """Turn what imaplib, ssl and sockets raise into what says what to do; ``hint`` is of what asks."""
    host = settings.get("host")
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        said = {"host": host, "why": error.verify_message.rstrip(".")}
        raise Permanent(_("The certificate of %(host)s is not valid: %(why)s.") % said, hint=_(_CERTIFICATE)) from None
    except ssl.SSLError:
        raise Permanent(
            _("No secure connection to %(host)s could be agreed on.") % {"host": host}, hint=_(hint)
        ) from None
    except TimeoutError:
        raise Transient(_("%(host)s did not answer in time.") % {"host": host}, hint=_(hint)) from None
    except OSError as error:
        raise Transient(
            _("The connection to %(host)s broke (%(name)s).") % {"host": host, "name": type(error).__name__},
            hint=_(hint),
        ) from None
    except imaplib.IMAP4.abort as error:
        raise Transient(
            _("%(host)s ended the conversation: %(error)s") % {"host": host, "error": str(error)[:300]}, hint=_(hint)
        ) from None
    except imaplib.IMAP4.error as error:
        raise OtherProtocol(
            _("%(host)s does not answer as a mail server: %(error)s") % {"host": host, "error": str(error)[:300]},
            hint=_(hint),
        ) from None
    except UnicodeError:
        raise OtherProtocol(
            _("%(host)s does not answer as a mail server: it sends no text.") % {"host": host}, hint=_(hint)
        ) from None


def encoded(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode()
