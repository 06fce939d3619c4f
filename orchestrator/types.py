"""Types that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from pydantic import JsonValue

JSONValue: TypeAlias = JsonValue
JSONObject: TypeAlias = Mapping[str, JsonValue]
