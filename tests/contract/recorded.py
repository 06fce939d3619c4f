"""One good exchange for each action that speaks HTTP, as a file: the inputs, and what the provider answers to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

FOLDER: Final = Path(__file__).parent / "exchanges"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """``answer`` is the JSON of a good answer; inputs that are not given are made from the fields' examples."""

    answer: Any
    status: int = 200
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def response(self) -> httpx.Response:
        return httpx.Response(self.status, json=self.answer)


EXCHANGES: Final[Mapping[str, Exchange]] = {
    path.stem: Exchange(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.json"))
}
