"""One good exchange for each action that speaks HTTP, as a file: the inputs, and what the provider answers to them.

An action that sends several requests has those before the last one under ``before``, in their order:

    {"inputs": {…},
     "before": [{"request": "PATCH /contacts/ada?by=email", "status": 404, "answer": {…}}],
     "request": "POST /contacts", "status": 201, "answer": {…}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

FOLDER: Final = Path(__file__).parent / "exchanges"
# An answer without a body, as null is one with it.
EMPTY: Final = object()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What answers one request: JSON, or nothing where there is no ``answer``.

    ``request`` is its method and its path below the host, with the query if it has one; empty for any.
    """

    answer: Any = EMPTY
    status: int = 200
    request: str = ""

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, **({} if self.answer is EMPTY else {"json": self.answer}))

    def is_to(self, request: httpx.Request) -> bool:
        """Whether it is this request that the answer is for."""
        return self.request in ("", f"{request.method} {request.url.raw_path.decode('ascii')}")


@dataclass(frozen=True, kw_only=True)
class Exchange(Answer):
    """The last request of an action and its good answer; inputs that are not given are made from the fields' examples.

    ``before`` are the requests that come before it, where an action needs several. ``is_file`` says that the last
    answer may be anything, for it is a file's content. ``settings`` are those of the credential.
    """

    inputs: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Answer] = ()
    is_file: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def is_content(self, at: int) -> bool:
        """Whether the answer to request number ``at`` is a file's content."""
        return self.is_file and at == len(self.before)

    def in_order(self) -> list[Answer]:
        return [*self.before, self]

    def answers(self) -> list[httpx.Response]:
        """Return the good answers to all requests, in order."""
        return [each.response() for each in self.in_order()]


def _read(path: Path) -> Exchange:
    written = json.loads(path.read_text(encoding="utf-8"))
    return Exchange(**{**written, "before": [Answer(**each) for each in written.get("before", ())]})


EXCHANGES: Final[Mapping[str, Exchange]] = {path.stem: _read(path) for path in sorted(FOLDER.glob("*.json"))}
