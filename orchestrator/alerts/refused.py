"""Why a message did not arrive."""

from __future__ import annotations


class NotSent(Exception):
    """A message was not taken. ``permanent``: it would not be the next time either; the message names no secret."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message, self.permanent, self.retry_after = message, permanent, retry_after
