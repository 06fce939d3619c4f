"""One good exchange for each action that speaks HTTP, as a file: the inputs, and what the provider answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from integrations.sdk.exchange import Exchange, load

FOLDER: Final = Path(__file__).parent / "exchanges"
EXCHANGES: Final[Mapping[str, Exchange]] = {path.stem: load(path) for path in sorted(FOLDER.glob("*.json"))}
