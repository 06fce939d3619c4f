"""How operations of the API are described: kept as it is given, until somebody asks for the description.

What makes the description, ``schema``, brings a class for every operation, and Django's test client: five megabytes
that a process which only answers has no use for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from drf_spectacular.utils import OpenApiParameter
from pydantic import BaseModel

_F = TypeVar("_F", bound=Callable[..., Any])


class ProblemBody(BaseModel):
    """One finding; ``path`` is like ``steps[0].config.inputs.channel``."""

    path: str
    message: str
    code: str


class ErrorDetail(BaseModel):
    code: str
    message: str
    problems: list[ProblemBody]


class ErrorBody(BaseModel):
    """The body of every answer of 400 and above."""

    error: ErrorDetail


# Parameters that several operations take, as they are described.
PAGED: Final = (
    OpenApiParameter("cursor", str, description="From `next` or `previous` of the page before; opaque."),
    OpenApiParameter("limit", int, description="Rows a page: 50 unless it says otherwise, at most 200."),
)
ONCE: Final = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[ -~]{1,255}$"},
    OpenApiParameter.HEADER,
    description="The same key and body within a day get the first answer again; another body gets 409.",
)
IF_MATCH: Final = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `revision` that was read: 409 when it is no longer the present one.",
)


class Descriptions:
    """What is said of the operations, in the order of their declaration."""

    def __init__(self) -> None:
        self._kept: list[Callable[[Callable[..., Any]], None]] = []
        self._describe: Callable[..., Any] | None = None

    def add(self, operation: Callable[..., Any], what: dict[str, Any]) -> None:
        self._kept.append(lambda describe: describe(**what)(operation))
        if self._describe is not None:
            self.make(self._describe)

    def make(self, describe: Callable[..., Any]) -> None:
        """Have ``describe``, drf-spectacular's ``extend_schema``, take what was kept, and what is said from here on."""
        self._describe = describe
        while self._kept:
            self._kept.pop(0)(describe)


descriptions: Final = Descriptions()


def extend_schema(**what: Any) -> Callable[[_F], _F]:
    """Describe the method of a view, by what drf-spectacular's decorator of this name takes."""

    def decorate(operation: _F) -> _F:
        descriptions.add(operation, what)
        return operation

    return decorate
