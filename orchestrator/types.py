"""Types that every layer shares.

Pydantic is behind them. What takes webhooks does without it and imports them for the type checker alone.
"""

from __future__ import annotations

from typing import TypeAlias

from pydantic import JsonValue

JSONValue: TypeAlias = JsonValue
