"""Errors of the product's own services. Each says what failed, why, whether trying again helps and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding about a document or an input.

    ``path`` is like ``steps[0].lanes.then[0].config.inputs.text``; ``code`` is a stable word for programs.
    """

    path: str
    message: str
    code: str
    severity: Literal["error", "warning"] = "error"

    def as_dict(self) -> dict[str, str]:
        return {key: value for key, value in asdict(self).items() if key != "severity"}


class ServiceError(Exception):
    """A request that cannot be carried out; ``status`` is the HTTP status that a face answers."""

    code = "invalid"
    status = 400

    def __init__(self, message: str, *, problems: Sequence[Problem] = (), code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)
        if code is not None:
            self.code = code


class Invalid(ServiceError):
    """The input is wrong; trying again with the same input does not help."""


class Forbidden(ServiceError):
    """The person or token lacks the right; the message names the role that has it."""

    code = "forbidden"
    status = 403


class NotFound(ServiceError):
    """There is no such object in this tenant."""

    code = "not_found"
    status = 404


class Conflict(ServiceError):
    """The object's present status does not allow it, or somebody else changed it first."""

    code = "conflict"
    status = 409


class Limited(ServiceError):
    """More than may be done in a while was asked for; ``retry_after`` is in how many seconds it may be tried again."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, limit: int, retry_after: int) -> None:
        super().__init__(message)
        self.limit = limit
        self.retry_after = retry_after
