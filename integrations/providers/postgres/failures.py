"""From what PostgreSQL says to the error that says what to do.

Source: postgresql.org, the appendix on error codes. The first two characters of a code are its class. Why a connection
was refused comes as text alone, in the server's language: what is not known of it is judged by whether a password was
asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from integrations.sdk import (
    AuthError,
    InputError,
    IntegrationError,
    OutcomeUnknown,
    Permanent,
    PermissionMissing,
    Timeout,
    Transient,
)
from integrations.words import gettext as _
from integrations.words import gettext_noop as noop

READ_ONLY: Final = "25006"
SWITCH_ON: Final = noop("Switch on “May change data” if that is what the step is for.")
_SQL: Final = "sql"
_MOST: Final = 500
_WRITTEN: Final = noop("Correct the SQL.")
_BUSY: Final = noop("The database is busy; nothing in the step need be changed.")
_SIGN_IN: Final = noop("Check user name and password in the credential.")
_NO_SUCH_DATABASE: Final = noop("Check the database in the credential.")
_LOOK: Final = noop("Look into the database whether it happened before you run it again.")

# A whole code goes before its class.
_ERRORS: Final[Mapping[str, tuple[type[IntegrationError], str]]] = {
    "08": (Transient, _BUSY),
    "0A": (InputError, _WRITTEN),
    "21": (InputError, _WRITTEN),
    "22": (InputError, noop("A value does not fit where it is put: check the parameters and their types.")),
    "23": (Permanent, noop("What is in the database does not allow it.")),
    "25": (InputError, noop("Each step is a transaction of its own: leave out what begins or ends one.")),
    READ_ONLY: (InputError, SWITCH_ON),
    "26": (InputError, _WRITTEN),
    "28": (AuthError, _SIGN_IN),
    "2D": (InputError, noop("Each step is a transaction of its own: leave out what begins or ends one.")),
    "34": (InputError, _WRITTEN),
    "3D": (Permanent, _NO_SUCH_DATABASE),
    "3F": (InputError, _WRITTEN),
    "40": (Transient, _BUSY),
    "40002": (Permanent, noop("What is in the database does not allow it.")),
    "42": (InputError, _WRITTEN),
    "42501": (PermissionMissing, noop("Let the database's user do this (GRANT), or use another credential.")),
    "53": (Transient, _BUSY),
    "54": (InputError, _WRITTEN),
    "55006": (Transient, _BUSY),
    "55P03": (Transient, _BUSY),
    "57": (Transient, _BUSY),
    "57014": (Timeout, noop("Make the statement quicker, or give the step more time.")),
    "58": (Transient, _BUSY),
}
# What the text of a refused connection has in it, in English, which most servers speak.
_REFUSALS: Final[tuple[tuple[str, type[IntegrationError], str], ...]] = (
    ("authentication failed", AuthError, _SIGN_IN),
    ("no password supplied", AuthError, _SIGN_IN),
    ("no pg_hba.conf entry", AuthError, noop("The server does not let this user in from here: see its pg_hba.conf.")),
    ("is not permitted to log in", AuthError, _SIGN_IN),
    ("authentication method requirement", AuthError, noop("It asks for the password in the clear: use TLS.")),
    ("permission denied for database", PermissionMissing, noop("Let the user connect to it (GRANT CONNECT).")),
    ("too many", Transient, _BUSY),
    ("remaining connection slots", Transient, _BUSY),
    ("starting up", Transient, _BUSY),
    ("shutting down", Transient, _BUSY),
    ("in recovery", Transient, _BUSY),
    ("does not support ssl", Permanent, noop("Set the credential's TLS to disable, if that may be.")),
    ("certificate", Permanent, noop("Enter the name that the certificate is for, or set the credential's TLS.")),
    ("ssl error", Permanent, noop("No secure connection could be agreed on.")),
    ('role "', AuthError, _SIGN_IN),
    ('database "', Permanent, _NO_SUCH_DATABASE),
)


def failure(code: str, said: str, *, detail: str = "", position: str | None = None) -> IntegrationError:
    """Return the error that a code stands for, with PostgreSQL's own words."""
    kind, hint = _ERRORS.get(code) or _ERRORS.get(code[:2]) or (Permanent, "")
    told = {"said": said.rstrip(".")[:_MOST], "code": code, "place": position}
    message = (
        _("PostgreSQL refused it at character %(place)s: %(said)s (%(code)s).")
        if position
        else _("PostgreSQL refused it: %(said)s (%(code)s).")
    ) % told
    if kind is InputError:
        field = "parameters" if code.startswith("22") else "write" if code == READ_ONLY else _SQL
        return InputError(message, field=field, hint=_(hint), detail=detail[:_MOST])
    return kind(message, hint=_(hint), detail=detail[:_MOST])


def refused(host: str, said: str, *, asked_for_password: bool) -> IntegrationError:
    """Return the error of a connection that was not made."""
    text = said.rpartition("failed: ")[2].strip().splitlines() or [""]
    lower = said.lower()
    by_itself = (
        (AuthError, _SIGN_IN) if asked_for_password else (Transient, noop("Is the server up, and the port right?"))
    )
    kind, hint = next(((kind, hint) for words, kind, hint in _REFUSALS if words in lower), by_itself)
    told = {"host": host, "why": text[0].removeprefix("FATAL:").strip().rstrip(".")[:_MOST]}
    return kind(_("%(host)s lets nobody in: %(why)s.") % told, hint=_(hint))


def lost(host: str, *, committing: bool) -> IntegrationError:
    """Return the error of a connection that broke; what was not committed is undone by the server."""
    if committing:
        return OutcomeUnknown(
            _("The connection to %(host)s broke while the change was being committed.") % {"host": host}, hint=_(_LOOK)
        )
    return Transient(_("The connection to %(host)s broke; nothing was changed.") % {"host": host}, hint=_(_BUSY))


def late(host: str, *, committing: bool) -> IntegrationError:
    """Return the error of an answer that did not come in time."""
    if committing:
        return OutcomeUnknown(
            _("%(host)s did not say in time whether the change was committed.") % {"host": host}, hint=_(_LOOK)
        )
    return Timeout(
        _("%(host)s did not answer in time; nothing was changed.") % {"host": host}, hint=_(_ERRORS["57014"][1])
    )
