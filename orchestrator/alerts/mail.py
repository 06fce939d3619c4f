"""An alert as mail: plain text, built and then read again before it is sent. Blocks."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping, Sequence
from email import message_from_bytes, policy
from email.utils import parseaddr
from typing import Any, Final

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.utils.translation import gettext as _

from orchestrator.alerts import messages
from orchestrator.alerts.refused import NotSent

_ONCE: Final = ("subject", "from", "to", "message-id", "date")
_NEVER: Final = ("cc", "bcc", "reply-to")


def is_configured() -> bool:
    """Whether the operator has named a mail server."""
    return bool(settings.EMAIL_HOST)


def built(document: Mapping[str, Any], to: Sequence[str], *, message_id: str) -> EmailMessage:
    """Return the message. Raises NotSent where what was built does not read as what was meant."""
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
    message = EmailMessage(
        subject=messages.subject(document),
        body=messages.text(document) + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=list(to),
        # Nobody's out-of-office answers it (RFC 3834).
        headers={"Message-ID": f"<{message_id}@{domain}>", "Auto-Submitted": "auto-generated"},
    )
    read = message_from_bytes(message.message().as_bytes(), policy=policy.default)
    wrong = [name for name in _ONCE if len(read.get_all(name, [])) != 1]
    wrong += [name for name in _NEVER if name in read]
    wrong += [name for name, value in read.items() if any(ord(letter) < 32 for letter in str(value))]
    if wrong:
        said = _("The message would have a wrong header (%(name)s), so it is not sent.") % {"name": wrong[0]}
        raise NotSent(said, permanent=True)
    return message


def mail_send(document: Mapping[str, Any], to: Sequence[str], *, message_id: str) -> None:
    """Send an alert to addresses. Raises NotSent."""
    if not is_configured():
        raise NotSent(_("No mail server is set: an operator has to set EMAIL_URL."), permanent=True)
    message = built(document, to, message_id=message_id)
    try:
        message.connection = get_connection(fail_silently=False)
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _said in error.recipients.values()})
        refused = ", ".join(sorted(error.recipients))
        is_final = all(code >= 500 for code in codes)
        said = _("The mail server refused %(who)s (%(code)d).") % {"who": refused[:300], "code": codes[0]}
        raise NotSent(said, permanent=is_final) from None
    except smtplib.SMTPAuthenticationError:
        raise NotSent(_("The mail server refused the sign-in of EMAIL_URL.")) from None
    except smtplib.SMTPResponseException as error:
        said = _("The mail server answered %(code)d.") % {"code": error.smtp_code}
        raise NotSent(said, permanent=error.smtp_code >= 500) from None
    except (smtplib.SMTPException, OSError) as error:
        # Its text may hold what was sent.
        said = _("The mail server could not be reached (%(error)s).") % {"error": type(error).__name__}
        raise NotSent(said) from None
