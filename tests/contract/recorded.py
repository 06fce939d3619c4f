"""One good exchange for each action that speaks HTTP, as a file: the inputs, and what the provider answers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

FOLDER: Final = Path(__file__).parent / "exchanges"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """``answer`` is the JSON of a good answer; inputs that are not given are made from the fields' examples.

    ``before`` are the JSON answers to the requests that come before it, where an action needs several.
    ``is_file`` says that the last one may be anything, for it is a file's content.
    """

    answer: Any
    status: int = 200
    inputs: Mapping[str, Any] = field(default_factory=dict)
    before: Sequence[Any] = ()
    is_file: bool = False

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, json=self.answer)

    def is_content(self, at: int) -> bool:
        """Whether the answer to request number ``at`` is a file's content."""
        return self.is_file and at == len(self.before)

    def answers(self) -> list[httpx.Response]:
        """Return the good answers to all requests, in order."""
        return [*(httpx.Response(200, json=each) for each in self.before), self.response()]


EXCHANGES: Final[Mapping[str, Exchange]] = {
    path.stem: Exchange(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.json"))
}
