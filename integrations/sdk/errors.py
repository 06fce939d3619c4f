"""What an action may raise. Each class answers the one question its caller has: what to do now.

===================  ===============  =======  ==========================================
class                kind             retried  who acts
===================  ===============  =======  ==========================================
InputError           input            no       the author of the workflow corrects a field
AuthError            auth             no       somebody connects the account again
PermissionMissing    auth             no       somebody grants the scopes it names
NotFound             permanent        no       the object at the other side is gone
Permanent            permanent        no       the other side will say no again
RateLimited          rate_limited     yes      nobody: wait ``retry_after`` seconds
Transient            transient        yes      nobody: try again
Timeout              timeout          yes      nobody: raised for calls safe to repeat
OutcomeUnknown       outcome_unknown  no       a person looks whether it happened
===================  ===============  =======  ==========================================

A message is for a person and never holds a secret; ``hint`` says what to do; ``detail`` is for the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class DeclarationError(ValueError):
    """An integration declares something that cannot be: raised at import, with the place and what to write instead."""


class IntegrationError(Exception):
    """Base of every classified failure of an action."""

    kind: ClassVar[str] = "permanent"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class InputError(IntegrationError):
    """A value that the workflow gave is wrong; ``field`` names it."""

    kind = "input"

    def __init__(self, message: str, *, field: str | None = None, hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.field = field


class AuthError(IntegrationError):
    """The credential is missing, wrong, expired or revoked."""

    kind = "auth"


class PermissionMissing(IntegrationError):
    """The credential is good but may not do this; ``scopes`` names what it lacks, where known."""

    kind = "auth"

    def __init__(self, message: str, *, scopes: Sequence[str] = (), hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.scopes = tuple(scopes)


class Permanent(IntegrationError):
    """The other side refused, and would again."""


class NotFound(Permanent):
    """The object that was asked for does not exist at the other side."""


class Transient(IntegrationError):
    """It may work if tried again; ``retry_after`` is in seconds where the other side said so."""

    kind = "transient"
    retryable = True

    def __init__(self, message: str, *, retry_after: float | None = None, hint: str = "", detail: str = "") -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.retry_after = retry_after


class RateLimited(Transient):
    """Too many requests; ``retry_after`` is in seconds where the other side said so."""

    kind = "rate_limited"


class Timeout(IntegrationError):
    """No answer in time to a call that is safe to repeat."""

    kind = "timeout"
    retryable = True


class OutcomeUnknown(IntegrationError):
    """The request was sent and its answer lost, so it may or may not have happened; never tried again by itself."""

    kind = "outcome_unknown"
